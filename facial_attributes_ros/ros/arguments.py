"""Arguments of a node's process: its own and those of ROS. Needs no ROS, so that `--help` answers at once."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from facial_attributes_ros.ros.camera.settings import CAMERA_SETTINGS
from facial_attributes_ros.ros.dialogue.settings import DIALOGUE_SETTINGS
from facial_attributes_ros.ros.viewer.settings import VIEWER_SETTINGS
from facial_attributes_ros.setting import Setting

ROS_ARGUMENTS = """\
ROS arguments:
  --ros-args -p NAME:=VALUE         set a parameter
  --ros-args --params-file FILE     set the parameters that a file holds for this node
  --ros-args -r FROM:=TO            rename a topic, or the node with -r __node:=NAME
  --ros-args --log-level LEVEL      debug, info, warn, error or fatal
"""


class NodeParser(argparse.ArgumentParser):
    """Parser of the arguments that are not ROS's; its help names those, too, and the node's parameters.

    Args:
        name: of the executable.
        text: what the node does, in a sentence or two.
        parameters: sentence on where its parameters stand.
    """

    def __init__(self, name: str, text: str, parameters: str) -> None:
        super().__init__(
            prog=name,
            usage=f"{name} [option ...] [--ros-args ...]",
            description=text,
            epilog=f"{ROS_ARGUMENTS}\n{parameters}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )


def _perception() -> NodeParser:
    parser = NodeParser(
        "perception",
        "Publish age, gender and emotion of every face in the newest image: image in, faces out.",
        """\
All parameters are listed in config/perception.yaml of the package's share folder, with default, unit and range;
`ros2 param describe /perception NAME` prints the same while the node runs. The node is a lifecycle node: it configures
and activates itself unless autostart is false.""",
    )
    parser.add_argument(
        "--must-start",
        action="store_true",
        help="exit with code 2 if the node cannot configure itself at the start; by default it waits to be repaired",
    )
    return parser


def _camera() -> NodeParser:
    return NodeParser(
        "camera",
        "Publish a webcam, the sample, an image, a folder or a video on the topic image, as a camera would.",
        _listed(CAMERA_SETTINGS),
    )


def _dialogue() -> NodeParser:
    return NodeParser(
        "dialogue",
        "Publish whom to speak with and how: faces in, interlocutor, speaking_manner and dialogue/context out.",
        _listed(DIALOGUE_SETTINGS, "parameters:"),
    )


def _talk() -> NodeParser:
    parser = NodeParser(
        "talk",
        "Play a scripted conversation with the interlocutor in the terminal: with whom, how, why, and what is said.",
        "It has no parameters of its own.",
    )
    parser.add_argument("--language", default="en", help="of the sentences: en, de, fr or es; default: en")
    parser.add_argument(
        "--duration", type=_seconds, metavar="SECONDS", help="end this long after the first person; by default never"
    )
    return parser


def _listed(settings: Sequence[Setting], head: str = "parameters, all read-only:") -> str:
    """Return parameters as lines of a help text."""
    width = max(len(setting.name) for setting in settings)
    lines = [f"  {setting.name:{width}}  {setting.text} [{setting.default}]" for setting in settings]
    return "\n".join([head, *lines])


def _listener() -> NodeParser:
    parser = NodeParser(
        "listener",
        "Show the attributes of every face on the topic faces: a table in a terminal, lines in a pipe.",
        "It has no parameters of its own.",
    )
    parser.add_argument(
        "--duration", type=_seconds, metavar="SECONDS", help="end this long after the first message; by default never"
    )
    parser.add_argument("--jsonl", type=Path, metavar="FILE", help="write one JSON object per message to this file")
    parser.add_argument("--show-log", action="store_true", help="print what comes on standard input above the table")
    return parser


def _viewer() -> NodeParser:
    return NodeParser(
        "viewer", "Serve a live page of the running graph; the node only subscribes.", _listed(VIEWER_SETTINGS)
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return seconds


PARSERS: Final[Mapping[str, Callable[[], NodeParser]]] = {
    "perception": _perception,
    "camera": _camera,
    "listener": _listener,
    "dialogue": _dialogue,
    "talk": _talk,
    "viewer": _viewer,
}
"""Makes the parser of each node, by the name of the node's folder and executable."""


def own_arguments(argv: Sequence[str]) -> list[str]:
    """Return the arguments that are not ROS's: those outside of `--ros-args` to `--` or the end."""
    return [argument for argument, of_ros in _marked(argv) if not of_ros]


def params_files(argv: Sequence[str]) -> list[Path]:
    """Return the files that `--params-file` names among the ROS arguments."""
    return [Path(path) for path in _ros_values(argv, ("--params-file",))]


def named_nodes(argv: Sequence[str]) -> list[str]:
    """Return the names of the nodes for which single parameters are meant, as `eyes` in `-p eyes:tasks.age:=false`."""
    rules = [rule.partition(":=")[0] for rule in _ros_values(argv, ("-p", "--param"))]
    return [rule.rpartition(":")[0] for rule in rules if ":" in rule]


def _ros_values(argv: Sequence[str], flags: Collection[str]) -> list[str]:
    """Return what follows each of some flags among the ROS arguments."""
    of_ros = [argument for argument, of_ros in _marked(argv) if of_ros]
    return [value for flag, value in pairwise(of_ros) if flag in flags]


def _marked(argv: Sequence[str]) -> list[tuple[str, bool]]:
    """Return each argument and whether it is one of ROS's."""
    marked, of_ros = [], False
    for argument in argv:
        of_ros |= argument == "--ros-args"
        marked.append((argument, of_ros))
        of_ros &= argument != "--"
    return marked
