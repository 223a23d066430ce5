#!/bin/sh
# Installs what is missing, builds the plugin and shows it: the webcam in a window where there is a camera and a display,
# else the sample pictures as a video file and a PNG (only these with --offline), and smile-serve's page in a browser.
set -eu
cd "$(dirname "$0")/.."
. pipelines/setup.sh

has_display() { [ "$(uname)" = Darwin ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; }
# A camera is there when a frame of it can be labelled: one whose video can't be used isn't.
has_camera() { pipelines/program.sh smile-label --frames 1 camera none >/dev/null 2>&1; }

offline() {
    step "Labelling the sample pictures"
    mkdir -p target/demo
    gst-launch-1.0 -q multifilesrc location=tests/data/astronaut.jpg loop=true num-buffers=75 caps=image/jpeg,framerate=25/1 ! jpegdec ! videoconvert ! videoscale ! video/x-raw,width=640,height=480,pixel-aspect-ratio=1/1 ! smilefilter ! videoconvert ! jpegenc ! matroskamux ! filesink location=target/demo/labelled.mkv
    printf 'The labelled video and pictures:\n%s\n' "$PWD/target/demo/labelled.mkv"
    pipelines/files.sh --overwrite tests/data "$PWD/target/demo"
}

# On a port of its own and with its history under target/, so that it is in nobody's way.
page() {
    step "Building smile-serve"
    SMILE_FEATURES=serve
    cargo build --release --locked --features "$(plugin_features)" --bin smile-serve
    set -- pattern:ball tests/data/astronaut.jpg
    [ ! -c /dev/video0 ] || ! has_camera || set -- /dev/video0 "$@"
    step "A page to open in a browser, until you press Ctrl-C"
    exec "${CARGO_TARGET_DIR:-target}/release/smile-serve" "$@" --port 0 --data target/demo/serve
}

require_rust
install_missing
build_plugin
cargo build --release --locked --features "$(plugin_features)" --example smile-label
if [ "${1:-}" != --offline ] && has_display && has_camera; then
    step "Your webcam, until you close the window or press Ctrl-C"
    exec pipelines/webcam.sh
fi
[ "${1:-}" = --offline ] || echo "There is no camera with a display here."
offline
[ "${1:-}" = --offline ] || page
