"""Runs a node: `python -m facial_attributes_ros.ros NODE [option ...] [--ros-args ...]`.

Importing this costs little, so that `--help` answers at once and Ctrl-C is heard from the first moment.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from facial_attributes_ros.ros.arguments import PARSERS
from facial_attributes_ros.ros.process import run_node

_USAGE = f"""\
usage: python -m facial_attributes_ros.ros {{{",".join(PARSERS)}}} [option ...] [--ros-args ...]
--help after the name of a node prints its options and parameters.
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a node until Ctrl-C or its own end, and end the process with its exit code.

    Args:
        argv: name of the node, its options and ROS arguments; those of this process by default.
    """
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    if name in PARSERS:
        run_node(f"facial_attributes_ros.ros.{name}.node", arguments)
    if name in ("-h", "--help"):
        sys.stdout.write(_USAGE)
        sys.exit(0)
    sys.stderr.write(_USAGE + (f"There is no node {name}.\n" if name else ""))
    sys.exit(2)


if __name__ == "__main__":
    main()
