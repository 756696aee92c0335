"""Figures of the measurements; each function draws one and returns it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.bench.detection import RECALL, Finding
from facial_attributes_ros.bench.graph import EndToEnd
from facial_attributes_ros.bench.load import KEEPS_UP, Point
from facial_attributes_ros.bench.process_usage import Memory

if TYPE_CHECKING:
    from facial_attributes_ros.figures import Figure

DPI = 110
_LABELS = {"faces": "faces in the frame", "width": "frame width, pixels (4:3)", "rate": "camera, frames/s"}


def load_figure(results: Sequence[tuple[Point, EndToEnd | str]]) -> "Figure":
    """Draw message rate, latency and cores against every axis; failed points are omitted."""
    from facial_attributes_ros.figures import Figure

    measured = [(point, result) for point, result in results if not isinstance(result, str)]
    axes = list(dict.fromkeys(point.axis for point, _ in results))
    figure = Figure(figsize=(4.6 * len(axes), 8.5), layout="constrained")
    grid = figure.subplots(3, len(axes), squeeze=False)
    for column, axis in enumerate(axes):
        chosen = [(point, result) for point, result in measured if point.axis == axis]
        values = [point.value for point, _ in chosen]
        rates, latencies, cores = grid[:, column]
        rates.plot(values, [result.rate for _, result in chosen], "o-", label="messages/s")
        wanted = [KEEPS_UP * point.rate for point, _ in chosen]
        rates.plot(values, wanted, "--", color="grey", label=f"keeps up: {KEEPS_UP:.0%} of the camera")
        rates.set_title(_LABELS[axis])
        latencies.plot(values, [result.p50 for _, result in chosen], "o-", label="latency p50, ms")
        latencies.plot(values, [result.p99 for _, result in chosen], "s--", label="latency p99, ms")
        cores.plot(values, [result.cores for _, result in chosen], "o-", label="cores used")
        cores.set_xlabel(_LABELS[axis])
        for each in (rates, latencies, cores):
            each.set_ylim(bottom=0)
            each.grid(alpha=0.3)
            each.legend(fontsize=8)
    return figure


def detection_figure(findings: Sequence[Finding]) -> "Figure":
    """Draw recall against the side of the face for every detector and size, and the time each takes."""
    from facial_attributes_ros.figures import Figure

    measured = [finding for finding in findings if finding.recall]
    names = list(dict.fromkeys(finding.detector for finding in measured))
    figure = Figure(figsize=(5.2 * (len(names) + 1), 4.4), layout="constrained")
    *curves, times = figure.subplots(1, len(names) + 1, squeeze=False)[0]
    for name, axes in zip(names, curves, strict=True):
        own = [finding for finding in measured if finding.detector == name]
        for index, finding in enumerate(own):
            recall = finding.recall or {}
            colour = f"C{index}"
            axes.plot(list(recall), list(recall.values()), "o-", ms=3, color=colour, label=f"{finding.size} px")
        axes.axhline(RECALL, color="grey", linestyle="--", linewidth=1)
        axes.set(
            title=_short(name), xlabel="side of the face, pixels of the 1280x960 frame", ylabel="recall", xscale="log"
        )
        sides = list(own[0].recall or {})
        axes.set_xticks(sides, [str(side) for side in sides])
        axes.minorticks_off()
        axes.set_ylim(0, 1.02)
        axes.legend(fontsize=8, title="searched copy")
        axes.grid(alpha=0.3)
        times.plot([each.size for each in own], [each.milliseconds for each in own], "o-", label=_short(name))
    times.set(xlabel="longest side of the searched copy, pixels", ylabel="milliseconds per frame", title="time")
    times.set_ylim(bottom=0)
    times.legend(fontsize=8)
    times.grid(alpha=0.3)
    return figure


def _short(detector: str) -> str:
    return Path(detector).name


def memory_figure(samples: Sequence[Memory]) -> "Figure":
    """Draw the perception process's memory over time."""
    from facial_attributes_ros.figures import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    minutes = [sample.seconds / 60 for sample in samples]
    axes.plot(minutes, [sample.resident for sample in samples], label="resident, with memory shared with the camera")
    axes.plot(minutes, [sample.private for sample in samples], label="of its own")
    axes.set(xlabel="minutes", ylabel="MB")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=DPI)
