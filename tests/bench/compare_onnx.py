"""Inference against ONNX Runtime, of the file that `smile-train export` writes."""

import os
import pathlib
import subprocess
import tempfile

import numpy
import onnx
import onnxruntime

import compare


def export(weights):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "network.onnx"
        command = [os.environ["SMILE_TRAIN"], "export", weights, "--onnx", path]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return onnx.load(path)


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def without_norms(model):
    """What comes after a normalisation reads what came before it."""
    before = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "BatchNormalization"}
    nodes = [node for node in model.graph.node if node.output[0] not in before]
    for node in nodes:
        node.input[:] = [before.get(name, name) for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def compare_batch(ours, weights, metadata, sessions, batch):
    pictures = compare.make_pictures(batch, metadata["architecture"]["input"])
    # Ours takes planes, the file pixels.
    pixels = numpy.ascontiguousarray(pictures.transpose(0, 2, 3, 1))
    answers = [float(word) for word in ours.ask("outputs", weights, batch)]
    compare.check(f"cnn-batch{batch}", answers, sessions["onnxruntime"].run(None, {"image": pixels})[0][:, 0])
    for name, peer in sessions.items():
        quartiles = compare.in_turns(
            lambda iterations: int(ours.ask("cnn", weights, batch, iterations)[0]) * 1e-9,
            lambda iterations: compare.seconds(lambda: peer.run(None, {"image": pixels}), iterations),
        )
        compare.report(f"cnn-batch{batch}-{name}", quartiles)


def run(ours, weights):
    metadata, _ = compare.read_weights(weights)
    sessions = {
        "onnxruntime": session(export(weights)),
        "onnxruntime-without-norms": session(without_norms(export(weights))),
    }
    for batch in (1, 8):
        compare_batch(ours, weights, metadata, sessions, batch)
