#!/usr/bin/env python3
"""Soft labels for `smile-train --soft-labels`: what a large network knows about faces, fitted to GENKI-4K's labels.

    soft_labels.py FACE_LANDMARKER.task GENKI FACES.csv OUT [PREDICTIONS.csv]

The network is MediaPipe's face landmarker (Kartynnik et al. 2019; the model file is Google's, Apache 2.0). Two of its
inner maps, of a face as located by FACES.csv and then by its own landmarks, go into a logistic regression each (of the
larger one the first 400 principal components); the answer is the mean of both logits.

What a picture is called never comes from a regression that has seen its label: within those to learn from, each
quarter is answered for by the other three. PREDICTIONS.csv says what is not to be learnt from. One that
`smile-train cross-validate` has written gives OUT/soft-1.csv and so on, one for each fold; one of `smile-train eval
--split test` gives OUT/soft.csv, as no such table does, with all of GENKI-4K. OUT keeps the features.

Needs numpy, opencv-python-headless, scikit-learn and ai-edge-litert.
"""

import csv
import pathlib
import sys
import zipfile

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

# The maps by their numbers in the model file: the side of the grid they are averaged to, the principal components
# (none: as they are) and the regression's C.
MAPS = {470: (2, None, 0.03), 433: (4, 400, 3.0)}
SIDE = 256
EYES = (33, 263)
# How much more than a detector's box the network wants to see, and than its own landmarks.
AROUND_BOX, AROUND_LANDMARKS = 1.35, 1.5


class Landmarker:
    def __init__(self, path):
        with zipfile.ZipFile(path) as task:
            content = task.read("face_landmarks_detector.tflite")
        self.network = Interpreter(model_content=content, experimental_preserve_all_tensors=True, num_threads=1)
        self.network.allocate_tensors()
        self.input = self.network.get_input_details()[0]["index"]
        self.outputs = [output["index"] for output in self.network.get_output_details()]

    def look(self, image, center, side, angle):
        """Landmarks in pixels of the image, whether there is a face (a logit), and the maps."""
        square = cut(image, center, side, angle)
        self.network.set_tensor(self.input, square[None].astype(np.float32) / 255)
        self.network.invoke()
        points = self.network.get_tensor(self.outputs[0]).reshape(-1, 3)[:, :2]
        points = (points - (SIDE - 1) / 2) * side / SIDE @ turn(angle).T + center
        maps = {}
        for number, (grid, _, _) in MAPS.items():
            values = self.network.get_tensor(number)[0]
            step = len(values) // grid
            maps[number] = values.reshape(grid, step, grid, step, -1).mean((1, 3)).ravel()
        return points, self.network.get_tensor(self.outputs[1]).ravel()[0], maps

    def find(self, image, center, side, angle):
        """The same, after a second look where the first saw the landmarks."""
        points, there, _ = self.look(image, center, AROUND_BOX * side, angle)
        if there > -1:
            center, side, angle = around(points)
        return self.look(image, center, AROUND_BOX * side, angle)


def around(points):
    """Where to look for a face with these landmarks: center, side of its box and angle."""
    across = points[EYES[1]] - points[EYES[0]]
    angle = np.arctan2(across[1], across[0])
    upright = points @ turn(angle)
    low, high = upright.min(0), upright.max(0)
    return turn(angle) @ ((low + high) / 2), max(high - low) * AROUND_LANDMARKS / AROUND_BOX, angle


def turn(angle):
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def cut(image, center, side, angle):
    """A square that stands upright."""
    scale = side / SIDE
    if scale > 1.5:
        image = cv2.GaussianBlur(image, (0, 0), scale / 2.5)
    matrix = scale * turn(angle)
    shift = np.asarray(center) - matrix @ np.full(2, (SIDE - 1) / 2)
    matrix = np.hstack([matrix, shift[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def picture(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def genki(landmarker, folder, table):
    """Of all pictures the names, labels, features, landmarks, and whether there is a face (logits)."""
    labels = [line.split()[0] == "1" for line in (folder / "labels.txt").read_text().splitlines() if line.strip()]
    names, points, there, found = [], [], [], []
    with open(table, newline="") as file:
        for row in csv.DictReader(file):
            path = next(folder.rglob(row["file"]))
            image = picture(path)
            height, width = image.shape[:2]
            center, side, angle = np.array([width / 2, height / 2]), min(height, width) / 2, 0.0
            if row["x"]:
                number = lambda *columns: np.array([float(row[column]) for column in columns])
                center, side = number("x", "y") + number("w", "h") / 2, max(number("w", "h"))
                across = number("leye_x", "leye_y") - number("reye_x", "reye_y")
                angle = np.arctan2(across[1], across[0])
            names.append(path.relative_to(folder).as_posix())
            for all_of, one in zip((points, there, found), landmarker.find(image, center, side, angle)):
                all_of.append(one)
    assert len(labels) == len(names), "a label for each row of the table"
    features = {number: np.array([maps[number] for maps in found], np.float32) for number in MAPS}
    return names, np.array(labels), features, np.array(points), np.array(there)


class Regression:
    def __init__(self, features, labels):
        self.parts = []
        for number, (_, components, strength) in MAPS.items():
            scaler = StandardScaler().fit(features[number])
            values = np.clip(scaler.transform(features[number]), -8, 8)
            pca, size = None, 1.0
            if components:
                pca = PCA(components, svd_solver="randomized", random_state=0).fit(values)
                values = pca.transform(values)
                size = values[:, 0].std()
            model = LogisticRegression(C=strength, max_iter=400, tol=1e-3).fit(values / size, labels)
            self.parts.append((number, scaler, pca, size, model))

    def logits(self, features):
        answers = []
        for number, scaler, pca, size, model in self.parts:
            values = np.clip(scaler.transform(features[number]), -8, 8)
            answers.append(model.decision_function((pca.transform(values) if pca else values) / size))
        return np.mean(answers, 0)


def select(features, indices):
    return {number: values[indices] for number, values in features.items()}


def write_table(path, names, logits):
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("file", "probability"))
        # Further digits differ from one processor to the next.
        table.writerows((name, f"{1 / (1 + np.exp(-logit)):.3f}") for name, logit in zip(names, logits))


def write(path, names, labels, features, training):
    of = lambda indices: select(features, indices)
    logits = np.zeros(len(training))
    for others, own in StratifiedKFold(4, shuffle=True, random_state=1).split(training, labels[training]):
        logits[own] = Regression(of(training[others]), labels[training[others]]).logits(of(training[own]))
    write_table(path, [names[index] for index in training], logits)
    print(f"{path}: {quality(logits, labels[training])} on {len(training)} to learn from", flush=True)
    rest = np.setdiff1d(np.arange(len(names)), training)
    if len(rest):
        logits = Regression(of(training), labels[training]).logits(of(rest))
        print(f"    {quality(logits, labels[rest])} on {len(rest)} others", flush=True)


def quality(logits, labels):
    return f"{100 * ((logits > 0) == labels).mean():.2f} %, area {roc_auc_score(labels, logits):.4f}"


def main():
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    task, folder, table, out = map(pathlib.Path, sys.argv[1:5])
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "features.npz"
    if not kept.exists():
        names, labels, features, _, _ = genki(Landmarker(task), folder, table)
        np.savez(kept, names=names, labels=labels, **{str(number): values for number, values in features.items()})
    kept = np.load(kept)
    names = [str(name) for name in kept["names"]]
    features = {number: kept[str(number)] for number in MAPS}
    left_out = {}
    if len(sys.argv) == 6:
        with open(sys.argv[5], newline="") as file:
            left_out = {row["name"]: row.get("fold") for row in csv.DictReader(file)}
        assert set(left_out) <= set(names), f"{sys.argv[5]} names other pictures"
    folds = sorted(set(filter(None, left_out.values())))
    for fold in folds or [None]:
        training = [index for index, name in enumerate(names) if name not in left_out or left_out[name] != fold]
        write(out / (f"soft-{fold}.csv" if fold else "soft.csv"), names, kept["labels"], features, np.array(training))


if __name__ == "__main__":
    main()
