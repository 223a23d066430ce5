#!/bin/sh
# Builds the plugin with CUDA as one file for machines with an NVIDIA GPU and without one, and checks that it
# is that: it needs no CUDA library to load, and opens them when a GPU is asked for.
#
#   pipelines/build-cuda.sh [--stub] [arguments of cargo build]
#
# The kernels are compiled by the CUDA toolkit of CUDA_HOME, of the PATH or of /usr/local/cuda, and where there
# is none by the compiler that NVIDIA publishes in Python packages (105 MB from PyPI, kept in target/cuda). With
# --stub nothing compiles them: such a plugin builds, loads and runs on the CPU, and a GPU fails in it.
#
# What is built lies in target/cuda/release; GST_PLUGIN_PATH is to name that folder. CUDA_COMPUTE_CAP names the
# oldest GPU that it is for (80: Ampere).
set -eu
cd "$(dirname "$0")/.."
. pipelines/setup.sh

stub=no
if [ "${1:-}" = --stub ]; then
    stub=yes
    shift
fi
target=${CARGO_TARGET_DIR:-target}/cuda
case $target in /*) ;; *) target=$PWD/$target ;; esac
libraries=$target/lazy
python_packages="nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"

find_toolkit() {
    for CUDA_HOME in "${CUDA_HOME:-}" "$(dirname "$(dirname "$(command -v nvcc || echo /none/none/none)")")" \
        /usr/local/cuda "$target/toolkit"; do
        if [ -x "$CUDA_HOME/bin/nvcc" ]; then
            export CUDA_HOME
            return
        fi
    done
    step "Fetching NVIDIA's compiler from PyPI into $target/toolkit"
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "there is neither a CUDA toolkit here nor pip (Debian: python3-pip) to fetch its compiler with; install one of them, or use --stub"
    rm -rf "$target/packages" "$target/toolkit"
    # Package names have no spaces.
    # shellcheck disable=SC2086
    python3 -m pip install --quiet --no-deps --only-binary=:all: --platform manylinux2014_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux_2_12_x86_64 --platform manylinux2010_x86_64 \
        --python-version 3.12 --target "$target/packages" $python_packages
    mv "$target/packages/nvidia/cu13" "$target/toolkit"
    chmod +x "$target"/toolkit/bin/* "$target"/toolkit/nvvm/bin/*
}

# An archive in the place of a CUDA library: NAME MODULE ANSWER FILE...
lazy() {
    name=$1 module=$2 answer=$3
    shift 3
    sed -n 's/^pub unsafe fn \(\(cu\|nvrtc\)[A-Za-z0-9_]*\)(.*/FORWARD(\1, fail)/p' \
        "$cudarc/src/$module/sys/mod.rs" | grep -v '(culib,' | sort -u |
        sed 's/^\(FORWARD(.*\(GetStatusName\|GetStatusString\|nvrtcGetErrorString\), \)fail/\1text/' >"$libraries/$name.h"
    files=$(printf '"%s",' "$@")
    ${CC:-cc} -O2 -fPIC -ffunction-sections "-DLIBRARIES=$files" "-DMISSING=$answer" "-DFUNCTIONS=\"$libraries/$name.h\"" \
        -c .ci/cuda/lazy.c -o "$libraries/$name.o"
    rm -f "$libraries/lib$name.a"
    ar crs "$libraries/lib$name.a" "$libraries/$name.o"
}

make_lazy_libraries() {
    cargo fetch --locked --quiet
    cudarc=$(cargo metadata --format-version 1 --locked --offline --features cuda |
        sed -n 's/.*"\([^"]*\/cudarc-[^"]*\)\/Cargo.toml".*/\1/p')
    mkdir -p "$libraries"
    # Answers are CUDA_ERROR_STUB_LIBRARY and each library's word for not being initialised.
    lazy cuda driver 34 libcuda.so.1
    lazy cublas cublas 1 libcublas.so.13 libcublas.so.12 libcublas.so.11
    lazy cublasLt cublaslt 1 libcublasLt.so.13 libcublasLt.so.12 libcublasLt.so.11
    lazy curand curand 101 libcurand.so.10
    lazy nvrtc nvrtc 1 libnvrtc.so.13 libnvrtc.so.12 libnvrtc.so.11.2
    # Only the kernels that .ci/cuda/nvcc leaves out call the runtime.
    rm -f "$libraries/libcudart.a"
    ar crs "$libraries/libcudart.a"
}

build() {
    if [ "$stub" = no ]; then
        find_toolkit
        export REAL_NVCC="$CUDA_HOME/bin/nvcc"
    fi
    step "Building with CUDA ($([ "$stub" = yes ] && echo "no kernels" || echo "kernels by $REAL_NVCC"))"
    export NVCC="$PWD/.ci/cuda/nvcc" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}"
    # The oldest interface that is enough: newer drivers have it too.
    export CUDARC_CUDA_VERSION="${CUDARC_CUDA_VERSION:-12000}"
    # Before the folders of a toolkit, which the build scripts of dependencies name.
    export RUSTFLAGS="-L native=$libraries ${RUSTFLAGS:-}"
    cargo build --release --locked --target-dir "$target" --features cuda "$@"
}

launch() {
    gst-launch-1.0 videotestsrc num-buffers=3 ! video/x-raw,width=160,height=120 ! smilefilter "$@" ! fakesink 2>&1
}

# A device that is to end in one clear error with these words.
fails_as() {
    if launch "device=$1" >"$target/log"; then fail "device=$1 works without such a GPU"; fi
    if ! { [ "$(grep -c 'ERROR: from element' "$target/log")" = 1 ] && grep -q "device \"$1\".*$2" "$target/log"; }; then
        fail "device=$1 should fail with one clear error ($2): $(cat "$target/log")"
    fi
    sed -n 's/^ERROR: from element [^ ]* //p' "$target/log"
}

check() {
    step "The plugin without CUDA's libraries"
    plugin=$target/release/libgstsmile.so
    needed=$(readelf -d "$plugin" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    case $needed in
    *libcu* | *libnvrtc*) fail "$plugin needs CUDA's libraries to load: $needed" ;;
    esac
    export GST_PLUGIN_PATH="$target/release" GST_REGISTRY="$target/registry.bin"
    rm -f "$GST_REGISTRY"
    gst-inspect-1.0 smilefilter >/dev/null || fail "$plugin doesn't load"
    for device in auto cpu; do
        launch "device=$device" >"$target/log" || fail "device=$device: $(cat "$target/log")"
    done
    [ -e /dev/nvidiactl ] || fails_as cuda:0 "there is no NVIDIA driver here"
    fails_as cuda:99 ""
    for gpus in 0 2; do
        # Before the real driver, if there is one.
        mkdir -p "$target/driver-$gpus"
        ${CC:-cc} -shared -fPIC "-DGPUS=$gpus" .ci/cuda/driver.c -o "$target/driver-$gpus/libcuda.so.1"
    done
    (
        export LD_LIBRARY_PATH="$target/driver-0"
        fails_as cuda:0 "finds no GPU"
        export LD_LIBRARY_PATH="$target/driver-2"
        fails_as cuda:2 "no such GPU here, of 2 counted from 0"
        fails_as cuda:1 "no memory left"
        launch device=auto >"$target/log" || fail "device=auto with a GPU that is full: $(cat "$target/log")"
    )
    printf 'It needs no CUDA library, loads, and runs on the CPU.\n%s, %s bytes\n' "$plugin" "$(wc -c <"$plugin")"
}

case $(uname -sm) in
'Linux x86_64' | 'Linux aarch64') ;;
*) fail "CUDA plugins are built on 64-bit Linux only, not on $(uname -sm)" ;;
esac
if ! { have "${CC:-cc}" && have ar && have readelf; }; then
    fail "a C compiler and binutils are needed"
fi
require_rust
make_lazy_libraries
build "$@"
check
