"""The plots of an evaluation report; each function draws one figure and returns it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from facial_attributes_training.measure.evaluation import Calibration, Group, TaskResult, Years
from facial_attributes_training.measure.metrics import CALIBRATION_BINS, Reliability
from numpy.typing import NDArray

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.figures import Axes, Figure
from facial_attributes_ros.files import atomic_target, disk_errors

DPI = 110
_DARK_CELL = 0.55
"""Above this share of the darkest cell, text is white."""
_OLDEST = 100


def confusion_figure(result: TaskResult, task: str, title: str) -> Figure:
    """Draw the confusion matrix twice: rows counted, and as share of the true class."""
    rows = result.confusion.sum(axis=1, keepdims=True)
    shares = result.confusion / np.maximum(rows, 1)
    side = 1.6 + 0.5 * len(LABELS[task])
    figure = Figure(figsize=(2 * side + 1, side + 0.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _matrix(left, result.confusion.astype(np.float64), task, "{:.0f}")
    _matrix(right, 100 * shares, task, "{:.0f}")
    left.set_title("faces")
    right.set_title("% of the true class")
    figure.suptitle(title)
    return figure


def reliability_figure(calibration: Calibration, title: str) -> Figure:
    """Draw the reliability diagrams before and after temperature scaling."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    errors = calibration.before, calibration.after
    before, after = (
        f"calibration error {100 * error:.1f} %, NLL {nll:.3f}, Brier {brier:.3f}"
        for error, nll, brier in zip(errors, calibration.nll, calibration.brier, strict=True)
    )
    _diagram(left, calibration.diagram_before, f"as trained\n{before}")
    _diagram(right, calibration.diagram_after, f"temperature {calibration.temperature:.2f}\n{after}")
    left.set_ylabel("accuracy, share of faces")
    figure.suptitle(title)
    return figure


def groups_figure(groups: Mapping[str, Mapping[str, Group]], title: str) -> Figure:
    """Draw the accuracy of every group of every column, with its interval and its number of faces."""
    names = [(column, value) for column, values in groups.items() for value in values]
    figure = Figure(figsize=(8, 1.4 + 0.3 * (len(names) + len(groups))), layout="constrained")
    axes = figure.subplots()
    places, labels, place = [], [], 0.0
    for index, (column, values) in enumerate(groups.items()):
        for value, group in values.items():
            estimate = group.accuracy
            errors = [[100 * (estimate.value - estimate.low)], [100 * (estimate.high - estimate.value)]]
            axes.barh(place, 100 * estimate.value, color=f"C{index}", height=0.75)
            axes.errorbar(100 * estimate.value, place, xerr=errors, color="black", capsize=2, linewidth=1)
            places.append(place)
            labels.append(f"{value} ({group.rows})")
            place += 1
        axes.text(1.01, place - 1 - (len(values) - 1) / 2, column, transform=axes.get_yaxis_transform(), va="center")
        place += 0.6
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy, % (number of faces in brackets)")
    axes.set_title(title)
    return figure


def ages_figure(years: Years, title: str) -> Figure:
    """Draw expected against true ages as a scatter plot."""
    figure = Figure(figsize=(5.2, 5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(years.true, years.expected, s=6, alpha=0.35, linewidths=0)
    axes.plot([0, _OLDEST], [0, _OLDEST], color="black", linewidth=1, linestyle="--")
    axes.set(xlim=(0, _OLDEST), ylim=(0, _OLDEST), aspect="equal")
    axes.set_xlabel("true age, years")
    axes.set_ylabel("expected age, years")
    axes.set_title(
        f"{title}\nmean error {years.mae.value:.2f} years, PLCC {years.plcc.value:.3f}, SROCC {years.srocc.value:.3f}"
    )
    return figure


def ages_histogram(ages: Mapping[str, NDArray[np.floating]], title: str) -> Figure:
    """Draw the ages in years of every split, (rows,) each, as shares of the split; missing ones (NaN) are left out."""
    figure = Figure(figsize=(7.5, 1.2 + 1.7 * len(ages)), layout="constrained")
    panels = figure.subplots(len(ages), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for index, (axes, (name, years)) in enumerate(zip(panels, ages.items(), strict=True)):
        known = years[~np.isnan(years)]
        shares = np.full(len(known), 100 / max(len(known), 1))
        axes.hist(known, bins=np.arange(0, _OLDEST + 2, 2), weights=shares, color=f"C{index}")
        mean = f", mean {known.mean():.1f} years, deviation {known.std():.1f}" if len(known) else ""
        axes.set_title(f"{name}: {len(known)} faces{mean}", fontsize=10)
        axes.set_ylabel("% of the split")
    panels[-1].set_xlabel("true age, years")
    figure.suptitle(title)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as a picture, atomically, and return its path.

    Raises:
        UserError: no space or no write access.
    """
    with disk_errors(path), atomic_target(path) as partial:
        figure.savefig(partial, dpi=DPI, bbox_inches="tight")
    return path


def _matrix(axes: Axes, values: NDArray[np.float64], task: str, form: str) -> None:
    labels = LABELS[task]
    axes.imshow(values, cmap="Blues", vmin=0)
    highest = max(float(values.max()), 1.0)
    for row, column in np.ndindex(values.shape):
        shade = "white" if values[row, column] > _DARK_CELL * highest else "black"
        axes.text(column, row, form.format(values[row, column]), ha="center", va="center", color=shade, fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _diagram(axes: Axes, diagram: Reliability, title: str) -> None:
    width = 1 / CALIBRATION_BINS
    centres = (np.arange(CALIBRATION_BINS) + 0.5) * width
    there = diagram.rows > 0
    shares = diagram.rows / max(int(diagram.rows.sum()), 1)
    axes.bar(centres[there], diagram.accuracy[there], width * 0.9, color="C0", label="accuracy")
    axes.bar(centres, shares, width * 0.4, color="C7", alpha=0.8, label="share of the faces")
    axes.plot(
        diagram.confidence[there],
        diagram.accuracy[there],
        "o",
        color="C3",
        markersize=4,
        label="at the mean confidence",
    )
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel("confidence (highest probability)")
    axes.set_title(title, fontsize=10)
    axes.legend(loc="upper left", fontsize=8)
