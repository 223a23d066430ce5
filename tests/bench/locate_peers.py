#!/usr/bin/env python3
"""How well other face detectors do on the frames of `smile-train eval --frames DIR`.

    locate_peers.py DIR [--yunet yunet.onnx] [--csv NAME=FOUND.csv]... [--json FILE.json]

needs opencv-python-headless, and mediapipe for BlazeFace. FOUND.csv is what `smile-train locate`
writes. Prints a table in Markdown: shares of faces found at an intersection over union of one half,
and false boxes per picture without a face; with --json also writes the counts, for
`smile-train card --peers`.
"""

import argparse
import collections
import csv
import json
import pathlib

import cv2

parser = argparse.ArgumentParser()
parser.add_argument("frames", type=pathlib.Path)
parser.add_argument("--yunet")
parser.add_argument("--csv", action="append", default=[])
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_args()
cv2.setNumThreads(1)


def yunet(longest, threshold):
    detector = cv2.FaceDetectorYN.create(arguments.yunet, "", (longest, longest), threshold)

    def find(image):
        scale = longest / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        detector.setInputSize((small.shape[1], small.shape[0]))
        faces = detector.detect(small)[1]
        return [] if faces is None else [tuple(face[:4] / scale) for face in faces]

    return find


def haar():
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    return lambda image: [tuple(box) for box in cascade.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 1.1, 5)]


def blazeface():
    import mediapipe

    detector = mediapipe.solutions.face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5)

    def find(image):
        height, width = image.shape[:2]
        found = detector.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).detections or []
        boxes = [detection.location_data.relative_bounding_box for detection in found]
        return [(box.xmin * width, box.ymin * height, box.width * width, box.height * height) for box in boxes]

    return find


def from_table(path):
    found = collections.defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["w"]:
                found[row["file"]].append(tuple(float(row[name]) for name in "xywh"))
    return found


def overlap(a, b):
    shared = 1
    for axis in (0, 1):
        shared *= max(0, min(a[axis] + a[axis + 2], b[axis] + b[axis + 2]) - max(a[axis], b[axis]))
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


detectors = {}
if arguments.yunet:
    # OpenCV's default is 0.9, which is sure rather than complete.
    for threshold in (0.9, 0.6):
        detectors |= {f"YuNet {longest}, {threshold}": yunet(longest, threshold) for longest in (160, 320)}
detectors["Haar"] = haar()
try:
    detectors["BlazeFace"] = blazeface()
except (ImportError, AttributeError):
    print("mediapipe is not here, so BlazeFace is left out")
tables = {name: from_table(path) for name, path in (entry.split("=", 1) for entry in arguments.csv)}

# (group, detector) → faces or empty pictures, found or false boxes
counts = collections.defaultdict(lambda: [0, 0])
groups = {}
with open(arguments.frames / "truth.csv", newline="") as file:
    for row in csv.DictReader(file):
        image = cv2.imread(str(arguments.frames / row["file"]))
        boxes = {name: find(image) for name, find in detectors.items()}
        boxes |= {name: table[row["file"]] for name, table in tables.items()}
        face = tuple(float(row[name]) for name in "xywh") if row["w"] else None
        for group in row["groups"].split(";"):
            groups[group] = face is not None
            for name, found in boxes.items():
                count = counts[group, name]
                count[0] += 1
                count[1] += any(overlap(box, face) >= 0.5 for box in found) if face else len(found)

names = [*tables, *detectors]
if arguments.json:
    table = {group: {name: counts[group, name] for name in names} for group in sorted(groups)}
    arguments.json.write_text(json.dumps({"detectors": names, "groups": table}, indent=2) + "\n")
print("| |", " | ".join(names), "|")
print("| --- |" + " --- |" * len(names))
for group in sorted(groups, key=lambda group: (not groups[group], group)):
    cells = []
    for name in names:
        total, hits = counts[group, name]
        cells.append(f"{100 * hits / total:.1f} %" if groups[group] else f"{hits} in {total}")
    print(f"| {group} |", " | ".join(cells), "|")
