#!/usr/bin/env python3
"""Labels pictures with YuNet's boxes: the table that `smile-train --preset face --boxes` learns from.

    label_faces.py PICTURES YUNET.onnx OUT.csv

PICTURES is a folder or tar archive of small, tightly cut faces; needs opencv-python-headless. YuNet wants
some room around a face and at least some ten pixels between the eyes, so where it sees none in a picture as it is, it
gets to see it enlarged, with its edges going on.
"""

import csv
import pathlib
import sys
import tarfile

import cv2
import numpy

COLUMNS = "file,x,y,w,h,reye_x,reye_y,leye_x,leye_y,nose_x,nose_y,rmouth_x,rmouth_y,lmouth_x,lmouth_y,score,nfaces"
THRESHOLD = 0.6
# Enlargement, and margin as a share of the side.
LOOKS = ((1, 0), (2.5, 0.5), (4, 0.5))


def pictures(path):
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")):
            yield str(file.relative_to(path)), file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
                yield member.name.removeprefix("./"), archive.extractfile(member).read()


def look(detector, image, scale, margin):
    """The only face of an image in its own pixels, with its score last; None where there is none or more."""
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    edge = round(margin * max(large.shape[:2]))
    large = cv2.copyMakeBorder(large, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    detector.setInputSize((large.shape[1], large.shape[0]))
    faces = detector.detect(large)[1]
    if faces is None or len(faces) != 1:
        return None
    face = faces[0].copy()
    face[[0, 1, *range(4, 14)]] -= edge
    face[:14] /= scale
    return face


def main():
    source, model, out = map(pathlib.Path, sys.argv[1:])
    detector = cv2.FaceDetectorYN.create(str(model), "", (64, 64), THRESHOLD)
    with open(out, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS.split(","))
        for name, data in pictures(source):
            image = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
            finds = (look(detector, image, *how) for how in LOOKS)
            face = next((face for face in finds if face is not None), None)
            if face is not None:
                table.writerow([name, *(f"{value:.2f}" for value in face[:14]), f"{face[14]:.4f}", 1])
            else:
                table.writerow([name, *[""] * 14, "", 0])


if __name__ == "__main__":
    main()
