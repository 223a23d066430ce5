#!/bin/sh
# Remakes models/paper-default.safetensors, the paper's network of three convolutions, from GENKI-4K.
set -eu
# shellcheck source=models/recipes/common.sh
. "$(dirname "$0")/common.sh"

need genki4k
train paper-default 50 --data "$data/genki4k" --report "$made/paper-default" --threads 1 --preset paper-default --seed 1
