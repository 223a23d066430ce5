#!/bin/sh
# Labels the pictures in a folder, or a video with its sound:
#   files.sh FOLDER OUTPUT_FOLDER [properties of smilefilter]   a PNG for each JPEG and PNG
#   files.sh VIDEO OUTPUT.mp4 [properties of smilefilter]       or .mkv, .webm, .mov, .avi
# A file that is there stays, unless --overwrite comes first. files.sh --help tells more.
exec "$(dirname -- "$0")/program.sh" smile-label "$@"
