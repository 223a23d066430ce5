#!/usr/bin/env python3
"""Hints for `smile-train --hints`: what a large network sees in the pictures of GENKI-4K and FER2013.

    hints.py FACE_LANDMARKER.task GENKI FACES.csv FER2013.tar OUT

The network is MediaPipe's face landmarker, as in soft_labels.py. Two of its inner maps, each the mean of what it makes
of a face and of the face's mirror image, become 32 numbers: their first principal components over the pictures of
FER2013, each divided by its deviation there and weighted by the fourth root of its share of the variance. No label plays
a part, nor any picture of GENKI-4K but the one that a row is for. OUT/hints.csv is the table; OUT keeps the features.

Needs numpy, opencv-python-headless, scikit-learn and ai-edge-litert.
"""

import csv
import multiprocessing
import pathlib
import sys
import tarfile

import cv2
import numpy as np

from soft_labels import MAPS, Landmarker, genki

COMPONENTS = 32
# FER2013's pictures are all face: what a detector would box, as a share of the picture.
FER_FACE, FER_CENTER = 1.06, (0.5, 0.51)
# To which they are enlarged.
FER_SIDE = 128

landmarker = None


def start(task):
    global landmarker
    cv2.setNumThreads(1)
    landmarker = Landmarker(task)


def fer_features(content):
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    image = cv2.resize(image, (FER_SIDE, FER_SIDE), interpolation=cv2.INTER_CUBIC)
    center = np.array(FER_CENTER) * FER_SIDE
    return landmarker.both_sides(image, center, FER_FACE * FER_SIDE, 0.0)


def fer(pool, archive):
    """Names and features of all pictures."""
    names, contents = [], []
    with tarfile.open(archive) as pictures:
        for member in pictures:
            if member.isfile() and member.name.endswith(".jpg"):
                names.append(member.name.removeprefix("./"))
                contents.append(pictures.extractfile(member).read())
    found = pool.map(fer_features, contents, chunksize=64)
    return names, {number: np.array([maps[number] for maps in found], np.float32) for number in MAPS}


def standardised(features, means, deviations):
    """All maps side by side, each with the same total variance."""
    parts = [
        np.clip((values - means[number]) / deviations[number], -5, 5) / np.sqrt(values.shape[1])
        for number, values in features.items()
    ]
    return np.concatenate(parts, 1)


def components(all_features, fer_features):
    """The hints of each picture of each collection."""
    means = {number: values.mean(0) for number, values in fer_features.items()}
    deviations = {number: values.std(0) + 1e-3 for number, values in fer_features.items()}
    seen = standardised(fer_features, means, deviations)
    center = seen.mean(0)
    variances, axes = np.linalg.eigh(np.cov((seen - center).T))
    variances, axes = variances[::-1][:COMPONENTS], axes[:, ::-1][:, :COMPONENTS]
    scales = (variances / variances[0]) ** 0.25 / np.sqrt(variances)
    return [(standardised(features, means, deviations) - center) @ axes * scales for features in all_features]


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    task, folder, table, archive, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "features.npz"
    if not kept.exists():
        with multiprocessing.Pool(initializer=start, initargs=(task,)) as pool:
            names, features = fer(pool, archive)
        start(task)
        genki_names, _, genki_features = genki(landmarker.both_sides, folder, table)
        both = {f"fer-{number}": values for number, values in features.items()}
        both |= {f"genki-{number}": values for number, values in genki_features.items()}
        np.savez(kept, fer=names, genki=genki_names, **both)
    kept = np.load(kept)
    collections = {name: {number: kept[f"{name}-{number}"] for number in MAPS} for name in ("fer", "genki")}
    hints = components(collections.values(), collections["fer"])
    with open(out / "hints.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", *(f"hint-{number}" for number in range(1, COMPONENTS + 1))])
        for name, values in zip(collections, hints):
            rows.writerows([str(file), *(f"{value:.4f}" for value in row)] for file, row in zip(kept[name], values))


if __name__ == "__main__":
    main()
