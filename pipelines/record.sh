#!/bin/sh
# Records the webcam with labels until Ctrl-C: record.sh FILE.mkv [properties of smilefilter]
# FILE.mp4 and such will do, too. A file that is there is not overwritten.
exec "$(dirname -- "$0")/program.sh" smile-label camera "$@"
