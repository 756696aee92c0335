"""Why a label is unknown, and what is wrong with a graph, in sentences. Needs no ROS."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from facial_attributes_ros.attributes import TASKS, json_key

STALE: Final = 3.0
"""Seconds without diagnostics, which come once a second, after which a node counts as gone."""
SILENT: Final = 2.0
"""Seconds without an image or faces after which that is a problem."""
_WARN: Final = 1
"""Level of a warning in `diagnostic_msgs/DiagnosticStatus`; a higher one is an error."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a running model.

    Attributes:
        running: whether it is estimated now.
        threshold: a label is unknown below this probability; infinite if the task was never calibrated.
    """

    running: bool
    threshold: float


def why_unknown(face: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, str]:
    """Return why a face's labels are unknown, per key of its JSON form.

    Args:
        face: see `attributes.face_dict`.
        tasks: those of the model, by name; empty if they are not known.
    """
    return {json_key(task): _why(face, task, tasks) for task in TASKS if face[json_key(task)] is None}


def _why(face: Mapping[str, Any], task: str, tasks: Mapping[str, Task]) -> str:
    known = tasks.get(task)
    if tasks and known is None:
        return "The model does not estimate it."
    if known is not None and not known.running:
        return "Switched off."
    if not face["observations"]:
        return "Not estimated yet."
    if known is not None and not math.isfinite(known.threshold):
        return "The model was not calibrated for it."
    label, probability = max(face[f"{json_key(task)}_probabilities"].items(), key=lambda one: one[1] or 0.0)
    most = f"Most probable: {label}, {100 * (probability or 0):.0f} %"
    if known is not None and (probability or 0) < known.threshold:
        return f"{most}; {100 * known.threshold:.0f} % is needed."
    return f"{most}, which is not enough for this face."


@dataclass(slots=True)
class Situation:
    """What is known of one view at a moment.

    Attributes:
        node: name of the perception node; empty if none publishes the faces.
        image_topic: of the images; empty if it is not known.
        cameras: publishers of the images.
        refused: why a publisher's quality of service does not fit a subscription, a sentence each.
        image_silence: seconds since the last image; None if none was asked for.
        faces_silence: likewise, since the last message of faces.
        diagnostics: the node's status: `level`, `message`, `values`; None if there was none yet.
        diagnostics_silence: seconds since then, or since somebody began to look.
        error: why the last image could not be shown, a sentence.
        resting: the diagnostics of perception nodes that publish no faces yet, by their names.
    """

    node: str = ""
    image_topic: str = ""
    cameras: int = 0
    refused: list[str] = field(default_factory=list)
    image_silence: float | None = None
    faces_silence: float | None = None
    diagnostics: Mapping[str, Any] | None = None
    diagnostics_silence: float = 0.0
    error: str = ""
    resting: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


Problem = dict[str, str]


def problems(situation: Situation) -> list[Problem]:
    """Return what is wrong, the cause before its effects: `level` (warn or error), and a `text` for people."""
    found = [*_node_problems(situation), *_camera_problems(situation)]
    if not found and situation.node and (situation.faces_silence or 0.0) > SILENT:
        found = [_problem("warn", f"No faces received from {situation.node} for {situation.faces_silence:.0f} s.")]
    return found


def _node_problems(situation: Situation) -> Iterator[Problem]:
    node, diagnostics = situation.node, situation.diagnostics
    if not node:
        resting = [found for name, status in situation.resting.items() for found in _state_problems(name, status)]
        yield from resting
        if resting:
            return
        if situation.cameras:
            yield _problem("warn", "No perception node runs for this camera, so no faces are shown.")
        else:
            start = "start it with `ros2 launch facial_attributes_ros perception.launch.py`."
            yield _problem("error", f"No perception node runs: {start}")
        return
    if situation.diagnostics_silence > STALE:
        heard = "has not been heard of" if diagnostics is None else "has not been heard of any more"
        yield _problem(
            "error", f"{node} {heard} for {situation.diagnostics_silence:.0f} s: see whether its process has ended."
        )
    elif diagnostics is not None:
        yield from _state_problems(node, diagnostics)


_NEXT: Final = {"unconfigured": "configure", "inactive": "activate"}


def _state_problems(node: str, diagnostics: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what a node's diagnostics say is wrong."""
    state = diagnostics["values"].get("state", "active")
    if diagnostics["level"] >= _WARN:
        yield _problem("warn" if diagnostics["level"] == _WARN else "error", f"{node}: {diagnostics['message']}")
    elif state != "active" and not diagnostics["values"].get("loading"):
        yield _problem("warn", f"{node} is {state}: `ros2 lifecycle set {node} {_NEXT.get(state, 'activate')}`.")
    elif state != "active":
        yield _problem("warn", f"{node}: {diagnostics['message']}")


def _camera_problems(situation: Situation) -> Iterator[Problem]:
    topic = situation.image_topic
    if topic and not situation.cameras:
        yield _problem("error", f"No camera publishes on {topic}: start it, or see whether it uses another topic.")
    yield from (_problem("error", sentence) for sentence in situation.refused)
    if situation.error:
        yield _problem("error", situation.error)
    elif situation.cameras and not situation.refused and (situation.image_silence or 0.0) > SILENT:
        yield _problem("warn", f"No image received on {topic} for {situation.image_silence:.0f} s.")


def _problem(level: str, text: str) -> Problem:
    return {"level": level, "text": text}


RATES: Final = (
    ("input rate Hz", "Images in", "Hz"),
    ("output rate Hz", "Messages out", "Hz"),
    ("latency p50 ms", "Latency, median", "ms"),
    ("latency p95 ms", "Latency, 95 %", "ms"),
    ("images dropped", "Dropped", ""),
    ("images lost (estimate)", "Lost in transport", ""),
)
"""What the page shows of /diagnostics: key, title and unit."""


def rates(diagnostics: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return what the page shows of a node's diagnostics, in order: `title` and `value` with its unit."""
    values = {} if diagnostics is None else diagnostics["values"]
    return [
        {"title": title, "value": f"{values[key]} {unit}".strip() if values.get(key) else "-"}
        for key, title, unit in RATES
    ]
