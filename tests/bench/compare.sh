#!/bin/sh
# Our networks and those of peers side by side, in turns: on one core with one thread each, or on a GPU.
#
#   tests/bench/compare.sh [cnn|train|faces|all|gpu] [WEIGHTS]
#
# Prints `ratio NAME OURS/PEER`: below 1, ours is the faster one. CORE chooses the core, ROUNDS the
# number of turns. The peers come from PyPI into target/bench-venv.
#
# gpu runs on SMILE_DEVICE (cuda:0 if that is not set) beside PyTorch. On a machine without Rust or a network, PROGRAM
# names our side, which `pipelines/build-cuda.sh --bench peer` has built elsewhere as target/cuda/release/deps/peer-*,
# and PYTHON an interpreter with numpy and, to have something to compare with, torch.
set -eu
cd "$(dirname "$0")/../.."
what=${1:-all}
weights=${2:-models/paper-deep.safetensors}
case $what in
cnn) packages="numpy onnx onnxruntime" ;;
faces) packages="numpy opencv-python-headless" ;;
train) packages="numpy onnx onnxruntime tensorflow-cpu" ;;
all) packages="numpy onnx onnxruntime tensorflow-cpu opencv-python-headless" ;;
gpu)
    packages="numpy torch"
    export SMILE_DEVICE="${SMILE_DEVICE:-cuda:0}"
    ;;
*)
    echo "usage: $0 [cnn|train|faces|all|gpu] [WEIGHTS]" >&2
    exit 2
    ;;
esac
target=${CARGO_TARGET_DIR:-target}
if [ -z "${PROGRAM:-}" ]; then
    if [ "$what" = gpu ] && [ "$SMILE_DEVICE" != cpu ]; then
        pipelines/build-cuda.sh --bench peer
        PROGRAM=$(find "$target/cuda/release/deps" -name 'peer-*' ! -name '*.d' -newer Cargo.lock | head -n 1)
    else
        PROGRAM=$(cargo build --release --bench peer --message-format=json |
            sed -n 's/.*"name":"peer".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    fi
fi
if [ -z "${PYTHON:-}" ]; then
    if [ ! -e "$target/bench-venv" ]; then
        python3 -m venv "$target/bench-venv"
    fi
    PYTHON=$target/bench-venv/bin/python
    # Package names have no spaces.
    # shellcheck disable=SC2086
    "$PYTHON" -m pip install --quiet --disable-pip-version-check $packages
fi
export TF_CPP_MIN_LOG_LEVEL=2 PYTHONDONTWRITEBYTECODE=1
if [ "$what" = gpu ]; then
    exec "$PYTHON" tests/bench/compare.py "$PROGRAM" "$weights" "$what"
fi
core=${CORE:-$(taskset -cp $$ | sed 's/.*[ ,-]//')}
export OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1
exec taskset -c "$core" "$PYTHON" tests/bench/compare.py "$PROGRAM" "$weights" "$what"
