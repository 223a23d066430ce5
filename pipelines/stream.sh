#!/bin/sh
# An RTSP camera with labels as RTSP again, by way of an RTSP server such as MediaMTX:
#   stream.sh rtsp://camera/stream rtsp://localhost:8554/smile [properties of smilefilter]
# That server shows the same to browsers by WebRTC, at http://localhost:8889/smile. As WebRTC all the way, by
# WHIP to any server that takes it:
#   stream.sh rtsp://camera/stream http://localhost:8889/smile/whip
# A file, or any other URI that GStreamer plays, is as good a source; a FILE.mkv as good a target.
set -eu
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
source=$1 target=$2
shift 2
GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$(dirname "$0")/../target/release}"
export GST_PLUGIN_PATH

case $source in *://*) ;; *) source="file://$(realpath "$source")" ;; esac
encoder="vp8enc deadline=1 cpu-used=8 target-bitrate=2000000 keyframe-max-dist=60"
if gst-inspect-1.0 --exists x264enc; then
    encoder="x264enc tune=zerolatency speed-preset=veryfast bitrate=2000 key-int-max=60"
fi
case $target in
rtsp://*)
    gst-inspect-1.0 --exists rtspclientsink || {
        echo "Error: rtspclientsink is missing; install gst-rtsp-server's GStreamer plugin (package gstreamer1.0-rtsp)" >&2
        exit 1
    }
    sink="rtspclientsink location=$target"
    ;;
http://* | https://*)
    # --exists wants versions from 1.0 on, which plugins in Rust don't have.
    gst-inspect-1.0 whipsink >/dev/null 2>&1 || {
        echo "Error: whipsink is missing; install the GStreamer plugin webrtchttp of gst-plugins-rs, and libnice's" >&2
        exit 1
    }
    payload="rtpvp8pay"
    [ "${encoder%% *}" = vp8enc ] || payload="rtph264pay aggregate-mode=zero-latency config-interval=-1"
    sink="$payload ! whipsink whip-endpoint=$target"
    ;;
*) sink="matroskamux streamable=true ! filesink location=$target" ;;
esac

# Encoders and sinks have no spaces but those between words.
# shellcheck disable=SC2086
gst-launch-1.0 -q -e uridecodebin uri="$source" ! videoconvert ! smilefilter mode=async "$@" ! videoconvert ! $encoder ! $sink
