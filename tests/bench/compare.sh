#!/bin/sh
# Our networks and those of peers side by side, in turns: on one core with one thread each, or on a GPU.
#
#   tests/bench/compare.sh [cnn|train|faces|all|gpu|carry] [WEIGHTS]
#
# Prints `ratio NAME OURS/PEER`: below 1, ours is the faster one. CORE chooses the core, ROUNDS the
# number of turns. The peers come from PyPI into target/bench-venv.
#
# gpu runs on SMILE_DEVICE (cuda:0 if that is not set) beside PyTorch. `tests/bench/compare.sh carry` builds our side and
# packs it with all else that this takes, for a machine with a GPU but without Rust or a network; there PYTHON names an
# interpreter with numpy and, to have something to compare with, torch.
set -eu
cd "$(dirname "$0")/../.."
what=${1:-all}
weights=${2:-models/paper-deep.safetensors}
case $what in
cnn) packages="numpy onnx onnxruntime" ;;
faces) packages="numpy opencv-python-headless" ;;
train) packages="numpy tensorflow-cpu" ;;
all) packages="numpy onnx onnxruntime tensorflow-cpu opencv-python-headless" ;;
gpu)
    packages="numpy torch"
    export SMILE_DEVICE="${SMILE_DEVICE:-cuda:0}"
    ;;
carry) packages= ;;
*)
    echo "usage: $0 [cnn|train|faces|all|gpu|carry] [WEIGHTS]" >&2
    exit 2
    ;;
esac
target=${CARGO_TARGET_DIR:-target}
build_for_gpu() {
    pipelines/build-cuda.sh --lib --bench peer
    # Builds with other dependencies may lie beside it.
    PROGRAM=$(find "$target/cuda/release/deps" -name 'peer-*' ! -name '*.d' -printf '%T@ %p\n' | sort -rn |
        head -n 1 | cut -d ' ' -f 2-)
}
if [ "$what" = carry ]; then
    build_for_gpu
    packed=$target/cuda/smile-bench.tar
    cp "$PROGRAM" "$target/cuda/peer"
    tar cf "$packed" tests/bench/compare.sh tests/bench/compare*.py tests/data/astronaut.jpg models/*.safetensors \
        -C "$target/cuda" peer
    echo "$packed; where there is a GPU: tar xf smile-bench.tar && PYTHON=python3 tests/bench/compare.sh gpu models/smile.safetensors"
    exit
fi
if [ -f peer ]; then
    # We were carried here.
    PROGRAM=$PWD/peer
fi
if [ -z "${PROGRAM:-}" ]; then
    if [ "$what" = gpu ] && [ "$SMILE_DEVICE" != cpu ]; then
        build_for_gpu
    else
        PROGRAM=$(cargo build --release --bench peer --message-format=json |
            sed -n 's/.*"name":"peer".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    fi
fi
case $what in
cnn | all)
    # What exports the network for ONNX Runtime.
    if [ -z "${SMILE_TRAIN:-}" ]; then
        cargo build --release --bin smile-train
        export SMILE_TRAIN="$target/release/smile-train"
    fi
    ;;
esac
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
