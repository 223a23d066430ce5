#!/bin/sh
# Records the webcam with labels until Ctrl-C: record.sh FILE.mkv [properties of smilefilter]
# FILE.mp4 and such will do, too. A recording that is there is never overwritten.
exec "$(dirname -- "$0")/program.sh" smile-label camera "$@"
