"""The plots of reports; each function draws one figure and returns it. First those of an evaluation, then of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from facial_attributes_training.measure.evaluation import Calibration, Group, TaskResult, Years
from facial_attributes_training.measure.metrics import CALIBRATION_BINS, Reliability
from numpy.typing import NDArray

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.figures import Axes, Figure, MaxNLocator
from facial_attributes_ros.files import atomic_target, disk_errors

DPI = 110
Columns = Mapping[str, Sequence[float]]
"""Numbers by the name of their column."""
_DARK_CELL = 0.55
"""Above this fraction of the darkest cell, text is white."""
_OLDEST = 100


def confusion_figure(result: TaskResult, task: str, title: str) -> Figure:
    """Draw the confusion matrix twice: as counts, and as percentages of the true class."""
    rows = result.confusion.sum(axis=1, keepdims=True)
    rates = result.confusion / np.maximum(rows, 1)
    side = 1.6 + 0.5 * len(LABELS[task])
    figure = Figure(figsize=(2 * side + 1, side + 0.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _matrix(left, result.confusion.astype(np.float64), task, "{:.0f}")
    _matrix(right, 100 * rates, task, "{:.0f}")
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
        f"ECE {100 * error:.1f} %, NLL {nll:.3f}, Brier {brier:.3f}"
        for error, nll, brier in zip(errors, calibration.nll, calibration.brier, strict=True)
    )
    _diagram(left, calibration.diagram_before, f"as trained\n{before}")
    _diagram(right, calibration.diagram_after, f"temperature {calibration.temperature:.2f}\n{after}")
    left.set_ylabel("accuracy")
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
        f"{title}\nMAE {years.mae.value:.2f} years, PLCC {years.plcc.value:.3f}, SROCC {years.srocc.value:.3f}"
    )
    return figure


def ages_histogram(ages: Mapping[str, NDArray[np.floating]], title: str) -> Figure:
    """Draw the ages in years of every split, (samples,) each, as percentages of the known ones; NaN where unknown."""
    figure = Figure(figsize=(7.5, 1.2 + 1.7 * len(ages)), layout="constrained")
    panels = figure.subplots(len(ages), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for index, (axes, (name, years)) in enumerate(zip(panels, ages.items(), strict=True)):
        known = years[~np.isnan(years)]
        weights = np.full(len(known), 100 / max(len(known), 1))
        axes.hist(known, bins=np.arange(0, _OLDEST + 2, 2), weights=weights, color=f"C{index}")
        mean = f", mean {known.mean():.1f} years, standard deviation {known.std():.1f}" if len(known) else ""
        axes.set_title(f"{name}: {len(known)} faces{mean}", fontsize=10)
        axes.set_ylabel("% of the split")
    panels[-1].set_xlabel("true age, years")
    figure.suptitle(title)
    return figure


def losses_figure(history: Columns, tasks: Sequence[str], title: str) -> Figure:
    """Draw the losses of training and validation, and the accuracies or errors of validation, by epoch.

    Args:
        history: as `history.csv` has it.
        tasks: of the stage.
        title: of the figure.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    epochs = [epoch + 1 for epoch in history["epoch"]]
    for index, task in enumerate(tasks):
        colour = f"C{index}"
        losses.plot(epochs, history[f"train_loss_{task}"], "--o", color=colour, markersize=3, label=f"{task}, training")
        if f"loss_{task}" not in history:  # no validation sample has its label
            continue
        losses.plot(epochs, history[f"loss_{task}"], "-o", color=colour, markersize=3, label=f"{task}, validation")
        if f"error_{task}" in history:
            accuracies.plot(epochs, history[f"error_{task}"], "-o", color=colour, markersize=3, label=f"{task}, years")
            continue
        accuracy = [100 * value for value in history[f"accuracy_{task}"]]
        balanced = [100 * value for value in history[f"balanced_accuracy_{task}"]]
        accuracies.plot(epochs, accuracy, "-o", color=colour, markersize=3, label=task)
        accuracies.plot(epochs, balanced, ":o", color=colour, markersize=3, label=f"{task}, balanced accuracy")
    best = min(range(len(epochs)), key=lambda place: history["loss"][place])
    errors = [f"error_{task}" in history for task in tasks]
    kinds = [kind for kind, there in (("accuracy, %", not all(errors)), ("MAE, years", any(errors))) if there]
    for axes, label in ((losses, "loss"), (accuracies, f"validation: {'; '.join(kinds)}")):
        axes.axvline(epochs[best], color="grey", linewidth=1, label="lowest validation loss")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_xlim(0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        # Beside the curves, which fill the whole of the axes.
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(title)
    return figure


def distribution_figure(table: Sequence[Mapping[str, str]], title: str) -> Figure:
    """Draw the proportion of every class among the labelled samples, before and after sampling.

    Args:
        table: the lines of `distribution.csv`, one a class.
        title: of the figure.
    """
    tasks = list(dict.fromkeys(row["task"] for row in table))
    figure = Figure(figsize=(1.5 + 3.6 * len(tasks), 4), layout="constrained")
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        rows = [row for row in table if row["task"] == task]
        places = range(len(rows))
        before, after = ([100 * float(row[name]) for row in rows] for name in ("share", "drawn_share"))
        axes.bar([place - 0.2 for place in places], before, 0.4, color="C7", label="before sampling")
        axes.bar([place + 0.2 for place in places], after, 0.4, color="C0", label="after sampling")
        axes.set_xticks(list(places), [row["label"] for row in rows], rotation=45, ha="right")
        axes.set_title(f"{task}: {_total(rows, 'rows')} labelled, {_total(rows, 'drawn')} sampled", fontsize=10)
        axes.set_ylabel("% of the labelled samples")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle(title)
    return figure


def speed_figure(steps: Columns, title: str) -> Figure:
    """Draw what a step takes, split into waiting for data and computing, and the samples per second.

    Args:
        steps: as `step_log.read_steps` returns them.
        title: of the figure.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    times, rates = figure.subplots(1, 2)
    edges = np.array([0.0, *steps["step"]])
    waited, worked = (1000 * np.array(steps[name]) for name in ("data_seconds", "step_seconds"))
    times.stairs(waited, edges, fill=True, color="C3", label="waiting for data")
    times.stairs(waited + worked, edges, baseline=waited, fill=True, color="C0", label="computing")
    rates.stairs(np.array(steps["rows_per_second"]), edges, color="C0", baseline=None)
    _from_zero(times, "milliseconds per step")
    _from_zero(rates, "samples per second")
    times.legend(fontsize=8, loc="lower right")
    figure.suptitle(title)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as an image file, atomically, and return its path.

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
    fractions = diagram.rows / max(int(diagram.rows.sum()), 1)
    axes.bar(centres[there], diagram.accuracy[there], width * 0.9, color="C0", label="accuracy")
    axes.bar(centres, fractions, width * 0.4, color="C7", alpha=0.8, label="fraction of the faces")
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


def _from_zero(axes: Axes, label: str) -> None:
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel(label)


def _total(rows: Sequence[Mapping[str, str]], column: str) -> str:
    return f"{sum(int(row[column]) for row in rows):,}"
