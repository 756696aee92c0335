"""Assesses what happened in the node, for /diagnostics: one rule for each fault. Needs no ROS."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from facial_attributes_ros.ros.perception.statistics import IMAGE_MISSING, Report

OK: Final = 0
WARN: Final = 1
ERROR: Final = 2
"""The levels of `diagnostic_msgs/DiagnosticStatus`."""

LATENCY_WARN, LATENCY_ERROR = 0.5, 2.0
"""Seconds from an image's stamp to its published attributes."""
STUCK = 2.0
"""Seconds without progress after which the work counts as stuck."""
OTHER_CLOCK = 3600.0
"""Latency in seconds, of either sign, from which stamps and the node's clock cannot have the same origin."""
INVALID_WARN, INVALID_ERROR = 0.1, 0.5
"""Fraction of invalid images."""
LOST_WARN = 0.05
"""Fraction of the camera's images that are lost in transport."""
LOADING_WARN = 300.0
"""Seconds after which configuring takes too long, even if an engine has to be built."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the node does when a report is assessed.

    Attributes:
        state: of the lifecycle, such as unconfigured or active.
        problem: why the last transition failed, if it did.
        loading: stage of the loading while the node is configuring, else empty.
        loading_seconds: for which it has been loading.
        clock_still: seconds for which the node's clock has not moved.
        topic: of the images.
        unused_gpu: why the machine's GPU is not used, a sentence; empty if it is, or if there is none.
        poses_problem: why no poses are published although somebody subscribes to them, a sentence; else empty.
        conflict: a sentence about other publishers of the list of faces; empty if all is well.
    """

    state: str
    problem: str | None = None
    loading: str = ""
    loading_seconds: float = 0.0
    clock_still: float = 0.0
    topic: str = "/image"
    unused_gpu: str = ""
    poses_problem: str = ""
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """A diagnostic status before it becomes a message.

    Attributes:
        level: `OK`, `WARN` or `ERROR`.
        message: one sentence for each fault, the worst first, or the rates if there is none.
        values: keys and values of the status.
    """

    level: int
    message: str
    values: dict[str, str] = field(default_factory=dict)


Finding = tuple[int, str]


def assess(report: Report, situation: Situation) -> Health:
    """Assess a report.

    Args:
        report: what happened since the last one.
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
    rates = (
        f"Images received at {report.rate('received'):.1f} Hz, messages published at {report.rate('published'):.1f} Hz"
    )
    return Health(OK, f"{rates}, faces: {'?' if report.faces is None else report.faces}.", values)


def _at_rest(situation: Situation) -> Finding:
    if situation.state == "finalized":
        return WARN, "The node is shut down (finalized): start its process again to use it."
    if situation.loading:
        level = WARN if situation.loading_seconds > LOADING_WARN else OK
        return level, f"The node is {situation.state}: {situation.loading}."
    return OK, f"The node is {situation.state}."


def _found(report: Report, situation: Situation) -> Iterator[Finding]:
    if report.silence > IMAGE_MISSING:
        yield WARN, f"No image received for {report.silence:.0f} s: check the topic {situation.topic} and the camera."
    for rule in _RULES:
        finding = rule(report, situation)
        if finding is not None:
            yield finding
    for sentence in (situation.poses_problem, situation.unused_gpu, situation.conflict):
        if sentence:
            yield WARN, sentence


def _clock(report: Report, situation: Situation) -> Finding | None:
    if report.silence > IMAGE_MISSING or situation.clock_still <= STUCK:
        return None
    return ERROR, (
        f"The node's clock has not moved for {situation.clock_still:.0f} s while images are received: use_sim_time is "
        "set, but nothing publishes /clock. Play the recording with --clock, or set use_sim_time to false."
    )


def _stamps(report: Report, situation: Situation) -> Finding | None:
    if report.silence > IMAGE_MISSING or report.still <= STUCK or situation.clock_still > STUCK:
        return None
    return ERROR, (
        f"The stamps of the images have not moved for {report.still:.0f} s, so no estimate is updated: check the clock "
        "of the camera's driver."
    )


def _other_clock(report: Report, situation: Situation) -> Finding | None:
    latency = report.latency(95)
    if latency is None or abs(latency) <= OTHER_CLOCK or situation.clock_still > STUCK:
        return None
    return ERROR, (
        "The stamps of the images are not of this clock: set use_sim_time for a recording, or set the camera's clock."
    )


def _work(report: Report, _: Situation) -> Finding | None:
    if report.waiting > STUCK:
        return ERROR, (
            f"An image has been waiting for its attributes for {report.waiting:.0f} s: the work on it is stuck, or "
            "this machine is far too slow."
        )
    if report.unanswered > STUCK and report.silence <= IMAGE_MISSING:
        return ERROR, f"Images are received, but nothing was published for {report.unanswered:.0f} s: see the log."
    return None


def _worker(report: Report, _: Situation) -> Finding | None:
    if not report.recent.get("restarts", 0):
        return None
    return ERROR, f"The worker ended ({report.reasons.get('restarts', '')}) and was restarted."


def _model(report: Report, _: Situation) -> Finding | None:
    return (ERROR, report.reasons.get("model", "")) if report.recent.get("model", 0) else None


def _failures(report: Report, _: Situation) -> Finding | None:
    if not report.recent.get("failed", 0):
        return None
    return ERROR, f"The processing of some images failed: {report.reasons.get('failed', 'see the log.')}"


def _invalid(report: Report, _: Situation) -> Finding | None:
    invalid = report.recent.get("invalid", 0)
    processed = invalid + report.recent.get("published", 0) + report.recent.get("failed", 0)
    if not invalid or invalid < INVALID_WARN * processed:
        return None
    level = ERROR if invalid >= INVALID_ERROR * processed else WARN
    return level, f"{invalid} of {processed} images are invalid: {report.reasons.get('invalid', 'see the log.')}"


def _latency(report: Report, _: Situation) -> Finding | None:
    latency = max(report.latency(95) or 0.0, report.waiting)
    if not LATENCY_WARN < latency <= OTHER_CLOCK:
        return None
    return ERROR if latency > LATENCY_ERROR else WARN, f"Attributes are published {latency:.1f} s after their image."


def _losses(report: Report, situation: Situation) -> Finding | None:
    if report.stream.lost_fraction < LOST_WARN:
        return None
    return WARN, (
        f"About {100 * report.stream.lost_fraction:.0f} % of the camera's images are lost in transport, by the gaps in "
        "their stamps. Give this node and the camera's the Fast DDS profile config/fastdds_shm.xml "
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
    _invalid,
    _latency,
    _losses,
)


def _values(report: Report, situation: Situation) -> dict[str, str]:
    period = report.stream.period
    values = {
        "state": situation.state,
        "loading": situation.loading,
        "input rate Hz": f"{report.rate('received'):.1f}",
        "output rate Hz": f"{report.rate('published'):.1f}",
        "images received": str(report.totals.get("received", 0)),
        "images lost (estimate)": str(report.stream.lost),
        "images dropped": str(report.totals.get("dropped", 0)),
        "images invalid": str(report.totals.get("invalid", 0)),
        "frames failed": str(report.totals.get("failed", 0) + report.totals.get("model", 0)),
        "worker restarts": str(report.totals.get("restarts", 0)),
        "camera period ms": "" if period is None else f"{period * 1000:.1f}",
        "oldest waiting image ms": f"{report.waiting * 1000:.0f}",
        "faces": "" if report.faces is None else str(report.faces),
    }
    for percent in (50, 95, 99):
        latency = report.latency(percent)
        values[f"latency p{percent} ms"] = "" if latency is None else f"{latency * 1000:.1f}"
    return values | {f"{stage} ms": f"{seconds * 1000:.1f}" for stage, seconds in sorted(report.timings.items())}
