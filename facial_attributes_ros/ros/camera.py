"""Entry point of the camera node; importing it costs nothing, so that Ctrl-C is heard from the first moment."""

import sys
from collections.abc import Sequence

from facial_attributes_ros.ros.process import run_node


def main(argv: Sequence[str] | None = None) -> int:
    """Run the camera node until its source ends or Ctrl-C and return the exit code.

    Args:
        argv: ROS arguments (`--ros-args …`); those of this process by default.
    """
    return run_node("facial_attributes_ros.ros.camera_node", argv)


if __name__ == "__main__":
    sys.exit(main())
