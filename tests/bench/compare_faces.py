"""Our face locator and YuNet in OpenCV, on the same photograph."""

import os
import pathlib
import sys
import tempfile

import cv2

from compare import in_turns, report, seconds

PICTURE = "tests/data/astronaut.jpg"
# The size that both networks see, and a frame that both have to shrink to it first.
SMALL = (240, 180)
FRAME = (640, 480)


def run(ours, weights):
    model = pathlib.Path(os.environ.get("YUNET", "../shared/data/yunet.onnx"))
    if not model.exists():
        print(f"faces: there is no {model}; name YuNet's file with YUNET=FILE. Skipped.")
        return
    cv2.setNumThreads(1)
    picture = cv2.imread(PICTURE)
    # A frame of 4:3 with the face in it.
    height = picture.shape[1] * 3 // 4
    picture = picture[:height]
    detector = cv2.FaceDetectorYN.create(str(model), "", SMALL, 0.7)
    for name, size in (("faces-yunet", SMALL), ("faces-yunet-from-640x480", FRAME)):
        frame = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

        def peer():
            small = frame if size == SMALL else cv2.resize(frame, SMALL, interpolation=cv2.INTER_AREA)
            return detector.detect(small)[1]

        with tempfile.NamedTemporaryFile(suffix=".rgb") as file:
            file.write(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).tobytes())
            file.flush()

            def ask(*more):
                return ours.ask("faces", weights, file.name, *size, *more)

            count, theirs = int(ask(1)[1]), peer()
            if count != 1 or theirs is None or len(theirs) != 1:
                sys.exit(f"{name}: we see {count} faces, YuNet {theirs}; the picture has one")
            report(name, in_turns(lambda n: int(ask(n)[0]) * 1e-9, lambda n: seconds(peer, n)))
