"""The smile network against PyTorch and our own CPU: latency of some faces, streams and training on SMILE_DEVICE.

All sides start from a picture's bytes in the host's memory and end with the answers there.
"""

import os
import sys

import compare

try:
    import torch
except ImportError:
    torch = None

BATCHES = (1, 8, 32)
TRAINING_BATCH = 64
PICTURE = "tests/data/astronaut.jpg"
THREADS = 16
FRAMES_A_SECOND = 30
CPU_THREADS = 2
TOLERANCE = 1e-3
RATE = 1e-3
L2 = 1e-4


def build(metadata, tensors):
    nn, layers = torch.nn, []
    channels = metadata["architecture"]["input"][0]
    for index, block in enumerate(metadata["architecture"]["blocks"]):
        get = lambda name: torch.nn.Parameter(torch.from_numpy(tensors[f"{index}.{name}"].copy()))
        if block["kind"] == "conv":
            if block["norm"]:
                norm = nn.BatchNorm2d(channels, eps=compare.NORM_EPSILON, momentum=0.01)
                norm.weight, norm.bias = get("norm.weight"), get("norm.bias")
                norm.running_mean, norm.running_var = get("norm.running_mean").data, get("norm.running_var").data
                layers.append(norm)
            size = block["kernel"]
            layer = nn.Conv2d(channels, block["filters"], size, block["stride"], size // 2)
            layer.weight, layer.bias = get("conv.weight"), get("conv.bias")
            channels = block["filters"]
            layers += [layer] + [nn.ReLU()] * block["relu"] + [nn.MaxPool2d(2)] * block["pool"]
        elif block["kind"] == "flatten":
            layers.append(nn.Flatten())
        else:
            layer = nn.Linear(*reversed(tensors[f"{index}.weight"].shape))
            layer.weight, layer.bias = get("weight"), get("bias")
            layers += [layer] + [nn.ReLU()] * block["relu"]
    return nn.Sequential(*layers)


class Answers(torch.nn.Module if torch else object):
    """From bytes to probabilities."""

    def __init__(self, metadata, network):
        super().__init__()
        self.network = network
        self.scale, self.offset = metadata["scale"], metadata["offset"]
        self.temperature = metadata["temperature"]

    def forward(self, pictures):
        return torch.sigmoid(self.network(pictures.float() * self.scale + self.offset) / self.temperature)


def graphed(answers, pictures, device):
    """The same as one CUDA graph, which is launched at once."""
    place = torch.from_numpy(pictures).to(device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            answers(place)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = answers(place)

    def ask():
        place.copy_(torch.from_numpy(pictures))
        graph.replay()
        return result.cpu()

    return ask


def outputs(side, weights, batch):
    return [float(word) for word in side.ask("outputs", weights, batch)]


def latency(ours, cpu, weights, metadata, answers, device, batch):
    pictures = compare.make_pictures(batch, metadata["architecture"]["input"])
    compare.check(f"cpu-batch{batch}", outputs(ours, weights, batch), outputs(cpu, weights, batch), TOLERANCE)
    own = lambda iterations: int(ours.ask("cnn", weights, batch, iterations)[0]) * 1e-9
    own(3)
    print(f"microseconds ours-batch{batch} {1e6 * min(own(50) / 50 for _ in range(5)):.0f}")
    if answers is None:
        return
    peers = {"torch-eager": lambda: answers(torch.from_numpy(pictures).to(device)).cpu()}
    with torch.inference_mode():
        if device.type == "cuda":
            peers["torch-graph"] = graphed(answers, pictures, device)
        for name, peer in peers.items():
            probabilities = outputs(ours, weights, batch)
            compare.check(f"{name}-batch{batch}", probabilities, peer().numpy()[:, 0], TOLERANCE)
            spans = min(compare.seconds(peer, 50) / 50 for _ in range(5))
            print(f"microseconds {name}-batch{batch} {1e6 * spans:.0f}")
            compare.report(
                f"gpu-batch{batch}-{name}", compare.in_turns(own, lambda iterations: compare.seconds(peer, iterations))
            )


def frames(ours, cpu, weights):
    count = 100
    span, *answers = map(float, ours.ask("frames", weights, PICTURE, count))
    _, *wanted = map(float, cpu.ask("frames", weights, PICTURE, count))
    if not wanted or len(answers) != len(wanted):
        sys.exit(f"{PICTURE}: {len(answers)} faces, on the CPU {len(wanted)}")
    compare.check("frames", answers, wanted, TOLERANCE)
    print(f"microseconds ours-frame {1e-3 * span / count:.0f}")


def training(ours, cpu, weights, metadata, tensors, device):
    losses = [[float(word) for word in side.ask("losses", weights, TRAINING_BATCH, 5)] for side in (ours, cpu)]
    compare.check("losses of five steps", *losses, 1e-2)
    span_of = lambda side: lambda steps: int(side.ask("train", weights, TRAINING_BATCH, steps)[0]) * 1e-9
    span = span_of(ours)
    span(3)
    print(f"pictures a second ours-training {TRAINING_BATCH / min(span(10) / 10 for _ in range(3)):.0f}")
    compare.report(f"gpu-train-step-cpu-{CPU_THREADS}-threads", compare.in_turns(span, span_of(cpu)))
    if torch is None:
        return
    network = build(metadata, tensors).to(device).train()
    kernels = [value for value in network.parameters() if value.dim() > 1]
    optimizer = torch.optim.Adam(network.parameters(), RATE, eps=1e-7)
    pictures = compare.make_pictures(TRAINING_BATCH, metadata["architecture"]["input"])
    wanted = torch.arange(TRAINING_BATCH, device=device).remainder(2).float()[:, None]
    loss_of = torch.nn.BCEWithLogitsLoss()

    def step():
        values = torch.from_numpy(pictures).to(device).float() * metadata["scale"] + metadata["offset"]
        loss = loss_of(network(values), wanted) + L2 * sum(kernel.square().sum() for kernel in kernels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    compare.report("gpu-train-step-torch", compare.in_turns(span, lambda iterations: compare.seconds(step, iterations)))


def run(ours, weights):
    cpu = compare.Ours(ours.process.args[0], SMILE_DEVICE="cpu", RAYON_NUM_THREADS=str(CPU_THREADS))
    metadata, tensors = compare.read_weights(weights)
    device = answers = None
    if torch is None:
        print("PyTorch is not here: our side alone.")
    else:
        device = torch.device(os.environ.get("SMILE_DEVICE", "cpu"))
        if device.type == "cuda" and not torch.cuda.is_available():
            sys.exit(f"{device}: PyTorch finds no GPU here; SMILE_DEVICE=cpu tries the benchmark without one")
        answers = Answers(metadata, build(metadata, tensors)).to(device).eval()
    for batch in BATCHES:
        latency(ours, cpu, weights, metadata, answers, device, batch)
    frames(ours, cpu, weights)
    count = 100
    span = int(ours.ask("streams", weights, THREADS, count)[0]) * 1e-9
    print(f"streams of {FRAMES_A_SECOND} frames a second with one face: {THREADS * count / span / FRAMES_A_SECOND:.0f}")
    training(ours, cpu, weights, metadata, tensors, device)
