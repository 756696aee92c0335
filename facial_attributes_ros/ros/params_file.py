"""Files of parameters: which nodes they are for. Needs no ROS, so that the launch file can use it too.

A file that is for other nodes gives a node nothing, and rclpy does not report it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from facial_attributes_ros.errors import UserError

_PARAMETERS = "ros__parameters"


def check_params_file(path: Path, node: str) -> None:
    """Check that a file holds parameters for a node.

    Args:
        path: of the file.
        node: the node's name with its namespaces, as `/robot/perception`.

    Raises:
        UserError: the file cannot be read, has another form, or holds nothing for the node.
    """
    names = node_names(path)
    if not any(is_name_of(name, node) for name in names):
        raise UserError(
            f"The parameter file {path} holds nothing for the node {node}, only for {', '.join(names)}: "
            f"write {node} or /** there, or give this node another file."
        )


def node_names(path: Path) -> list[str]:
    """Return the names of the nodes that a file holds parameters for, with `*` and `**` as they are written.

    Raises:
        UserError: the file cannot be read or has another form.
    """
    try:
        names = list(_walk(yaml.safe_load(path.read_text(encoding="utf-8")), ""))
    except OSError as error:
        raise UserError(f"The parameter file {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"The parameter file {path} is not YAML: {' '.join(str(error).split())}.") from error
    if not names:
        raise UserError(f"The parameter file {path} has no '/**: {_PARAMETERS}:' with the parameters below it.")
    return names


def _walk(tree: Any, prefix: str) -> Iterator[str]:
    """Give the names of nodes in a file: the keys on the way to each `ros__parameters`."""
    for key, below in tree.items() if isinstance(tree, dict) else ():
        if key != _PARAMETERS:
            yield from _walk(below, f"{prefix}/{str(key).strip('/')}")
        elif prefix:
            yield prefix


def is_name_of(pattern: str, node: str) -> bool:
    """Return whether a name that parameters are given under is a node's, as rclpy has it.

    Args:
        pattern: `*` stands for one part of the name, `**` for any number of parts.
        node: the node's name with its namespaces.
    """
    parts = [re.escape(part) for part in pattern.strip("/").split("/")]
    wild = {re.escape("*"): r"/\w+", re.escape("**"): r"(/\w+)*"}
    return re.fullmatch("".join(wild.get(part, f"/{part}") for part in parts), node) is not None
