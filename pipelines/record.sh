#!/bin/sh
# Records the webcam with labels until Ctrl-C: record.sh FILE.mkv [properties of smilefilter]
set -eu
[ $# -ge 1 ] || { echo "Usage: $0 FILE.mkv [properties of smilefilter]" >&2; exit 2; }
file=$1
shift
GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$(dirname "$0")/../target/release}"
export GST_PLUGIN_PATH
case $(uname) in Darwin) camera=avfvideosrc ;; *) camera=v4l2src ;; esac

gst-launch-1.0 -e "$camera" ! videoconvert ! smilefilter "$@" ! videoconvert ! jpegenc ! matroskamux ! filesink location="$file"
