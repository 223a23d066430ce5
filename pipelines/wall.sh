#!/bin/sh
# Sixteen streams with labels in one picture:
#   wall.sh                          test pictures
#   wall.sh URI [URI ...]            any number of files or streams, over and over until all places are taken
# WALL_SINK is where the picture goes, in the words of gst-launch-1.0; default: autovideosink.
set -eu
GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$(dirname "$0")/../target/release}"
export GST_PLUGIN_PATH

line="compositor name=wall background=black"
streams=""
for place in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    line="$line sink_$place::xpos=$((place % 4 * 320)) sink_$place::ypos=$((place / 4 * 240))"
    if [ $# -gt 0 ]; then
        case $1 in *://*) uri=$1 ;; *) uri="file://$(realpath "$1")" ;; esac
        input="uridecodebin uri=$uri"
        first=$1
        shift
        set -- "$@" "$first"
    else
        input="videotestsrc is-live=true pattern=ball num-buffers=${WALL_FRAMES:--1} ! video/x-raw,width=640,height=480,framerate=30/1"
    fi
    streams="$streams $input ! videoconvert ! smilefilter mode=async ! queue ! videoscale ! video/x-raw,width=320,height=240,pixel-aspect-ratio=1/1 ! queue ! wall.sink_$place"
done

# The line is made of words; URIs have no spaces.
# shellcheck disable=SC2086
exec gst-launch-1.0 -q -e $line ! video/x-raw,width=1280,height=960 ! videoconvert ! ${WALL_SINK:-autovideosink} $streams
