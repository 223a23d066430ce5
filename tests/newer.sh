#!/bin/sh
# Lints and tests with a newer GStreamer than this system's, and with the feature `analytics`, which needs one: in a
# root of a newer Debian that mmdebstrap makes under target/newer.
# Usage: tests/newer.sh [RELEASE [CARGO-ARGUMENT…]]
# RELEASE is trixie (GStreamer 1.26) if none is named; forky has 1.28. The arguments stand in place of those of the lints
# and tests: `tests/newer.sh forky test --release --features analytics --test analytics`.
# Needs root and mmdebstrap, which is installed where apt-get is; without, it says so and is content.
set -eu
cd "$(dirname "$0")/.."
. pipelines/setup.sh

release=${1:-trixie}
[ $# -eq 0 ] || shift
step "Tests on Debian's $release"
if [ "$(uname -s)" != Linux ] || [ "$(id -u)" -ne 0 ] || ! have unshare; then
    echo "Skipped: that needs Linux, root and unshare."
    exit
fi
if ! have mmdebstrap && have apt-get; then
    install_with apt-get mmdebstrap || true
fi
if ! have mmdebstrap; then
    echo "Skipped: mmdebstrap is not here."
    exit
fi
require_rust

folder=$PWD/target/newer/$release
root=$folder/root
packages="$debian_packages ca-certificates libgstreamer-plugins-bad1.0-dev
python3-gi python3-gst-1.0 gir1.2-gst-plugins-bad-1.0"
if [ ! -e "$folder/complete" ]; then
    rm -rf "$root"
    mkdir -p "$folder"
    # Package lists of a release in preparation expire while mirrors rest.
    mmdebstrap --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
        --include="$(echo "$packages" | tr -s ' \n' ,)" "$release" "$root"
    touch "$folder/complete"
fi
chroot "$root" gst-inspect-1.0 --version

# The crates come from here, and so does what this system has compiled of them already.
cargo fetch --locked
if [ -d target/release ] && [ ! -d "$folder/build" ]; then
    mkdir -p "$folder/build/release"
    cp -a target/release/deps target/release/build target/release/.fingerprint "$folder/build/release/"
fi
cat >"$root/run.sh" <<'RUN'
set -eu
cd "$checkout"
if [ $# -gt 0 ]; then
    exec cargo "$@"
fi
cargo clippy --release --locked --features analytics --all-targets -- -D warnings
PROPTEST_RNG_SEED=1 cargo test --release --locked --features analytics --no-fail-fast
RUN
export checkout="$PWD" root="$root" CARGO_TARGET_DIR="$folder/build" SMILE_NEWER="$release" \
    CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
# In a mount namespace of its own, so that nothing stays mounted whatever happens.
# shellcheck disable=SC2016
unshare -m sh -eu -c '
    for path in "$CARGO_HOME" "$RUSTUP_HOME" "$checkout" "$checkout/../shared" /proc /dev /sys; do
        [ -d "$path" ] || continue
        path=$(realpath "$path")
        mkdir -p "$root$path"
        mount --rbind "$path" "$root$path"
    done
    [ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    chroot "$root" sh /run.sh "$@"
' sh "$@"
