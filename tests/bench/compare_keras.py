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


def examples(metadata, kind):
    """The same pictures and labels as ours, in numbers of some kind, which models are built with from then on."""
    keras.config.set_floatx(kind)
    keras.config.set_dtype_policy(kind)
    pictures = compare.make_pictures(BATCH, metadata["architecture"]["input"])
    number = numpy.dtype(kind).type
    values = pictures.astype(kind) * number(metadata["scale"]) + number(metadata["offset"])
    labels = (numpy.arange(BATCH) % 2).astype(kind).reshape(-1, 1)
    return tensorflow.constant(values.transpose(0, 2, 3, 1)), tensorflow.constant(labels)


def losses(model, values, labels, steps):
    found = []
    for _ in range(steps):
        # Keras reports the mean over the steps so far; of each step we want its own.
        model.reset_metrics()
        found.append(float(model.train_on_batch(values, labels)))
    return numpy.array(found)


def run(ours, weights):
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    metadata, tensors = compare.read_weights(weights)
    answers = [float(word) for word in ours.ask("losses", weights, BATCH, 3)]
    # In 64 bits Keras says the same with XLA and without; in 32 bits, XLA is off by 5e-3 after three steps, so
    # that its losses are no measure.
    values, labels = examples(metadata, "float64")
    compare.check("losses", answers, losses(build(metadata, tensors, False), values, labels, len(answers)), 1e-3)
    values, labels = examples(metadata, "float32")
    for name, jit in (("keras", False), ("keras-xla", True)):
        model = build(metadata, tensors, jit)
        step = lambda: model.train_on_batch(values, labels)
        quartiles = compare.in_turns(
            lambda steps: int(ours.ask("train", weights, BATCH, steps)[0]) * 1e-9,
            lambda steps: compare.seconds(step, steps),
        )
        compare.report(f"train-step-{name}", quartiles)
