#!/bin/sh
# Labels the pictures in a folder, or a video file:
#   files.sh FOLDER OUTPUT_FOLDER [properties of smilefilter]   a PNG for each JPEG and PNG
#   files.sh VIDEO OUTPUT.mkv [properties of smilefilter]
set -eu
[ $# -ge 2 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
input=$1 output=$2
shift 2
GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$(dirname "$0")/../target/release}"
export GST_PLUGIN_PATH

if [ ! -d "$input" ]; then
    gst-launch-1.0 -q filesrc location="$input" ! decodebin ! videoconvert ! smilefilter "$@" ! videoconvert ! jpegenc ! matroskamux ! filesink location="$output"
    echo "$output"
    exit
fi

mkdir -p "$output"
none=yes
for picture in "$input"/*; do
    case $picture in *.[jJ][pP][gG] | *.[jJ][pP][eE][gG] | *.[pP][nN][gG]) none=no ;; *) continue ;; esac
    labelled="$output/$(basename "$picture").png"
    gst-launch-1.0 -q filesrc location="$picture" ! decodebin ! videoconvert ! videoflip video-direction=auto ! smilefilter "$@" ! videoconvert ! pngenc ! filesink location="$labelled"
    echo "$labelled"
done
[ $none = no ] || { echo "Error: no JPEG or PNG in $input" >&2; exit 1; }
