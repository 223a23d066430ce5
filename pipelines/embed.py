#!/usr/bin/env python3
"""The element in a Python program: frames in an appsink, results as messages and from the frames themselves.

    GST_PLUGIN_PATH=target/release pipelines/embed.py tests/data/astronaut.jpg
"""

import pathlib
import sys
import warnings

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstApp, GstVideo  # noqa: E402, F401 (GstApp adds methods to appsink)


def faces(structure):
    """The faces of a message or a frame's meta as dictionaries."""
    names = ("id", "x", "y", "width", "height", "smiling", "probability", "label", "region")
    # get_value() gives arrays only where the package python3-gst-1.0 is installed; this works everywhere,
    # though PyGObject calls it old.
    warnings.simplefilter("ignore", DeprecationWarning)
    _, array = structure.get_array("faces")
    all_fields = (array.get_nth(i) for i in range(array.n_values))
    return [{name: face.get_value(name) for name in names if face.has_field(name)} for face in all_fields]


def faces_on(buffer):
    """What a frame itself says, however it was converted since; scaled frames have scaled regions of interest."""
    meta = buffer.get_custom_meta("GstSmileFilterMeta")
    found = faces(meta.get_structure()) if meta else []
    for face in found:
        if "region" in face:
            place = GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, face["region"])
            if place:
                face.update(x=place.x, y=place.y, width=place.w, height=place.h)
    return found


def main(path):
    Gst.init(None)
    # A photograph's EXIF says which side is up. GStreamer 1.22 reads it only with this parser of plugins-bad,
    # which it leaves out by default.
    if parser := Gst.Registry.get().lookup_feature("jpegparse"):
        parser.set_rank(Gst.Rank.PRIMARY + 1)
    pipeline = Gst.parse_launch(
        "uridecodebin name=source ! videoconvert ! videoflip video-direction=auto ! smilefilter updates=every-frame "
        "! videoconvert ! video/x-raw,format=RGB ! appsink name=sink max-buffers=4"
    )
    # A name is a property: in the words above it could become a part of the pipeline. As a URI it can have any bytes.
    pipeline.get_by_name("source").set_property("uri", path.absolute().as_uri())
    sink, bus = pipeline.get_by_name("sink"), pipeline.get_bus()
    pipeline.set_state(Gst.State.PLAYING)
    results, error = {}, None
    while not error:
        # Not pull_sample(), which waits for ever for a frame of something that has none.
        sample = sink.try_pull_sample(Gst.SECOND // 10)
        # A frame's results are posted before it goes on, so that they are here. Those of frames that still wait
        # in the sink may be, too: the time tells whose they are.
        while message := bus.pop_filtered(Gst.MessageType.ELEMENT | Gst.MessageType.ERROR):
            structure = message.get_structure()
            if message.type == Gst.MessageType.ERROR:
                error = error or message.parse_error()
            elif structure.get_name() == "smilefilter":
                results.setdefault(structure.get_value("timestamp"), []).append(structure)
        if sample:
            shape, time = GstVideo.VideoInfo.new_from_caps(sample.get_caps()), sample.get_buffer().pts
            print(f"frame of {shape.width}x{shape.height} at {time / Gst.SECOND:.3f}")
            print("on the frame", faces_on(sample.get_buffer()))
            for structure in results.pop(time, []):
                print(structure.get_value("event"), structure.get_value("identity"), faces(structure))
        elif sink.is_eos():
            break
    pipeline.set_state(Gst.State.NULL)
    if error:
        # Names can have characters that a terminal obeys.
        sys.exit(f"Error: {ascii(str(path))}: {error.gerror.message!r}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"Usage: {sys.argv[0]} PICTURE_OR_VIDEO")
    main(pathlib.Path(sys.argv[1]))
