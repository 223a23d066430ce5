"""Inference against ONNX Runtime."""

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import compare


def build(metadata, tensors, norms=True):
    """The network as an exporter writes it, from the picture's values to the probability."""
    nodes, constants = [], []
    last = "pictures"

    def constant(name, value):
        constants.append(numpy_helper.from_array(numpy.ascontiguousarray(value), name))
        return name

    def node(kind, *inputs, **attributes):
        nonlocal last
        output = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, [last, *inputs], [output], **attributes))
        last = output

    for index, block in enumerate(metadata["architecture"]["blocks"]):
        get = lambda name: constant(f"{index}.{name}", tensors[f"{index}.{name}"])
        if block["kind"] == "conv":
            if norms and block["norm"]:
                names = ("weight", "bias", "running_mean", "running_var")
                node("BatchNormalization", *(get(f"norm.{name}") for name in names), epsilon=compare.NORM_EPSILON)
            side, stride = block["kernel"], block["stride"]
            attributes = {"kernel_shape": [side] * 2, "strides": [stride] * 2, "pads": [side // 2] * 4}
            node("Conv", get("conv.weight"), get("conv.bias"), **attributes)
            if block["relu"]:
                node("Relu")
            if block["pool"]:
                node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        elif block["kind"] == "flatten":
            node("Flatten")
        else:
            node("Gemm", get("weight"), get("bias"), transB=1)
            if block["relu"]:
                node("Relu")
    shape = metadata["architecture"]["input"]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def compare_batch(ours, weights, metadata, sessions, batch):
    pictures = compare.make_pictures(batch, metadata["architecture"]["input"])
    values = pictures.astype(numpy.float32) * numpy.float32(metadata["scale"]) + numpy.float32(metadata["offset"])
    answers = [float(word) for word in ours.ask("outputs", weights, batch)]
    logits = sessions["onnxruntime"].run(None, {"pictures": values})[0][:, 0]
    compare.check(f"cnn-batch{batch}", answers, 1 / (1 + numpy.exp(-logits / metadata["temperature"])))
    for name, session in sessions.items():
        peer = lambda: session.run(None, {"pictures": values})
        quartiles = compare.in_turns(
            lambda iterations: int(ours.ask("cnn", weights, batch, iterations)[0]) * 1e-9,
            lambda iterations: compare.seconds(peer, iterations),
        )
        compare.report(f"cnn-batch{batch}-{name}", quartiles)


def run(ours, weights):
    metadata, tensors = compare.read_weights(weights)
    sessions = {
        "onnxruntime": build(metadata, tensors),
        "onnxruntime-without-norms": build(metadata, tensors, norms=False),
    }
    for batch in (1, 8):
        compare_batch(ours, weights, metadata, sessions, batch)
