"""Entry point of the listener; importing it costs nothing, so that Ctrl-C is heard from the first moment."""

from collections.abc import Sequence
from typing import NoReturn

from facial_attributes_ros.ros.process import run_node


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the listener until its duration is over or Ctrl-C and end the process with its exit code.

    Args:
        argv: `--duration S`, `--jsonl PATH` and ROS arguments; those of this process by default.
    """
    run_node("facial_attributes_ros.ros.listener_node", argv)


if __name__ == "__main__":
    main()
