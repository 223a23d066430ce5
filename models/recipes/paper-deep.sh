#!/bin/sh
# Remakes models/paper-deep.safetensors, the paper's network of four convolutions with L2, from GENKI-4K.
set -eu
# shellcheck source=models/recipes/common.sh
. "$(dirname "$0")/common.sh"

need genki4k
train paper-deep 50 --data "$data/genki4k" --report "$made/paper-deep" --threads 1 --preset paper-deep --seed 1
