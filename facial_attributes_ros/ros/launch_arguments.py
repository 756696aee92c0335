"""Arguments of the launch file: the values that each takes. Needs no ROS.

launch ignores a mistyped name, and its messages about a value often do not name the argument.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.camera.settings import CAMERA_SETTINGS
from facial_attributes_ros.ros.viewer.settings import VIEWER_SETTINGS
from facial_attributes_ros.setting import Setting

_YES_OR_NO: Final = ("", "true", "false", "True", "False")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "use_sim_time": _YES_OR_NO,
    "autostart": _YES_OR_NO,
    "view": _YES_OR_NO,
    "log_level": ("debug", "info", "warn", "error", "fatal"),
}
"""Arguments that take one of a few words."""
SIZES: Final[Mapping[str, Setting]] = {
    **{f"camera_{one.name}": one for one in CAMERA_SETTINGS if one.name in ("width", "height", "rate")},
    **{f"view_{one.name}": one for one in VIEWER_SETTINGS if one.name == "port"},
}
"""Arguments that take a number, and the camera's or the viewer's parameter that it is for."""

_NAME = r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "namespace": (rf"/?|/?{_NAME}/?", "a namespace, as robot or /robot/head"),
    "device": (r"|auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N"),
    "image_topic": (rf"(~?/)?{_NAME}", "the name of a topic, as /camera/color/image_raw"),
}
_ALIKE = 0.85
"""Similarity, 0 to 1, from which on an unknown name counts as a mistyped argument."""


def check_arguments(given: Mapping[str, str], names: Collection[str]) -> None:
    """Check the arguments of the launch file.

    Args:
        given: values of the arguments by name. Other names may belong to a launch file that includes ours, so only
            those that resemble one of ours are refused.
        names: of our arguments.

    Raises:
        UserError: a name is mistyped, or a value cannot be.
    """
    for name in given.keys() - names:
        for nearest in get_close_matches(name, names, n=1, cutoff=_ALIKE):
            raise UserError(f"There is no launch argument {name}: did you mean {nearest}?")
    for name, words in _CHOICES.items():
        if given[name] not in words:
            raise _unfit(name, f"one of {', '.join(filter(None, words))}", given[name])
    for name, (form, wanted) in _FORMS.items():
        if not re.fullmatch(form, given[name], re.ASCII):
            raise _unfit(name, wanted, given[name])
    for name, setting in SIZES.items():
        replace(setting, name=f"The launch argument {name}").parse(given[name])


def node_name(node: str, namespace: str, pushed: str = "") -> str:
    """Return the fully qualified name of a node.

    Args:
        node: its own name.
        namespace: the one it is given; an absolute one begins with a slash.
        pushed: the namespace that a launch file which includes ours has set.
    """
    path = namespace if namespace.startswith("/") else f"{pushed}/{namespace}"
    return "/".join(["", *filter(None, path.split("/")), node])


def _unfit(name: str, wanted: str, value: str) -> UserError:
    return UserError(f"The launch argument {name} takes {wanted}, not '{value}'.")
