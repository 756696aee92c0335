"""Judges what happened in the node, for /diagnostics: one rule for each thing that can be wrong. Needs no ROS."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from facial_attributes_ros.ros.perception.diagnostics import IMAGE_MISSING, Report

OK: Final = 0
WARN: Final = 1
ERROR: Final = 2
"""The levels of `diagnostic_msgs/DiagnosticStatus`."""

LATENCY_WARN, LATENCY_ERROR = 0.5, 2.0
"""Seconds from an image's stamp to its published attributes."""
STUCK = 2.0
"""Seconds without what should be going on after which something hangs."""
OTHER_CLOCK = 3600.0
"""Seconds of latency, either way, from which stamps and clock cannot be of the same time."""
REFUSED_WARN, REFUSED_ERROR = 0.1, 0.5
"""Share of the images that could not be read."""
LOST_WARN = 0.05
"""Share of the camera's images that got lost."""
LOADING_WARN = 300.0
"""Seconds after which configuring takes suspiciously long, even where an engine has to be built."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a report is judged by, beside itself.

    Attributes:
        state: of the lifecycle, such as unconfigured or active.
        problem: why the last transition failed, if it did.
        loading: the stage of what is being loaded, while the node is configuring.
        loading_seconds: for which it has been loading.
        clock_still: seconds for which the node's clock has not moved.
        topic: of the images.
    """

    state: str
    problem: str | None = None
    loading: str = ""
    loading_seconds: float = 0.0
    clock_still: float = 0.0
    topic: str = "/image"


@dataclass(frozen=True, slots=True)
class Health:
    """A diagnostic status before it becomes a message.

    Attributes:
        level: `OK`, `WARN` or `ERROR`.
        message: a sentence for everything that is wrong, the worst first, or one that says that all is well.
        values: what a person may want to look up.
    """

    level: int
    message: str
    values: dict[str, str] = field(default_factory=dict)


Finding = tuple[int, str]


def assess(report: Report, situation: Situation) -> Health:
    """Judge a report.

    Args:
        report: what happened lately.
        situation: what the node was doing.
    """
    values = _values(report, situation)
    if situation.problem is not None:
        return Health(ERROR, situation.problem, values)
    if situation.state != "active":
        level, message = _at_rest(situation)
        return Health(level, message, values)
    found = sorted(_found(report, situation), key=lambda finding: -finding[0])
    if found:
        return Health(found[0][0], " ".join(sentence for _, sentence in found), values)
    rates = f"{report.rate('in'):.1f} images/s in, {report.rate('out'):.1f} arrays/s out"
    return Health(OK, f"{rates}, faces: {'?' if report.faces is None else report.faces}.", values)


def _at_rest(situation: Situation) -> Finding:
    if situation.state == "finalized":
        return WARN, "The node is shut down (finalized) for good: start its process again to use it."
    if situation.loading:
        level = WARN if situation.loading_seconds > LOADING_WARN else OK
        return level, f"The node is {situation.state}: {situation.loading}."
    return OK, f"The node is {situation.state}."


def _found(report: Report, situation: Situation) -> Iterator[Finding]:
    if report.silence > IMAGE_MISSING:
        sentence = f"No image has come for {report.silence:.0f} s; check the topic {situation.topic} and the camera."
        yield WARN, sentence
    for rule in _RULES:
        finding = rule(report, situation)
        if finding is not None:
            yield finding


def _clock(report: Report, situation: Situation) -> Finding | None:
    if report.silence > IMAGE_MISSING or situation.clock_still <= STUCK:
        return None
    return ERROR, (
        f"The node's clock has stood still for {situation.clock_still:.0f} s while images come: use_sim_time is set, "
        "but nothing moves /clock; play the recording with --clock, or set use_sim_time to false."
    )


def _stamps(report: Report, situation: Situation) -> Finding | None:
    if report.silence > IMAGE_MISSING or report.still <= STUCK or situation.clock_still > STUCK:
        return None
    return ERROR, (
        f"The stamps of the images have not moved for {report.still:.0f} s, so no estimate is renewed; check the clock "
        "of the camera's driver."
    )


def _other_clock(report: Report, situation: Situation) -> Finding | None:
    latency = report.latency(95)
    if latency is None or abs(latency) <= OTHER_CLOCK or situation.clock_still > STUCK:
        return None
    return ERROR, (
        "The stamps of the images are not of this clock; set use_sim_time for a recording, or the camera's clock."
    )


def _work(report: Report, _: Situation) -> Finding | None:
    if report.waiting > STUCK:
        sentence = f"An image has been waiting for its attributes for {report.waiting:.0f} s: the work on it hangs, "
        return ERROR, sentence + "or this machine is far too slow for it."
    if report.unanswered > STUCK and report.silence <= IMAGE_MISSING:
        return ERROR, f"Images come in, but nothing has come out for {report.unanswered:.0f} s; the log says why."
    return None


def _worker(report: Report, _: Situation) -> Finding | None:
    if not report.recent.get("ended", 0):
        return None
    return ERROR, f"The worker ended ({report.reasons.get('ended', '')}) and was started again."


def _model(report: Report, _: Situation) -> Finding | None:
    return (ERROR, report.reasons.get("model", "")) if report.recent.get("model", 0) else None


def _failures(report: Report, _: Situation) -> Finding | None:
    if not report.recent.get("failed", 0):
        return None
    return ERROR, f"The work on some images failed: {report.reasons.get('failed', 'the log says why.')}"


def _refusals(report: Report, _: Situation) -> Finding | None:
    bad = report.recent.get("bad", 0)
    worked_on = bad + report.recent.get("out", 0) + report.recent.get("failed", 0)
    if not bad or bad < REFUSED_WARN * worked_on:
        return None
    level = ERROR if bad >= REFUSED_ERROR * worked_on else WARN
    return level, f"{bad} of {worked_on} images could not be read: {report.reasons.get('bad', 'the log says why.')}"


def _latency(report: Report, _: Situation) -> Finding | None:
    latency = max(report.latency(95) or 0.0, report.waiting)
    if not LATENCY_WARN < latency <= OTHER_CLOCK:
        return None
    return ERROR if latency > LATENCY_ERROR else WARN, f"Attributes come {latency:.1f} s after their image."


def _losses(report: Report, situation: Situation) -> Finding | None:
    if report.stream.share < LOST_WARN:
        return None
    return WARN, (
        f"About {100 * report.stream.share:.0f} % of the camera's images are lost on their way, by the gaps in their "
        "stamps. Give this node and the camera's the Fast DDS profile config/fastdds_shm.xml "
        "(FASTRTPS_DEFAULT_PROFILES_FILE), or make the images reliable: start this node with -p "
        f"qos_overrides.{situation.topic}.subscription.reliability:=reliable and have the camera publish reliably."
    )


_RULES: Final[tuple[Callable[[Report, Situation], Finding | None], ...]] = (
    _clock,
    _stamps,
    _other_clock,
    _work,
    _worker,
    _model,
    _failures,
    _refusals,
    _latency,
    _losses,
)


def _values(report: Report, situation: Situation) -> dict[str, str]:
    period = report.stream.period
    values = {
        "state": situation.state,
        "loading": situation.loading,
        "images in per second": f"{report.rate('in'):.1f}",
        "arrays out per second": f"{report.rate('out'):.1f}",
        "images received": str(report.totals.get("in", 0)),
        "images lost (estimate)": str(report.stream.lost),
        "images passed over": str(report.totals.get("skipped", 0)),
        "images refused": str(report.totals.get("bad", 0)),
        "frames failed": str(report.totals.get("failed", 0) + report.totals.get("model", 0)),
        "workers ended": str(report.totals.get("ended", 0)),
        "camera period ms": "" if period is None else f"{period * 1000:.1f}",
        "oldest image waiting ms": f"{report.waiting * 1000:.0f}",
        "faces": "" if report.faces is None else str(report.faces),
    }
    for percent in (50, 95, 99):
        latency = report.latency(percent)
        values[f"latency p{percent} ms"] = "" if latency is None else f"{latency * 1000:.1f}"
    return values | {f"{stage} ms": f"{seconds * 1000:.1f}" for stage, seconds in sorted(report.timings.items())}
