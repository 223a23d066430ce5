"""A training step against Keras with TensorFlow."""

import keras
import numpy
import tensorflow

import compare

BATCH = 64
RATE = 1e-3
L2 = 1e-4


def build(metadata, tensors, jit):
    """The network with our weights, channels last as TensorFlow wants them on a CPU."""
    layers = keras.layers
    channels, height, width = metadata["architecture"]["input"]
    model = keras.Sequential([keras.Input((height, width, channels))])
    regularizer = keras.regularizers.L2(L2)
    values, shape = [], None
    for index, block in enumerate(metadata["architecture"]["blocks"]):
        get = lambda name: tensors[f"{index}.{name}"]
        if block["kind"] == "conv":
            if block["norm"]:
                model.add(layers.BatchNormalization(epsilon=compare.NORM_EPSILON))
                values += [get(f"norm.{name}") for name in ("weight", "bias", "running_mean", "running_var")]
            activation = "relu" if block["relu"] else None
            model.add(
                layers.Conv2D(
                    block["filters"],
                    block["kernel"],
                    strides=block["stride"],
                    padding="same",
                    activation=activation,
                    kernel_regularizer=regularizer,
                )
            )
            values += [get("conv.weight").transpose(2, 3, 1, 0), get("conv.bias")]
            if block["pool"]:
                model.add(layers.MaxPooling2D())
        elif block["kind"] == "flatten":
            shape = model.output_shape[1:]
            model.add(layers.Flatten())
        else:
            activation = "relu" if block["relu"] else None
            model.add(layers.Dense(block["units"], activation=activation, kernel_regularizer=regularizer))
            kernel = get("weight")
            if shape:
                high, wide, deep = shape
                kernel = kernel.reshape(-1, deep, high, wide).transpose(0, 2, 3, 1).reshape(len(kernel), -1)
                shape = None
            values += [kernel.T, get("bias")]
    model.set_weights(values)
    model.compile(
        keras.optimizers.Adam(RATE, epsilon=1e-7),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    return model


def run(ours, weights):
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    metadata, tensors = compare.read_weights(weights)
    pictures = compare.make_pictures(BATCH, metadata["architecture"]["input"])
    values = pictures.astype(numpy.float32) * numpy.float32(metadata["scale"]) + numpy.float32(metadata["offset"])
    values = tensorflow.constant(values.transpose(0, 2, 3, 1))
    labels = tensorflow.constant((numpy.arange(BATCH) % 2).astype(numpy.float32).reshape(-1, 1))
    answers = [float(word) for word in ours.ask("losses", weights, BATCH, 3)]
    for name, jit in (("keras", False), ("keras-xla", True)):
        model = build(metadata, tensors, jit)
        losses = []
        for _ in answers:
            # Keras reports the mean over the steps so far; of each step we want its own.
            model.reset_metrics()
            losses.append(float(model.train_on_batch(values, labels)))
        compare.check("losses", answers, numpy.array(losses), 1e-3)
        step = lambda: model.train_on_batch(values, labels)
        quartiles = compare.in_turns(
            lambda steps: int(ours.ask("train", weights, BATCH, steps)[0]) * 1e-9,
            lambda steps: compare.seconds(step, steps),
        )
        compare.report(f"train-step-{name}", quartiles)
