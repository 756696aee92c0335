"""Entry point of the camera node; importing it costs nothing, so that Ctrl-C is heard from the first moment."""

from collections.abc import Sequence
from typing import NoReturn

from facial_attributes_ros.ros.arguments import NodeParser, parameter_lines
from facial_attributes_ros.ros.camera.settings import CAMERA_SETTINGS
from facial_attributes_ros.ros.process import run_node


def build_parser() -> NodeParser:
    """Return the parser of the arguments that are not ROS's, of which there are none but --help."""
    return NodeParser(
        "camera",
        "Publish a webcam, the sample, an image, a folder or a video on the topic image, as a camera would.",
        f"parameters, all read-only:\n{parameter_lines(CAMERA_SETTINGS)}",
    )


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the camera node until its source ends or Ctrl-C and end the process with its exit code.

    Args:
        argv: ROS arguments (`--ros-args …`); those of this process by default.
    """
    run_node("facial_attributes_ros.ros.camera.node", argv, build_parser())


if __name__ == "__main__":
    main()
