#!/usr/bin/env python3
"""Faces between those of GENKI-4K, with soft labels, for `smile-train --unlabelled` and `--soft-labels`.

    morph_faces.py FACE_LANDMARKER.task GENKI FACES.csv PREDICTIONS.csv OUT [COUNT [PROCESSES]]

Each of COUNT (30,000) pictures is one face whose landmarks went some of the way to those of another one, seen from
about the same side; mostly it also takes over some of the other's skin, or the upper or lower half of its face as it
is. So there are faces that smile by half. What such a picture is called comes from the regressions of soft_labels.py.

Faces are mixed within groups only, three for each fold of PREDICTIONS.csv, which `smile-train cross-validate` has
written, and no regression has seen the labels of the group that it answers for, nor those of the fold left out.
OUT/morphs.tar has the pictures, OUT/soft-1.csv and so on have the soft labels for each fold's training, of GENKI-4K's
own pictures, too, and OUT/soft.csv those for training with all of GENKI-4K.

Needs what soft_labels.py needs, and scipy.
"""

import csv
import io
import multiprocessing
import pathlib
import sys
import tarfile

import cv2
import numpy as np
from scipy.spatial import Delaunay

from soft_labels import EYES, MAPS, Landmarker, Regression, around, cut, genki, picture, quality, select, write_table

GROUPS_A_FOLD = 3
# Of so many others the one that is seen from nearest the same side.
CHOICE = 5
# The side of a picture, and how much more than the landmarks it shows.
SIDE, SHOWN = 176, 2.1
NOSE = 1
# Points of a picture that stay where they are.
FRAME = np.array([(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)]) * (SIDE - 1)
PIXELS = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).reshape(-1, 2).astype(float)
BATCH = 500


def portrait(path, points):
    """A square picture around a face, and its landmarks there."""
    low, high = points.min(0), points.max(0)
    center, side = (low + high) / 2, max(high - low) * SHOWN
    square = cv2.resize(cut(picture(path), center, side, 0.0), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return square, (points - center) / side * SIDE + SIDE / 2


def laid_over(source, target):
    """Points moved, turned and scaled so that they are as near to others as may be (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, sizes, v = np.linalg.svd(a.T @ b)
    mirror = np.array([1, np.sign(np.linalg.det(u @ v))])
    return a @ (u * mirror @ v) * (sizes * mirror).sum() / (a**2).sum() + target.mean(0)


def warped(image, source, triangles):
    """The picture with the landmarks of `source` at those of the triangles, linear within each."""
    number = np.zeros((SIDE, SIDE), np.int32)
    for index, corners in enumerate(triangles.points[triangles.simplices]):
        cv2.fillConvexPoly(number, np.round(16 * corners).astype(np.int32), index, shift=4)
    simplices = triangles.simplices[number.ravel()]
    corner, first, second = np.moveaxis(triangles.points[simplices], 1, 0)
    first, second, inside = first - corner, second - corner, PIXELS - corner
    cross = lambda a, b: (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])[:, None]
    whole = cross(first, second)
    corner, to_first, to_second = np.moveaxis(source[simplices], 1, 0)
    places = corner + cross(inside, second) / whole * (to_first - corner)
    places += cross(first, inside) / whole * (to_second - corner)
    places = places.reshape(SIDE, SIDE, 2).astype(np.float32)
    return cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def half(points, lower):
    """The landmarks below the tip of the nose, or those above it."""
    across = points[EYES[1]] - points[EYES[0]]
    height = (points - points[NOSE]) @ [-across[1], across[0]]
    return points[(height > 0) == lower]


def soft_mask(points):
    mask = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1.0)
    return cv2.GaussianBlur(cv2.erode(mask, np.ones((7, 7))), (0, 0), 4)[..., None]


def in_light_of(other, image, mask):
    """The other picture with the mean and the deviation of each colour that the first one has below the mask."""
    weight = mask / max(mask.sum(), 1)
    mean = lambda values: (values * weight).sum((0, 1))
    deviation = lambda values: np.sqrt(mean((values - mean(values)) ** 2)) + 1
    return (other - mean(other)) * np.clip(deviation(image) / deviation(other), 0.5, 2) + mean(image)


def morph(first, second, rng):
    """A picture between two portraits, and its landmarks."""
    (image, points), (other, others) = first, second
    way = rng.uniform()
    shape = (1 - way) * points + way * laid_over(others, points)
    framed = lambda landmarks: np.vstack([landmarks, FRAME])
    triangles = Delaunay(framed(shape))
    image = warped(image, framed(points), triangles).astype(np.float32)
    if rng.uniform() < 0.75:
        other = warped(other, framed(others), triangles).astype(np.float32)
        if rng.uniform() < 0.6:
            mask, share = soft_mask(shape), rng.uniform()
        else:
            mask, share = soft_mask(half(shape, rng.uniform() < 0.5)), 1.0
        image += mask * share * (in_light_of(other, image, mask) - image)
    return np.clip(image, 0, 255).astype(np.uint8), shape


class Maker:
    """Makes batches of pictures, each from a seed of its own."""

    def __init__(self, task, paths, points, there, groups):
        self.landmarker, self.paths, self.groups = Landmarker(task), paths, groups
        self.points = points.astype(float)
        self.usable = np.flatnonzero(there > 0)
        left, right, nose = (points[:, index] for index in (*EYES, NOSE))
        across = right - left
        self.turned = ((nose - (left + right) / 2) * across).sum(1) / (across**2).sum(1)

    def batch(self, seed, count):
        """Of each picture the name, the group, the bytes as JPEG and the features."""
        rng = np.random.default_rng(seed)
        made = []
        for number in range(count):
            first = rng.choice(self.usable)
            near = rng.choice(self.usable[self.groups[self.usable] == self.groups[first]], CHOICE)
            second = near[np.abs(self.turned[near] - self.turned[first]).argmin()]
            pair = [portrait(self.paths[index], self.points[index]) for index in (first, second)]
            image, shape = morph(*pair, rng)
            _, there, maps = self.landmarker.find(image, *around(shape))
            if there > 0:
                _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
                features = {number: values.astype(np.float16) for number, values in maps.items()}
                made.append((f"morph-{seed:03}-{number:03}.jpg", self.groups[first], data.tobytes(), features))
        return made


def start(*arguments):
    global maker
    cv2.setNumThreads(1)
    maker = Maker(*arguments)


def make(seed, count):
    return maker.batch(seed, count)


def write_soft(path, faces, morphs, training):
    """The soft labels of all faces and morphs whose group is one of `training`."""
    names, labels, features, groups = faces
    known, logits = [], []
    for group in training:
        others = np.isin(groups, np.setdiff1d(training, group))
        regression = Regression(select(features, others), labels[others])
        for of_names, of_features, own in ((names, features, groups == group), (morphs[0], morphs[1], morphs[2] == group)):
            known.extend(of_names[own])
            logits.extend(regression.logits(select(of_features, own)))
    write_table(path, known, logits)
    number = {name: index for index, name in enumerate(names)}
    own = [(number[name], logit) for name, logit in zip(known, logits) if name in number]
    indices, answers = map(np.array, zip(*own))
    doubtful = np.mean(np.abs(np.array(logits)) < 1)
    print(f"{path}: {len(known)} pictures, {100 * doubtful:.1f} % of them from 0.27 to 0.73;", end=" ")
    print(f"{quality(answers, labels[indices])} on GENKI-4K's own", flush=True)


def main():
    if len(sys.argv) not in (6, 7, 8):
        sys.exit(__doc__)
    task, folder, table, predictions, out = map(pathlib.Path, sys.argv[1:6])
    count, processes = (int(word) for word in (sys.argv[6:] + ["30000", "1"][len(sys.argv) - 6 :]))
    out.mkdir(parents=True, exist_ok=True)
    with open(predictions, newline="") as file:
        folds = {row["name"]: int(row["fold"]) for row in csv.DictReader(file)}
    names, labels, features, points, there = genki(Landmarker(task), folder, table)
    inner = np.random.default_rng(1).permutation(len(names)) % GROUPS_A_FOLD
    groups = np.array([folds[name] for name in names]) * GROUPS_A_FOLD + inner

    seeds = range(-(-count // BATCH))
    work = [(seed, min(BATCH, count - seed * BATCH)) for seed in seeds]
    found = []
    arguments = (task, [folder / name for name in names], points, there.ravel(), groups)
    # A fork would copy the landmarker's threads in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(processes, start, arguments) as pool, tarfile.open(out / "morphs.tar", "w") as tar:
        jobs = [pool.apply_async(make, batch) for batch in work]
        for done, job in enumerate(jobs, 1):
            for name, group, data, maps in job.get():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
                found.append((name, group, maps))
            print(f"{done} of {len(jobs)} batches", end="\r", flush=True)
    made = np.array([name for name, _, _ in found])
    maps = {number: np.array([maps[number] for _, _, maps in found], np.float32) for number in MAPS}
    morphs = made, maps, np.array([group for _, group, _ in found])
    faces = np.array(names), labels, features, groups
    every = np.unique(groups)
    for fold in sorted(set(folds.values())):
        write_soft(out / f"soft-{fold}.csv", faces, morphs, every[every // GROUPS_A_FOLD != fold])
    write_soft(out / "soft.csv", faces, morphs, every)


if __name__ == "__main__":
    main()
