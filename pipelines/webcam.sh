#!/bin/sh
# The webcam with labels in a window. Properties of smilefilter may follow: webcam.sh region=full
# SMILE_CAMERA names another camera, in the words of gst-launch-1.0: SMILE_CAMERA="v4l2src device=/dev/video2"
exec "$(dirname -- "$0")/program.sh" smile-label camera window "$@"
