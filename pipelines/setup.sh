# shellcheck shell=sh
# Sourced by demo.sh, program.sh, build-cuda.sh and tests/run.sh: installs what a build and a run need, and builds the plugin.

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'Error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root; root itself needs no sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root and there is no sudo; as root, run: $*"
    fi
}

# Everything that a build, the demo and the tests use.
is_complete() {
    have cc && have pkg-config && have gst-launch-1.0 && have gst-inspect-1.0 &&
        pkg-config --exists 'gstreamer-1.0 >= 1.22' gstreamer-video-1.0 gstreamer-check-1.0 &&
        for element in videoconvert videoscale decodebin autovideosink jpegdec jpegenc pngenc matroskamux multifilesrc jpegparse; do
            gst-inspect-1.0 --exists "$element" || return 1
        done
}

# Debian's packages of all that.
debian_packages="build-essential pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-tools
gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-x gstreamer1.0-gl"

# Says what it will install, then installs it.
install_with() {
    printf 'With %s, this installs:\n  %s\n' "$1" "$2"
    # Package names have no spaces.
    # shellcheck disable=SC2086
    case $1 in
    apt-get)
        as_root apt-get update
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y $2
        ;;
    dnf) as_root dnf install -y $2 ;;
    pacman) as_root pacman -S --needed --noconfirm $2 ;;
    brew) brew install $2 ;;
    esac
}

install_missing() {
    step "Looking for a compiler and GStreamer"
    if is_complete; then
        echo "All there."
        return
    fi
    if have apt-get; then
        install_with apt-get "$debian_packages"
    elif have dnf; then
        install_with dnf "gcc gcc-c++ pkgconf-pkg-config gstreamer1-devel gstreamer1-plugins-base-devel gstreamer1-plugins-base-tools gstreamer1-plugins-good gstreamer1-plugins-bad-free"
    elif have pacman; then
        install_with pacman "gcc pkgconf gstreamer gst-plugins-base gst-plugins-good gst-plugins-bad"
    elif have brew; then
        install_with brew "pkgconf gstreamer"
    else
        fail "no apt-get, dnf, pacman or brew here; please install a C compiler, pkg-config and GStreamer 1.22 or newer with its base, good and bad plugins and development files"
    fi
    is_complete || fail "something is still missing; GStreamer has to be 1.22 or newer (it is $(pkg-config --modversion gstreamer-1.0 2>&1))"
}

# Rust is yours to install: it comes in many ways, and its installer asks questions.
find_cargo() {
    # Services have no HOME.
    bin=${CARGO_HOME:-${HOME:-/nowhere}/.cargo}/bin
    if ! have cargo && [ -x "$bin/cargo" ]; then
        PATH="$bin:$PATH"
    fi
    have cargo || fail "Rust is missing. Install it with rustup (https://rustup.rs), open a new terminal and start again."
}

require_rust() {
    find_cargo
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        fail "Rust $wanted or newer is needed, and this is $found. Update it with: rustup update (https://rustup.rs; distributions' packages are often too old)"
}

# What the GStreamer of this system has room for, and what SMILE_FEATURES asks for, as --features takes it.
plugin_features() {
    ! pkg-config --exists 'gstreamer-analytics-1.0 >= 1.24' || printf 'analytics '
    echo "${SMILE_FEATURES:-}"
}

build_plugin() {
    step "Building the plugin"
    cargo build --release --locked --features "$(plugin_features)"
    GST_PLUGIN_PATH="$PWD/${CARGO_TARGET_DIR:-target}/release${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"
    case ${CARGO_TARGET_DIR:-} in /*) GST_PLUGIN_PATH="$CARGO_TARGET_DIR/release" ;; esac
    export GST_PLUGIN_PATH
}
