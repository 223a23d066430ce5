#!/bin/sh
# Sixteen streams with labels in one picture:
#   wall.sh                          test pictures
#   wall.sh INPUT [INPUT ...]        up to sixteen files or streams, over and over until all places are taken
# wall.sh --help tells more.
exec "$(dirname -- "$0")/program.sh" smile-wall "$@"
