#!/bin/sh
# The webcam with labels in a window. Properties of smilefilter may follow: webcam.sh region=full
set -eu
GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$(dirname "$0")/../target/release}"
export GST_PLUGIN_PATH
case $(uname) in Darwin) camera=avfvideosrc ;; *) camera=v4l2src ;; esac

gst-launch-1.0 "$camera" ! videoconvert ! smilefilter "$@" ! videoconvert ! autovideosink sync=false
