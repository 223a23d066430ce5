#!/usr/bin/env python3
"""Who smiles in a picture, without the element: both networks in ONNX Runtime (pip install onnxruntime numpy pillow).

    smile-train export models/face.safetensors --onnx face.onnx
    smile-train export models/smile.safetensors --onnx smile.onnx
    pipelines/smile-onnx.py face.onnx smile.onnx tests/data/astronaut.jpg
"""

import sys

import numpy
import onnxruntime
from PIL import Image, ImageOps


def find_faces(locator, picture):
    """Boxes (x, y, width, height) in pixels, the surest first."""
    says, (_, _, height, width) = locator.get_modelmeta().custom_metadata_map, locator.get_inputs()[0].shape
    boxes, scores = [], []
    for smaller in (1, 3):  # A face that fills the picture is known to the network at a smaller size.
        scale = min(width / picture.width, height / picture.height) / smaller
        size = [max(1, round(side * scale)) for side in picture.size]
        grey = numpy.asarray(picture.convert("L").resize(size, Image.BILINEAR))
        filled = numpy.pad(grey, ((0, height - size[1]), (0, width - size[0])), "edge")
        seen = locator.run(["boxes", "scores"], {"image": filled[None, None]})
        boxes, scores = [*boxes, *seen[0] / scale], [*scores, *seen[1]]
    found = []  # Non-maximum suppression: of boxes that overlap, the one with the highest score stays.
    for index in numpy.argsort(scores)[::-1]:
        if scores[index] >= float(says["threshold"]):
            if all(overlap(boxes[index], other) < float(says["overlap"]) for other in found):
                found.append(boxes[index])
    return found


def overlap(a, b):
    """Intersection over union."""
    common = numpy.minimum(a[:2] + a[2:], b[:2] + b[2:]) - numpy.maximum(a[:2], b[:2])
    area = common.clip(0).prod()
    return area / (a[2:].prod() + b[2:].prod() - area)


def smiles(network, picture, box):
    """The probability, from the square around a face; beyond the picture its edge goes on."""
    says, side = network.get_modelmeta().custom_metadata_map, network.get_inputs()[0].shape[1]
    half = box[2:].max() * (0.5 + float(says["margin"]))
    beyond = int(2 * half) + 1
    large = Image.fromarray(numpy.pad(picture, ((beyond, beyond), (beyond, beyond), (0, 0)), "edge"))
    middle = box[:2] + box[2:] / 2 + beyond
    square = large.resize((side, side), Image.BILINEAR, (*(middle - half), *(middle + half)))
    return network.run(["probability"], {"image": numpy.asarray(square)[None]})[0][0, 0]


def main(face, smile, path):
    locator, network = (onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in (face, smile))
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    for box in find_faces(locator, picture):
        print(*box.round().astype(int), f"{smiles(network, picture, box):.3f}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"Usage: {sys.argv[0]} FACE.onnx SMILE.onnx PICTURE")
    main(*sys.argv[1:])
