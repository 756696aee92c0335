"""Arguments of a node's process: its own and those of ROS. Needs no ROS, so that `--help` answers at once."""

import argparse
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from facial_attributes_ros.ros.setting import Setting

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


def parameter_lines(settings: Iterable[Setting]) -> str:
    """Return a line for each parameter: name, default and what it does."""
    rows = [(setting.name, str(setting.default), setting.text) for setting in settings]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"  {name:{width}}  {text} [{default}]" for name, default, text in rows)


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
