#!/bin/sh
# The webcam with labels as another camera, for video calls: virtual-camera.sh [DEVICE [properties of smilefilter]]
# Linux only; first make the device: sudo modprobe v4l2loopback card_label=Smile exclusive_caps=1
# The webcam is the first that is no loopback device, or the one that CAMERA names.
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
camera=${CAMERA:-}
if [ -z "$camera" ]; then
    for node in /sys/class/video4linux/video*; do
        # Loopback devices are virtual, and what a webcam has beside its first node are no pictures.
        case $(readlink -f "$node") in */virtual/*) continue ;; esac
        [ "$(cat "$node/index" 2>/dev/null)" = 0 ] || continue
        camera=/dev/$(basename "$node")
        break
    done
fi
[ -c "${camera:-/nowhere}" ] || {
    echo "Error: ${camera:-a webcam} is not there; CAMERA=/dev/videoN names one" >&2
    exit 1
}
echo "The camera is $device, with the pictures of $camera, until you press Ctrl-C"
exec "$(dirname -- "$0")/program.sh" smile-label "$camera" "$device" "$@"
