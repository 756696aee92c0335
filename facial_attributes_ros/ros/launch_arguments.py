"""Arguments of the launch files: the values that each takes. Needs no ROS.

launch ignores a mistyped name, and its messages about a value often do not name the argument.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.camera.settings import CAMERA_SETTINGS
from facial_attributes_ros.ros.viewer.settings import VIEWER_SETTINGS
from facial_attributes_ros.setting import Setting

_YES_OR_NO: Final = ("", "true", "false", "True", "False")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "use_sim_time": _YES_OR_NO,
    "autostart": _YES_OR_NO,
    "view": _YES_OR_NO,
    "respawn": _YES_OR_NO,
    "loop": _YES_OR_NO,
    "emotion": _YES_OR_NO,
    "log_level": ("debug", "info", "warn", "error", "fatal"),
    "engine": ("", "auto", "onnx", "onnx-int8", "torch"),
    "image_transport": ("", "raw", "compressed"),
    "rep155": ("", "auto", "always", "merge", "add", "never"),
}
"""Arguments that take one of a few words."""
SIZES: Final[Mapping[str, Setting]] = {
    **{f"camera_{one.name}": one for one in CAMERA_SETTINGS if one.name in ("width", "height", "rate")},
    **{f"view_{one.name}": one for one in VIEWER_SETTINGS if one.name == "port"},
}
"""Arguments that take a number, and the camera's or the viewer's parameter that it is for."""
PARAMETERS: Final = ("model", "device", "engine", "detector", "image_transport", "rep155")
"""Arguments that are parameters of the perception node of the same name, all of them texts."""

_NAME = r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "namespace": (rf"/?|/?{_NAME}/?", "a namespace, as robot or /robot/head"),
    "device": (r"|auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N"),
    "detector": (r"|yunet(:(onnx|opencv))?|scrfd:.+|.+\.onnx", "yunet, scrfd:FILE.onnx or scrfd:PACK"),
    "image_topic": (rf"(~?/)?{_NAME}", "the name of a topic, as /camera/color/image_raw"),
    "camera_frame_id": (r"[^\s/][^\s]*", "the name of a coordinate frame, as camera"),
}
_ALIKE = 0.85
"""Similarity, 0 to 1, from which on an unknown name counts as a mistyped argument."""


def check_arguments(given: Mapping[str, str], names: Collection[str], typed: Collection[str] = ()) -> None:
    """Check the arguments of the launch file.

    Args:
        given: values of the arguments by name. Other names may belong to a launch file that includes ours, so only
            those that resemble one of ours are refused.
        names: of our arguments.
        typed: the names that the user gave to our launch file itself, none if it is included: all must be ours.

    Raises:
        UserError: a name is mistyped, or a value cannot be.
    """
    for name in sorted(set(typed) - set(names)):
        similar = get_close_matches(name, names, n=1)
        hint = f"did you mean {similar[0]}?" if similar else "--show-args lists those that there are."
        raise UserError(f"There is no launch argument {name}: {hint}")
    for name in given.keys() - names:
        for nearest in get_close_matches(name, names, n=1, cutoff=_ALIKE):
            if name != f"{nearest}s":  # a list of cameras is no mistyped camera
                raise UserError(f"There is no launch argument {name}: did you mean {nearest}?")
    for name, words in CHOICES.items():
        if name in given and given[name] not in words:
            raise _unfit(name, f"one of {', '.join(filter(None, words))}", given[name])
    for name, (form, wanted) in _FORMS.items():
        if name in given and not re.fullmatch(form, given[name], re.ASCII):
            raise _unfit(name, wanted, given[name])
    for name, setting in SIZES.items():
        if name in given:
            replace(setting, name=f"The launch argument {name}").parse(given[name])


def typed_arguments(argv: Sequence[str], file: str) -> list[str]:
    """Return the names of the arguments that a command line gives to a launch file, none if it starts another one.

    Args:
        argv: of the process, as `ros2 launch facial_attributes_ros perception.launch.py camera:=webcam`.
        file: name of the launch file.
    """
    ends = [place for place, word in enumerate(argv) if word == file or word.endswith(f"/{file}")]
    return [word.partition(":=")[0] for word in argv[ends[0] + 1 :] if ":=" in word] if ends else []


def switch(name: str, given: str) -> dict[str, bool]:
    """Return the parameter of a launch argument that is true or false, nothing if it was not given."""
    return {name: given.lower() == "true"} if given else {}


def log_arguments(level: str, node: str) -> list[str]:
    """Return the ROS arguments for a log level.

    `debug` is for the node's own lines only: the middleware would add hundreds.

    Args:
        level: one of the words that `log_level` takes.
        node: the node's name with its namespaces, as `/robot/perception`.
    """
    logger = node.strip("/").replace("/", ".")
    return ["--ros-args", "--log-level", f"{logger}:=debug" if level == "debug" else level]


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """One of several cameras.

    Attributes:
        name: namespace of its nodes.
        topic: of its images; empty if a camera node publishes them.
        source: of a camera node, as its parameter of that name; empty if the images come from elsewhere.
    """

    name: str
    topic: str = ""
    source: str = ""


def camera_entries(text: str) -> list[CameraEntry]:
    """Return the cameras of a list.

    Args:
        text: entries NAME=TOPIC or NAME=SOURCE, separated by spaces; a source is webcam, webcam:N, sample, or a file or
            folder that exists.

    Raises:
        UserError: an entry has another form, or two have the same name.
    """
    wanted = "entries NAME=TOPIC or NAME=SOURCE separated by spaces, as front=/front/image_raw rear=webcam:1"
    entries = []
    for entry in text.split():
        name, _, what = entry.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or not what:
            raise UserError(f"The launch argument cameras takes {wanted}, not '{entry}'.")
        if re.fullmatch(r"sample|webcam(:\d+)?", what) or Path(what).expanduser().exists():
            entries.append(CameraEntry(name, source=what))
        elif re.fullmatch(rf"/?{_NAME}", what, re.ASCII):
            entries.append(CameraEntry(name, topic=what))
        else:
            raise UserError(f"The launch argument cameras has '{what}', which is no topic, webcam, sample or file.")
    if not entries:
        raise UserError(f"The launch argument cameras takes {wanted}.")
    names = [entry.name for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"The launch argument cameras has two cameras named {', '.join(sorted(twice))}.")
    return entries


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
