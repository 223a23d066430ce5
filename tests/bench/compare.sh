#!/bin/sh
# Our networks and those of peers side by side, one thread each, in turns on one core.
#
#   tests/bench/compare.sh [cnn|train|faces|all] [WEIGHTS]
#
# Prints `ratio NAME OURS/PEER`: below 1, ours is the faster one. CORE chooses the core, ROUNDS the
# number of turns. The peers come from PyPI into target/bench-venv.
set -eu
cd "$(dirname "$0")/../.."
what=${1:-all}
weights=${2:-models/paper-deep.safetensors}
case $what in
cnn) packages="numpy onnx onnxruntime" ;;
faces) packages="numpy opencv-python-headless" ;;
train) packages="numpy onnx onnxruntime tensorflow-cpu" ;;
all) packages="numpy onnx onnxruntime tensorflow-cpu opencv-python-headless" ;;
*)
    echo "usage: $0 [cnn|train|faces|all] [WEIGHTS]" >&2
    exit 2
    ;;
esac
target=${CARGO_TARGET_DIR:-target}
program=$(cargo build --release --bench peer --message-format=json |
    sed -n 's/.*"name":"peer".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
if [ ! -e "$target/bench-venv" ]; then
    python3 -m venv "$target/bench-venv"
fi
"$target/bench-venv/bin/pip" install --quiet --disable-pip-version-check $packages
core=${CORE:-$(taskset -cp $$ | sed 's/.*[ ,-]//')}
export OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=2 PYTHONDONTWRITEBYTECODE=1
exec taskset -c "$core" "$target/bench-venv/bin/python" tests/bench/compare.py "$program" "$weights" "$what"
