"""The parameters of the nodes as YAML and as a page of the docs, both made from the settings. Needs no ROS.

A test compares the files of the package with what this gives; `python -m facial_attributes_ros.ros parameters` makes
them.
"""

from collections.abc import Iterable
from itertools import groupby
from textwrap import wrap
from typing import Final

import yaml

from facial_attributes_ros.setting import Setting, When

_WIDTH = 120

_YAML_HEAD = """\
# Parameters of the perception node, at their defaults. Made by `python -m facial_attributes_ros.ros parameters --yaml`.
#
# (c) marks what the next configure applies: clean the node up, set it and configure again. Every other parameter but
# autostart is applied at once. A name that the node does not have is an error, so that nothing stays on because of a
# mistyped name.
#
# `/**` stands for a node of any name, in any namespace. In a file for several nodes write the node's own name instead,
# such as /perception or /robot/perception.
/**:
  ros__parameters:
"""
_YAML_TAIL = """\

    # If many images are lost and the camera publishes reliably (the topic as it is after remapping):
    # qos_overrides: {/image: {subscription: {reliability: reliable}}}
"""
_PAGE_HEAD = """\
# Parameters

Made by `python -m facial_attributes_ros.ros parameters --page` from the settings in the code.
`ros2 param describe /perception NAME` prints the same while the node runs.
"""
_PERCEPTION_HEAD = """\
## The node `perception`

`config/perception.yaml` holds all of them at their defaults. *Applied* is when a change takes effect: **at once**; by
the next **configure**, before which the node has to be cleaned up; or only at the **start** of the node (read-only).
"""
_CAMERA_HEAD = """\
## The node `camera`

All are read-only: they are given at the start.
"""
_DIALOGUE_HEAD = """\
## The node `dialogue`

[Dialogue](dialogue.md) describes it. The policy is a file of its own, `config/dialogue.yaml`.
"""
_VIEWER_HEAD = """\
## The node `viewer`

All are read-only. [The pages](web.md#the-live-page) says what they are for.
"""
_APPLIED: Final[dict[When, str]] = {"live": "at once", "configure": "configure", "start": "start"}


def perception_yaml(settings: Iterable[Setting]) -> str:
    """Return a params file with every parameter at its default and what it means."""
    lines: list[str] = []
    for group, members in groupby(settings, _group):
        lines += ["", f"    {group}:"] if group else []
        indent = "      " if group else "    "
        for one in members:
            limits = (
                f" Range: {_limits(one)}."
                if one.low is not None
                else f" {_limits(one).capitalize()}."
                if one.choices
                else ""
            )
            comment = ("(c) " if one.when == "configure" else "") + one.description + limits
            lines += wrap(comment, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
            lines.append(f"{indent}{one.name.rpartition('.')[2]}: {_value(one)}")
    return _YAML_HEAD + "\n".join(lines) + "\n" + _YAML_TAIL


def parameter_page(
    perception: Iterable[Setting], camera: Iterable[Setting], dialogue: Iterable[Setting], viewer: Iterable[Setting]
) -> str:
    """Return the page of the docs with a table for each node, as Markdown."""
    tables = (
        (_PERCEPTION_HEAD, perception),
        (_CAMERA_HEAD, camera),
        (_DIALOGUE_HEAD, dialogue),
        (_VIEWER_HEAD, viewer),
    )
    return "\n".join([_PAGE_HEAD, *(part for head, settings in tables for part in (head, _table(settings), ""))])


def _table(settings: Iterable[Setting]) -> str:
    rows = [
        f"| `{one.name}` | `{_value(one)}` | {_limits(one)} | {_APPLIED[one.when]} | {one.description} |"
        for one in settings
    ]
    return "\n".join(["| parameter | default | values | applied | |", "|---|---|---|---|---|", *rows])


def _group(one: Setting) -> str:
    return one.name.rpartition(".")[0]


def _value(one: Setting) -> str:
    return yaml.safe_dump(one.default).splitlines()[0]


def _limits(one: Setting) -> str:
    """Return the words that a setting takes, or its range with the unit; nothing for a switch or any text."""
    if one.low is None or one.high is None:
        return f"one of {', '.join(one.choices)}" if one.choices else ""
    return f"{_number(one.low)} to {_number(one.high)} {one.unit}".rstrip()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
