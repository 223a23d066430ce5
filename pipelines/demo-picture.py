#!/usr/bin/env python3
"""Makes pipelines/demo.webp: a camera that moves over tests/data/astronaut.jpg, and what the element makes of it.

    GST_PLUGIN_PATH=target/release pipelines/demo-picture.py pipelines/demo.webp

Every frame goes through the element as it is and is drawn on by it alone. Needs PyGObject and Pillow.
"""

import math
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401 (GstApp adds methods to appsrc and appsink)
from PIL import Image, ImageEnhance, ImageFilter, ImageOps  # noqa: E402

WIDTH, HEIGHT, RATE, SECONDS = 480, 360, 15, 6
# Where the face is in the picture, 256 pixels wide.
FACE = (127, 92)


def scene(picture):
    """The picture with surroundings, as no photograph of that size has them: its own edges mirrored, out of focus."""
    side = picture.width
    wide = Image.new("RGB", (3 * side, 3 * side))
    for row in range(3):
        for column in range(3):
            tile = ImageOps.mirror(picture) if column != 1 else picture
            wide.paste(ImageOps.flip(tile) if row != 1 else tile, (column * side, row * side))
    wide = wide.filter(ImageFilter.GaussianBlur(18))
    wide.paste(picture, (side, side))
    return wide


def frame(wide, side, time):
    """What a camera sees that comes nearer, sways and goes back, while a lamp goes out and on again."""
    turn = 2 * math.pi * time / SECONDS
    height = side * (1.15 - 0.55 * (1 - math.cos(turn)) / 2)
    scale, tilt = height / HEIGHT, math.radians(12) * math.sin(turn)
    x = side + FACE[0] + 45 * math.sin(2 * turn)
    y = side + FACE[1] + 20 + 18 * math.sin(turn)
    across, down = scale * math.cos(tilt), scale * math.sin(tilt)
    corner = (
        across, -down, x - across * WIDTH / 2 + down * HEIGHT / 2,
        down, across, y - down * WIDTH / 2 - across * HEIGHT / 2,
    )
    seen = wide.transform((WIDTH, HEIGHT), Image.Transform.AFFINE, corner, Image.Resampling.BICUBIC)
    return ImageEnhance.Brightness(seen).enhance(1 - 0.6 * max(0, math.sin(turn - 2.2)) ** 4)


def main(out):
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "appsrc name=source format=time ! videoconvert ! video/x-raw,format=I420 ! smilefilter ! videoconvert "
        "! video/x-raw,format=RGB ! appsink name=sink sync=false"
    )
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    caps = f"video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate={RATE}/1"
    source.set_property("caps", Gst.Caps.from_string(caps))
    pipeline.set_state(Gst.State.PLAYING)
    with Image.open("tests/data/astronaut.jpg") as file:
        picture = file.convert("RGB")
    wide, frames = scene(picture), []
    # The first turn is for the tracker, so that the picture's end goes on with its beginning.
    for number in range(2 * RATE * SECONDS):
        buffer = Gst.Buffer.new_wrapped(frame(wide, picture.width, number / RATE).tobytes())
        buffer.pts, buffer.duration = number * Gst.SECOND // RATE, Gst.SECOND // RATE
        source.push_buffer(buffer)
        drawn = sink.pull_sample().get_buffer()
        if number >= RATE * SECONDS:
            data = drawn.extract_dup(0, drawn.get_size())
            frames.append(Image.frombytes("RGB", (WIDTH, HEIGHT), data))
    pipeline.set_state(Gst.State.NULL)
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=1000 // RATE, loop=0, quality=70, method=6)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"Usage: {sys.argv[0]} FILE.webp")
    main(sys.argv[1])
