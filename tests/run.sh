#!/bin/sh
# Installs what is missing and runs every check; stops at the first that fails.
set -eu
cd "$(dirname "$0")/.."
. pipelines/setup.sh

require_rust
install_missing
# For the lint of scripts and the test of a GPU's memory, which are left out without these.
if have apt-get && ! { have shellcheck && have xvfb-run; }; then
    install_with apt-get "shellcheck xvfb xauth libgl1-mesa-dri"
fi

# One build for all: that of the plugin and of the demonstration is the tests'. Kafka brings smile-serve.
export SMILE_FEATURES=kafka

step "Formatting"
cargo fmt --check

step "Lints, with and without training and smile-serve"
cargo clippy --release --locked --features kafka --all-targets -- -D warnings
cargo clippy --release --locked --no-default-features --all-targets -- -D warnings

step "Tests"
# The same random cases on every run: a check that fails has to fail again.
PROPTEST_RNG_SEED=1 cargo test --release --locked --features "$(plugin_features)"

step "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --features kafka --no-deps

step "Shell scripts"
if have shellcheck; then
    shellcheck -x models/recipes/*.sh pipelines/*.sh tests/*.sh tests/fuzz/*.sh .ci/run .ci/cuda/nvcc
else
    echo "shellcheck is not here, so the scripts are not linted; they are run below."
fi

step "Licences and sources of dependencies"
if cargo deny --version >/dev/null 2>&1; then
    # Advisories change from day to day, so that they are looked up by hand: `cargo deny check advisories`.
    cargo deny check licenses bans sources
else
    echo "cargo-deny is not here, so they are not checked."
fi

# What smile-serve is made of is nobody else's.
if cargo tree --locked --edges normal | grep -E ' (axum|hyper|rskafka|rumqttc|rusqlite|tokio) v'; then
    fail "the default build has crates of smile-serve's"
fi

build_plugin
step "The element as GStreamer sees it"
gst-inspect-1.0 smilefilter

pipelines/demo.sh --offline
for file in target/demo/labelled.mkv target/demo/astronaut.jpg.png; do
    [ -s "$file" ] || fail "$file was not written"
done

if [ "$(uname -sm)" = "Linux x86_64" ] && have cc && have readelf; then
    # Built to be loaded, not to be fast.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 pipelines/build-cuda.sh --stub --no-default-features --lib
else
    echo "The CUDA build is not checked: that needs Linux on x86-64, a C compiler and readelf."
fi

step "All checks passed"
