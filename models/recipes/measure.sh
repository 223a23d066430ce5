#!/bin/sh
# Measures the built-in weights again and writes the tables of models/README.md and models/notebook.md that tell of them.
# SMILE_MODEL and FACE_MODEL name other weights; `git diff` then shows what they change.
set -eu
# shellcheck source=models/recipes/common.sh
. "$(dirname "$0")/common.sh"

need genki4k celeba.tar celeba-wild.tar rafdb.tar fer2013-64.tar ferplus.csv celeba.csv \
    scenes.tar scenes-boxes.csv scenes-ignore.csv scenes-parts.csv yunet.onnx
need_python
smile=${SMILE_MODEL:-models/smile.safetensors}
face=${FACE_MODEL:-models/face.safetensors}
mkdir -p "$made"

smile_train eval --model "$smile" --face-model "$face" --data "$data/genki4k" --data "$data/celeba.tar" \
    --data "$data/celeba-wild.tar" --data "$data/rafdb.tar" --data "$data/fer2013-64.tar" --votes "$data/ferplus.csv" \
    --parts "$data/celeba.csv" --attributes "$data/celeba.csv" --split validation --json "$made/collections.json"

for side in 160 320; do
    python models/recipes/locate_peers.py "$data/scenes.tar" "$made/yunet-$side.csv" --yunet "$data/yunet.onnx" \
        --side "$side" --score 0.7
done
smile_train eval --model "$face" --data "$data/scenes.tar" --boxes "$data/scenes-boxes.csv" \
    --ignore-boxes "$data/scenes-ignore.csv" --parts "$data/scenes-parts.csv" --split validation \
    --peer "YuNet 160, 0.7=$made/yunet-160.csv" --peer "YuNet 320, 0.7=$made/yunet-320.csv" --json "$made/locator.json"

smile_train card --card models/README.md --collections "$made/collections.json"
smile_train card --card models/notebook.md --collections "$made/collections.json" --locator "$made/locator.json"
