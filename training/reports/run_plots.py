"""The plots of a run's report; each function draws one figure and returns it."""

from collections.abc import Mapping, Sequence

import numpy as np

from facial_attributes_ros.figures import Axes, Figure, MaxNLocator

Columns = Mapping[str, Sequence[float]]
"""Numbers by the name of their column."""


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
        if f"loss_{task}" not in history:  # no validation row has its label
            continue
        losses.plot(epochs, history[f"loss_{task}"], "-o", color=colour, markersize=3, label=f"{task}, validation")
        if f"error_{task}" in history:
            accuracies.plot(epochs, history[f"error_{task}"], "-o", color=colour, markersize=3, label=f"{task}, years")
            continue
        accuracy = [100 * value for value in history[f"accuracy_{task}"]]
        balanced = [100 * value for value in history[f"balanced_accuracy_{task}"]]
        accuracies.plot(epochs, accuracy, "-o", color=colour, markersize=3, label=task)
        accuracies.plot(epochs, balanced, ":o", color=colour, markersize=3, label=f"{task}, balanced")
    best = min(range(len(epochs)), key=lambda place: history["loss"][place])
    errors = [f"error_{task}" in history for task in tasks]
    kinds = [kind for kind, there in (("accuracy, %", not all(errors)), ("mean error, years", any(errors))) if there]
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
    """Draw the share of every class among the labelled rows, as they are and as they are drawn.

    Args:
        table: as `distribution.csv` has it, one row a class.
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
        axes.set_title(f"{task}: {_total(rows, 'rows')} labelled, {_total(rows, 'drawn')} drawn", fontsize=10)
        axes.set_ylabel("share of the labelled rows, %")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle(title)
    return figure


def speed_figure(steps: Columns, title: str) -> Figure:
    """Draw what a step takes, split into waiting for data and computing, and the rows per second.

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
    _from_zero(times, "milliseconds a step")
    _from_zero(rates, "rows a second")
    times.legend(fontsize=8, loc="lower right")
    figure.suptitle(title)
    return figure


def _from_zero(axes: Axes, label: str) -> None:
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel(label)


def _total(rows: Sequence[Mapping[str, str]], column: str) -> str:
    return f"{sum(int(row[column]) for row in rows):,}"
