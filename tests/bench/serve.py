#!/usr/bin/env python3
"""What many cameras cost smile-serve, and whether one that misbehaves slows the others.

Usage: serve.py [CAMERAS [SECONDS]]   (50 cameras for 600 seconds if none are named; Linux)

Half of the cameras show a face and half a moving ball, 640x480 at 10 frames a second, with files as a sink. One more
is a camera of this script's own, which in the second part is killed, silent and sends rubbish in turn.
Needs target/release/smile-serve and Python alone.
"""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "../../target"))
COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 50
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 600
TICK = os.sysconf("SC_CLK_TCK")
mood = "well"


class Camera(http.server.BaseHTTPRequestHandler):
    """JPEG over HTTP, as badly as the mood is."""

    def do_GET(self):
        if mood == "killed":
            return
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n")
        try:
            while mood != "killed":
                if mood == "rubbish":
                    self.wfile.write(bytes([0x5A]) * 5000)
                elif mood == "well":
                    head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(PICTURE)}\r\n\r\n"
                    self.wfile.write(head.encode() + PICTURE + b"\r\n")
                time.sleep(0.1)
        except OSError:
            pass

    def log_message(self, *_):
        pass


def launch(folder):
    """Writes the configuration, and starts the program on a free port."""
    large = os.path.join(folder, "face.jpg")
    picture = os.path.join(HERE, "../data/astronaut.jpg")
    pipeline = f"filesrc location={picture} ! jpegdec ! videoconvert ! videoscale ! video/x-raw,width=640,height=480,pixel-aspect-ratio=1/1"
    subprocess.run(f"gst-launch-1.0 -q {pipeline} ! jpegenc ! filesink location={large}".split(), check=True, timeout=60)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sources = [large if number % 2 else "pattern:ball" for number in range(COUNT)]
    sources.append(f"http://127.0.0.1:{server.server_port}/")
    text = "".join(f'[[camera]]\nname = "c{number}"\nsource = "{source}"\n' for number, source in enumerate(sources))
    file = os.path.join(folder, "cameras.toml")
    with open(file, "w", encoding="utf8") as out:
        out.write(text + f'[files]\nfolder = "{folder}/events"\n')
    arguments = [os.path.join(TARGET, "release/smile-serve"), file, "--port", "0", "--data", folder]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return child, child.stdout.readline().strip()


def ask(path):
    with urllib.request.urlopen(page + path, timeout=30) as answer:
        return answer.read().decode()


def look():
    """The time, seconds of a core, memory in MB, and metrics by their name and camera."""
    with open(f"/proc/{child.pid}/stat", encoding="utf8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{child.pid}/status", encoding="utf8") as file:
        memory = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
    metrics = {}
    for line in ask("metrics").splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            metrics[name] = float(value)
    return time.monotonic(), (int(fields[11]) + int(fields[12])) / TICK, memory, metrics


def of(metrics, name):
    return [metrics[f'smile_serve_{name}{{camera="c{number}"}}'] for number in range(COUNT)]


def grown(first, last, name):
    return sum(of(last[3], name)) - sum(of(first[3], name))


def between(first, last):
    """Frames a second of each camera, and cores, between two looks."""
    passed = last[0] - first[0]
    rates = [(b - a) / passed for a, b in zip(of(first[3], "frames_total"), of(last[3], "frames_total"))]
    return rates, (last[1] - first[1]) / passed


def state():
    return json.loads(ask(f"api/cameras/c{COUNT}"))["state"]


def cores():
    """Cores that all processes of the machine have taken so far."""
    with open("/proc/stat", encoding="utf8") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICK


with open(os.path.join(HERE, "../data/astronaut.jpg"), "rb") as file:
    PICTURE = file.read()
with tempfile.TemporaryDirectory() as folder:
    child, page = launch(folder)
    try:
        time.sleep(20)
        first, busy = look(), cores()
        memories, end = [], time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(min(10, SECONDS))
            memories.append(look()[2])
        last = look()
        rates, used = between(first, last)
        others = (cores() - busy) / (last[0] - first[0]) - used
        quarter = max(1, len(memories) // 4)
        early, late = (sorted(part)[len(part) // 2] for part in (memories[:quarter], memories[-quarter:]))
        left = sum(value for name, value in last[3].items() if name.startswith(("smile_serve_spool", "smile_serve_records")))
        inference = sorted(1000 * value for value in of(last[3], "inference_time_seconds"))
        print(json.dumps({
            "cameras": COUNT, "seconds": round(last[0] - first[0]), "cores": round(used, 3),
            "cores-of-others": round(others, 2), "cameras-a-core": round(COUNT / used, 1),
            "frames-a-second": [round(min(rates), 2), round(sum(rates) / COUNT, 2), round(max(rates), 2)],
            "frames-no-network-had-time-for": round(grown(first, last, "frames_skipped_total") / grown(first, last, "frames_total"), 4),
            "inference-ms": [round(inference[0], 2), round(inference[COUNT // 2], 2), round(inference[-1], 2)],
            "memory-mb": [round(min(memories)), round(max(memories))], "last-quarter-by-first": round(late / early, 3),
            "restarts": sum(of(last[3], "restarts_total")), "events-waiting-or-dropped": left,
        }), flush=True)
        # In turns, so that what else the machine does counts for both.
        for mood in ("well", "killed", "well", "silent", "well", "rubbish", "well"):
            # It has to be live before it can misbehave.
            while mood == "well" and state() != "live":
                time.sleep(0.5)
            first = look()
            time.sleep(15)
            last = look()
            rates, used = between(first, last)
            print(f"{mood:8} ({state():10}) others: {sum(rates) / COUNT:.3f} frames a second, the slowest {min(rates):.2f}; {used:.2f} cores", flush=True)
    finally:
        child.terminate()
        child.wait(10)
