#!/bin/sh
# Remakes models/face.safetensors: labels and gathers pictures, then trains three times.
#
# The second training of the weights that ship was ended in its fifth epoch, and it and the first were made by an earlier
# version without merging heads; here all three run out with today's, so that the weights are like them and not the same.
set -eu
# shellcheck source=models/recipes/common.sh
. "$(dirname "$0")/common.sh"

need genki4k genki4k-faces.csv scenes.tar scenes-boxes.csv scenes-drawn.csv scenes-ignore.csv scenes-parts.csv \
    celeba-wild.tar fer2013-64.tar no-face yunet.onnx
# Pictures of things come out of packages; UNPACKED and CIFAR name the folders that the heads of these two scripts make.
unpacked=${UNPACKED:-$data/unpacked}
cifar=${CIFAR:-$data/package}
[ -d "$made/things" ] || [ -d "$unpacked" ] ||
    fail "there is no folder $unpacked of unpacked packages; the head of models/recipes/gather_things.py says how to make it, and UNPACKED names it"
[ -d "$made/cifar" ] || [ -d "$cifar" ] ||
    fail "there is no folder $cifar with CIFAR-10; the head of models/recipes/gather_cifar.py says how to make it, and CIFAR names it"
need_python

# gather NAME COMMAND...: runs the command with a last argument, the place of NAME until it is whole.
gather() {
    name=$1
    shift
    [ ! -e "$made/$name" ] || return 0
    mkdir -p "$made"
    rm -rf "$made/part" "$made/part-validation"
    "$@" "$made/part"
    [ ! -e "$made/part-validation" ] || { rm -rf "$made/$name-validation" && mv "$made/part-validation" "$made/$name-validation"; }
    mv "$made/part" "$made/$name"
}

gather celeba-wild-faces.csv python models/recipes/label_faces.py "$data/celeba-wild.tar" "$data/yunet.onnx"
gather fer2013-faces.csv python models/recipes/label_faces.py "$data/fer2013-64.tar" "$data/yunet.onnx"
gather things python models/recipes/gather_things.py "$unpacked" "$data/yunet.onnx"
gather cifar python models/recipes/gather_cifar.py "$cifar"

scenes() {
    train "$@" --preset face --data "$data/genki4k" --boxes "$data/genki4k-faces.csv" --boxes "$data/scenes-boxes.csv" \
        --boxes "$data/scenes-drawn.csv" --ignore-boxes "$data/scenes-ignore.csv" --parts "$data/scenes-parts.csv" \
        --boxes "$made/celeba-wild-faces.csv" --no-face "$data/no-face" --extra-no-face "$made/things" \
        --extra-no-face "$made/cifar" --extra "$data/scenes.tar" --extra "$data/celeba-wild.tar" \
        --test-fraction 0.25 --validation-fraction 0.1
}

# Grey faces that fill their pictures, which the first training doesn't see.
tight_faces() {
    scenes "$@" --boxes "$made/fer2013-faces.csv" --extra "$data/fer2013-64.tar" --extra-share 1.9,0.3,0.2 --threads 1
}

scenes face-2 46 --extra-share 1.9,0.3 --threads 2
tight_faces face-a 12 --init "$made/face-2.safetensors" --learning-rate 1e-3
tight_faces face 26 --init "$made/face-a.safetensors" --learning-rate 1.5e-3
