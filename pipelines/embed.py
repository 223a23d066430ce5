#!/usr/bin/env python3
"""The element in a Python program: frames in an appsink, results as messages.

    GST_PLUGIN_PATH=target/release pipelines/embed.py tests/data/astronaut.jpg
"""

import sys
import warnings

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401 (GstApp adds methods to appsink)


def faces(structure):
    """The faces of a message as dictionaries."""
    names = ("id", "x", "y", "width", "height", "smiling", "probability", "label")
    # get_value() gives arrays only where the package python3-gst-1.0 is installed; this works everywhere,
    # though PyGObject calls it old.
    warnings.simplefilter("ignore", DeprecationWarning)
    _, array = structure.get_array("faces")
    return [{name: array.get_nth(i).get_value(name) for name in names} for i in range(array.n_values)]


def main():
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "filesrc name=file ! decodebin ! videoconvert ! smilefilter updates=every-frame "
        "! videoconvert ! video/x-raw,format=RGB ! appsink name=sink max-buffers=4"
    )
    pipeline.get_by_name("file").set_property("location", sys.argv[1])
    sink, bus = pipeline.get_by_name("sink"), pipeline.get_bus()
    runs = pipeline.set_state(Gst.State.PLAYING) != Gst.StateChangeReturn.FAILURE
    while runs and (sample := sink.pull_sample()):
        shape = sample.get_caps().get_structure(0)
        print(f"frame of {shape.get_value('width')}x{shape.get_value('height')}")
        while message := bus.pop_filtered(Gst.MessageType.ELEMENT):
            structure = message.get_structure()
            if structure.get_name() == "smilefilter":
                print(structure.get_value("event"), structure.get_value("identity"), faces(structure))
    error = bus.pop_filtered(Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if error:
        sys.exit(f"Error: {error.parse_error().gerror.message}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"Usage: {sys.argv[0]} PICTURE_OR_VIDEO")
    main()
