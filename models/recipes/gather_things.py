#!/usr/bin/env python3
"""Gathers pictures without faces out of unpacked Debian packages, for `smile-train --extra-no-face`.

    mkdir -p unpacked
    for package in tuxpaint-stamps-default gcompris-qt-data gnome-backgrounds mate-backgrounds \\
            plasma-workspace-wallpapers lxqt-themes ukui-wallpapers torcs-data trigger-rally-data opencv-doc; do
        apt-get download $package && dpkg-deb -x ${package}_*.deb unpacked/$package
    done
    models/recipes/gather_things.py unpacked yunet.onnx things

Each picture is shrunk to a longer side of 320; what is transparent becomes one grey. Left out are
pictures in which YuNet sees a face at a score of 0.35, at this size or twice it, whose path speaks of
people or of diagrams, that are nearly flat, or that resemble one before. One in four lands in
`things-validation` instead, to measure on. Needs numpy and opencv-python-headless.
"""

import hashlib
import os
import random
import sys

import cv2
import numpy as np

SIDE = 320
SCORE = 0.35
LEAST_SIDE = 80
LEAST_CONTRAST = 18
PEOPLE = (
    "people person human face clown santa doll monkey gorilla chimp orangutan statue portrait lena messi "
    "obama famous composer player smil symbols letters numbers html/class html/struct inherit __coll".split()
)
RESOURCES = {b"\xff\xd8\xff": None, b"RIFF": b"WEBP"}


def pictures(root):
    """Name and content of each picture below a folder, those within Qt's resource files included."""
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            label = os.path.relpath(path, root).lower()
            if name.lower().endswith((".png", ".jpg", ".jpeg", ".webp")):
                with open(path, "rb") as file:
                    yield label, file.read()
            elif name.endswith(".rcc"):
                with open(path, "rb") as file:
                    yield from ((f"{label}-{start}", part) for start, part in within(file.read()))


def within(content):
    for mark, form in RESOURCES.items():
        start = content.find(mark)
        while start >= 0:
            if form is None or content[start + 8 : start + 12] == form:
                length = int.from_bytes(content[start + 4 : start + 8], "little") + 8 if form else 1 << 20
                yield start, content[start : start + length]
            start = content.find(mark, start + 1)


def decoded(label, content):
    """The picture in BGR, or nothing where it is none of use."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8:
        return None
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    height, width = image.shape[:2]
    if min(height, width) < LEAST_SIDE or max(height, width) > 3 * min(height, width):
        return None
    scale = SIDE / max(height, width)
    if scale < 1:
        image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    if image.shape[2] == 4:
        shown = image[..., 3:].astype(np.float32) / 255
        if shown.mean() < 0.1:
            return None
        image = (image[..., :3] * shown + random.Random(label).randrange(256) * (1 - shown)).astype(np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return image if grey.std() >= LEAST_CONTRAST else None


def likeness(image):
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (8, 8), interpolation=cv2.INTER_AREA)
    return (small // 24).tobytes()


def sees_face(detector, image):
    for scale in (1, 2):
        scaled = cv2.resize(image, None, fx=scale, fy=scale)
        detector.setInputSize(scaled.shape[1::-1])
        if detector.detect(scaled)[1] is not None:
            return True
    return False


def main(root, model, out):
    detector = cv2.FaceDetectorYN.create(model, "", (SIDE, SIDE), SCORE)
    folders = [out, f"{out}-validation"]
    for folder in folders:
        os.makedirs(folder)
    seen = set()
    counts = [0, 0]
    faces = 0
    for label, content in pictures(root):
        if any(word in label for word in PEOPLE):
            continue
        image = decoded(label, content)
        if image is None or (look := likeness(image)) in seen:
            continue
        seen.add(look)
        if sees_face(detector, image):
            faces += 1
            continue
        name = hashlib.sha256(label.encode()).hexdigest()[:12]
        held_out = int(name, 16) % 4 == 0
        cv2.imwrite(f"{folders[held_out]}/{label.split('/')[0]}-{name}.jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        counts[held_out] += 1
    print(f"{counts[0]} pictures in {folders[0]}, {counts[1]} in {folders[1]}; a face was seen in {faces} others")


if __name__ == "__main__":
    main(*sys.argv[1:4]) if len(sys.argv) == 4 else sys.exit(__doc__)
