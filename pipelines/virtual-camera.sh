#!/bin/sh
# The webcam with labels as another camera, for video calls: virtual-camera.sh [DEVICE [properties of smilefilter]]
# Linux only; first make the device: sudo modprobe v4l2loopback card_label=Smile exclusive_caps=1
set -eu
device=${1:-}
[ $# -eq 0 ] || shift
if [ -z "$device" ]; then
    for name in /sys/devices/virtual/video4linux/*/name; do
        [ -e "$name" ] || continue
        device=/dev/$(basename "$(dirname "$name")")
        break
    done
fi
[ -c "${device:-/nowhere}" ] || {
    echo "Error: ${device:-a loopback device} is not there. Install v4l2loopback (package v4l2loopback-dkms), then: sudo modprobe v4l2loopback card_label=Smile exclusive_caps=1" >&2
    exit 1
}
GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$(dirname "$0")/../target/release}"
export GST_PLUGIN_PATH

echo "The camera is $device, until you press Ctrl-C"
gst-launch-1.0 -q v4l2src ! videoconvert ! smilefilter mode=async "$@" ! videoconvert ! video/x-raw,format=YUY2 ! v4l2sink device="$device" sync=false
