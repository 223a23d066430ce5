#!/bin/sh
# An RTSP camera with labels as RTSP again, by way of an RTSP server such as MediaMTX:
#   stream.sh rtsp://camera/stream rtsp://localhost:8554/smile [properties of smilefilter]
# That server shows the same to browsers by WebRTC, at http://localhost:8889/smile. As WebRTC all the way, by
# WHIP to any server that takes it:
#   stream.sh rtsp://camera/stream http://localhost:8889/smile/whip
# A file, the word camera, or any other URI that GStreamer plays, is as good a source; a FILE.mkv as good a target.
exec "$(dirname -- "$0")/program.sh" smile-label "$@"
