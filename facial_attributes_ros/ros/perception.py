"""Entry point of the perception node; importing it costs nothing, so that Ctrl-C is heard from the first moment."""

from collections.abc import Sequence
from typing import NoReturn

from facial_attributes_ros.ros.process import run_node


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the perception node until Ctrl-C and end the process with its exit code.

    Args:
        argv: ROS arguments (`--ros-args …`); those of this process by default.
    """
    run_node("facial_attributes_ros.ros.perception_node", argv)


if __name__ == "__main__":
    main()
