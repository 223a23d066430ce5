"""The network of a weights file here and in peers, timed in turns on the one core we are pinned to."""

import json
import math
import os
import statistics
import struct
import subprocess
import sys
import time

import numpy

ROUNDS = int(os.environ.get("ROUNDS", "41"))
# Of one turn; long enough for the clock, short enough that both sides meet the same machine.
TURN_SECONDS = 0.05
NORM_EPSILON = 1e-3


def read_weights(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    metadata = json.loads(header.pop("__metadata__")["smilefilter"])
    tensors = {
        name: numpy.frombuffer(data[slice(*entry["data_offsets"])], numpy.float32).reshape(entry["shape"])
        for name, entry in header.items()
    }
    return metadata, tensors


def make_pictures(count, shape):
    index = numpy.arange(count * math.prod(shape), dtype=numpy.int64)
    return ((index * 7919 + index // 251 * 104729) % 256).astype(numpy.uint8).reshape(count, *shape)


class Ours:
    """Our program, which answers one line for each line asked."""

    def __init__(self, program, **environment):
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment
        )

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"our side gave up on: {' '.join(map(str, words))}")
        return answer.split()


def in_turns(ours, peer):
    """Quartiles of the ratios of neighbouring turns; both sides take iterations and return seconds."""
    for run in (ours, peer):
        run(2)
    iterations = [max(1, round(TURN_SECONDS / run(1))) for run in (ours, peer)]
    ratios = []
    for _ in range(ROUNDS):
        spans = [run(count) / count for run, count in zip((ours, peer), iterations)]
        ratios.append(spans[0] / spans[1])
    return statistics.quantiles(ratios, n=4)


def report(name, quartiles):
    low, middle, high = quartiles
    print(f"ratio {name} {middle:.2f}   (quartiles {low:.2f} to {high:.2f} of {ROUNDS} turns)", flush=True)


def seconds(run, iterations):
    start = time.perf_counter()
    for _ in range(iterations):
        run()
    return time.perf_counter() - start


def check(name, ours, peer, tolerance=1e-4):
    scale = numpy.abs(peer).max()
    difference = numpy.abs(numpy.asarray(ours) - peer).max() / scale
    if not difference < tolerance:
        sys.exit(f"{name}: outputs differ by {difference:.1e}: {ours} and {peer}")


def main():
    program, weights, what = sys.argv[1:]
    ours = Ours(program)
    if what in ("cnn", "all"):
        import compare_onnx

        compare_onnx.run(ours, weights)
    if what in ("train", "all"):
        import compare_keras

        compare_keras.run(ours, weights)
    if what in ("faces", "all"):
        import compare_faces

        compare_faces.run(ours, os.environ.get("FACE_WEIGHTS", "models/face.safetensors"))
    if what == "gpu":
        import compare_torch

        compare_torch.run(ours, weights)


if __name__ == "__main__":
    main()
