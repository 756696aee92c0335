"""Entry point of the listener; importing it costs nothing, so that Ctrl-C is heard from the first moment."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from facial_attributes_ros.ros.arguments import NodeParser
from facial_attributes_ros.ros.process import run_node


def build_parser() -> NodeParser:
    """Return the parser of the arguments that are not ROS's."""
    parser = NodeParser(
        "listener", "Print the attributes of every face on the topic faces.", "It has no parameters of its own."
    )
    parser.add_argument(
        "--duration", type=_seconds, metavar="SECONDS", help="end this long after the first message; by default never"
    )
    parser.add_argument("--jsonl", type=Path, metavar="FILE", help="write one JSON object per message to this file")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return seconds


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the listener until its duration is over or Ctrl-C and end the process with its exit code.

    Args:
        argv: `--duration S`, `--jsonl PATH` and ROS arguments; those of this process by default.
    """
    run_node("facial_attributes_ros.ros.listener.node", argv, build_parser())


if __name__ == "__main__":
    main()
