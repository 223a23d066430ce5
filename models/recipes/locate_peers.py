#!/usr/bin/env python3
"""What other face detectors find in pictures, as a table for `smile-train eval --peer NAME=FILE.csv`.

    locate_peers.py PICTURES FILE.csv --yunet yunet.onnx [--side 160] [--score 0.7]
    locate_peers.py PICTURES FILE.csv --haar
    locate_peers.py PICTURES FILE.csv --blazeface

PICTURES is a folder or a tar archive. YuNet sees pictures with their longer side brought to --side. Needs
opencv-python-headless, and mediapipe for BlazeFace.
"""

import argparse
import csv
import pathlib
import tarfile

import cv2
import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("pictures", type=pathlib.Path)
parser.add_argument("table", type=pathlib.Path)
detectors = parser.add_mutually_exclusive_group(required=True)
detectors.add_argument("--yunet", metavar="FILE.onnx")
detectors.add_argument("--haar", action="store_true")
detectors.add_argument("--blazeface", action="store_true")
parser.add_argument("--side", type=int, default=160)
parser.add_argument("--score", type=float, default=0.7)
arguments = parser.parse_args()
cv2.setNumThreads(1)


def contents():
    """Name and bytes of each picture."""
    if arguments.pictures.is_dir():
        for path in sorted(path for path in arguments.pictures.rglob("*") if path.is_file()):
            yield str(path.relative_to(arguments.pictures)), path.read_bytes()
        return
    with tarfile.open(arguments.pictures) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member).read()


def yunet():
    side = arguments.side
    detector = cv2.FaceDetectorYN.create(arguments.yunet, "", (side, side), arguments.score)

    def find(image):
        scale = side / max(image.shape[:2])
        filter = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=filter)
        detector.setInputSize((small.shape[1], small.shape[0]))
        faces = detector.detect(small)[1]
        return [] if faces is None else [(*(face[:4] / scale), face[14]) for face in faces]

    return find


def haar():
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    grey = lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return lambda image: [(*box, 1.0) for box in cascade.detectMultiScale(grey(image), 1.1, 5)]


def blazeface():
    import mediapipe

    detector = mediapipe.solutions.face_detection.FaceDetection(0, min_detection_confidence=arguments.score)

    def find(image):
        height, width = image.shape[:2]
        found = detector.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).detections or []
        boxes = [(detection.location_data.relative_bounding_box, detection.score[0]) for detection in found]
        return [(b.xmin * width, b.ymin * height, b.width * width, b.height * height, score) for b, score in boxes]

    return find


find = yunet() if arguments.yunet else haar() if arguments.haar else blazeface()
with open(arguments.table, "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["file", "x", "y", "w", "h", "score"])
    for name, content in contents():
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            continue
        rows = [[name, *(f"{value:.2f}" for value in box), f"{score:.4f}"] for *box, score in find(image)]
        table.writerows(rows or [[name, *[""] * 5]])
