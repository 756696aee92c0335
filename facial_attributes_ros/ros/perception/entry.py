"""Entry point of the perception node; importing it costs nothing, so that Ctrl-C is heard from the first moment."""

from collections.abc import Sequence
from typing import NoReturn

from facial_attributes_ros.ros.arguments import NodeParser
from facial_attributes_ros.ros.process import run_node

PARAMETERS = """\
All parameters stand in config/perception.yaml of the package's share folder, at their defaults and with what they mean;
`ros2 param describe /perception NAME` says more of each while the node runs. The node is a lifecycle node: unless
autostart is false, it configures and activates itself."""


def build_parser() -> NodeParser:
    """Return the parser of the arguments that are not ROS's."""
    parser = NodeParser(
        "perception",
        "Publish age, gender and emotion of every face of the newest image: image in, faces out.",
        PARAMETERS,
    )
    parser.add_argument(
        "--must-start",
        action="store_true",
        help="end with exit code 2 if the node cannot configure itself at the start; by default it waits to be mended",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the perception node until Ctrl-C and end the process with its exit code.

    Args:
        argv: `--must-start` and ROS arguments (`--ros-args …`); those of this process by default.
    """
    run_node("facial_attributes_ros.ros.perception.node", argv, build_parser())


if __name__ == "__main__":
    main()
