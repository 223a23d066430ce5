#!/usr/bin/env python3
"""How steadily and how fast the element answers: on clips, and on a film cut between expressions.

    steadiness.py CLIP...                       changes of each face's answer, with the defaults and without smoothing
    steadiness.py --cuts GENKI4K FACES.csv      seconds from a cut to the answer of the face that is there then

Needs target/release/examples/smile-log (cargo build --release --example smile-log); --cuts numpy and Pillow, too, and
the folder and the table of boxes that `smile-train` takes for GENKI-4K.
"""

import csv
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

PROGRAM = pathlib.Path(__file__).parents[2] / "target/release/examples/smile-log"
RAW = ["smoothing=0", "hysteresis=0", "detection-interval=1"]
RATE = 30
# Frames of each shot, the number of shots, the size of a frame and the height of the face in it.
SHOT, SHOTS, SIZE, FACE = 45, 60, (320, 240), 90


def updates(film, *properties):
    """The time in seconds and the faces of each frame."""
    output = subprocess.run([PROGRAM, "--frames", film, *properties], check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    return [(line["stream-time"] / 1e9, line["faces"]) for line in lines if line["event"] == "update"]


def changes(answers):
    return sum(a != b for a, b in zip(answers, answers[1:]))


def clips(names):
    for name in names:
        for kind, properties in (("raw", RAW), ("defaults", [])):
            faces = {}
            for _, seen in updates(name, *properties):
                for face in seen:
                    faces.setdefault(face["id"], []).append((face["smiling"], face["probability"]))
            for face, answers in faces.items():
                digits = "".join(str(min(9, int(10 * probability))) for _, probability in answers[::4])
                count = changes([smiling for smiling, _ in answers])
                print(f"{pathlib.Path(name).name} {kind} face {face}: {count} changes in {len(answers)} frames {digits}")


def film(folder, table, path):
    """Writes shots of smiling and other faces in turns, all faces in one place, and returns which smile."""
    import numpy
    from PIL import Image

    files = sorted((folder / "files").glob("*.jpg"))
    labels = [line.split()[0] == "1" for line in (folder / "labels.txt").read_text().splitlines()]
    boxes = {}
    for row in csv.DictReader(open(table)):
        boxes.setdefault(pathlib.Path(row["file"]).name, []).append(row)
    alone = [(file, smiling) for file, smiling in zip(files, labels) if [bool(row["x"]) for row in boxes.get(file.name, [])] == [True]]
    random.seed(5)
    shots = [random.choice([shot for shot in alone if shot[1] == bool(index % 2)]) for index in range(SHOTS)]
    with open(path, "wb") as output:
        output.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C444\n" % (*SIZE, RATE))
        for file, _ in shots:
            x, y, width, height = (float(boxes[file.name][0][key]) for key in "xywh")
            picture, scale = Image.open(file).convert("RGB"), FACE / height
            picture = picture.resize([max(1, round(side * scale)) for side in picture.size])
            left, top = round((x + width / 2) * scale - SIZE[0] / 2), round((y + height / 2) * scale - SIZE[1] / 2)
            picture = picture.crop((left, top, left + SIZE[0], top + SIZE[1])).convert("YCbCr")
            planes = b"".join(numpy.asarray(plane).tobytes() for plane in picture.split())
            output.write((b"FRAME\n" + planes) * SHOT)
    return [smiling for _, smiling in shots]


def cuts(folder, table):
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place) / "cuts.y4m"
        truth = film(pathlib.Path(folder), table, path)
        frames = {round(time * RATE): faces for time, faces in updates(path)}
    largest = {frame: max(faces, key=lambda face: face["width"])["smiling"] for frame, faces in frames.items() if faces}
    lags, wrong, more = [], 0, 0
    for shot in range(1, SHOTS):
        answers = [largest.get(shot * SHOT + frame) for frame in range(SHOT)]
        if answers[-1] != truth[shot]:
            wrong += 1
        elif largest.get(shot * SHOT - 1) == truth[shot - 1]:
            lags.append(next(frame for frame in range(SHOT) if set(answers[frame:]) == {answers[-1]}) / RATE)
            more += max(0, changes(answers) - 1)
    lags.sort()
    print(f"{len(lags)} changes after {SHOTS - 1} cuts, {wrong} answers wrong at the end of their shot, {more} changes too many")
    print(f"seconds to the answer: median {statistics.median(lags):.2f}, nine of ten {lags[int(0.9 * len(lags))]:.2f}, most {lags[-1]:.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--cuts":
        cuts(*sys.argv[2:])
    elif len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        clips(sys.argv[1:])
    else:
        sys.exit(__doc__)
