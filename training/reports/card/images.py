"""Images for a model card, all drawn from figures; the face in them is drawn too, no photograph is shown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import cv2
import numpy as np
from facial_attributes_training.measure.corruptions import STRENGTHS, Corruption
from facial_attributes_training.measure.evaluation import MIN_GROUP_ROWS
from facial_attributes_training.measure.robustness import CLEAN
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, TASKS
from facial_attributes_ros.figures import Axes, Figure
from facial_attributes_ros.imaging.crop import cut_frame

Json = Mapping[str, Any]

_SERIES: Final = {
    AGE: ("fairface", "accuracy", "age group (FairFace), accuracy"),
    GENDER: ("fairface", "accuracy", "gender (FairFace), accuracy"),
    EMOTION: ("affectnet-from-affectnet", "balanced_accuracy", "emotion (AffectNet), balanced accuracy"),
}
_SHOWN_GROUPS: Final = 8
_SIDE, _FRAME = 160, (82.0, 87.0, 106.0, 0.0)


def card_images(evaluation: Json) -> Iterator[tuple[str, Figure]]:
    """Yield file name and figure of everything that there are figures for.

    Args:
        evaluation: JSON of an evaluation.
    """
    yield "weakest-groups.png", groups_image(evaluation["results"])
    if any("-from-" in name for name in evaluation["results"]):
        yield "emotion-by-origin.png", origins_image(evaluation["results"])
    if evaluation["robustness"]:
        yield "corruption-curves.png", curves_image(evaluation["robustness"])
        yield "corruption-faces.png", faces_image(evaluation["robustness"])


def groups_image(results: Json) -> Figure:
    """Draw, per task, the groups with the lowest accuracy, their intervals, and the accuracy over all faces."""
    panels = [
        (task, name, tasks[task])
        for task, name in _largest(results).items()
        if (tasks := results[name])[task]["groups"]
    ]
    figure = Figure(figsize=(9, 0.9 + 2.4 * len(panels)), layout="constrained")
    for axes, (task, name, result) in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
        groups = sorted(
            (
                (f"{value} ({column.replace('_', ' ')}, {group['rows']})", group["accuracy"])
                for column, values in result["groups"].items()
                for value, group in values.items()
                if group["rows"] >= MIN_GROUP_ROWS
            ),
            key=lambda entry: entry[1]["value"],
        )[:_SHOWN_GROUPS]
        _bars(axes, groups)
        axes.axvline(100 * result["accuracy"]["value"], color="black", linewidth=1, linestyle="--")
        axes.set_title(f"{task}, {name}: the groups with the lowest accuracy (dashed: all faces)", fontsize=10)
    figure.supxlabel("accuracy, % (number of faces in brackets)", fontsize=9)
    return figure


def origins_image(results: Json) -> Figure:
    """Draw the recall of every emotion by origin of the images: a model that learnt the style would show here."""
    origins = {name: tasks[EMOTION] for name, tasks in results.items() if "-from-" in name and EMOTION in tasks}
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(origins)
    for number, (name, result) in enumerate(origins.items()):
        there = [(index, recall) for index, recall in enumerate(result["recall"]) if recall is not None]
        places = [index + (number - (len(origins) - 1) / 2) * width for index, _ in there]
        values = [100 * recall["value"] for _, recall in there]
        axes.bar(
            places, values, width * 0.95, label=name.replace("-from-", ", origin "), yerr=_errors(there), capsize=2
        )
        for place, (index, _) in zip(places, there, strict=True):
            axes.text(place, 2, str(sum(result["confusion"][index])), ha="center", fontsize=7, color="white")
    axes.set_xticks(range(len(LABELS[EMOTION])), LABELS[EMOTION])
    axes.set(ylim=(0, 100), ylabel="recall, %")
    axes.set_title("Emotions by origin of the images (number of faces at the foot)", fontsize=10)
    axes.legend(fontsize=8)
    return figure


def curves_image(conditions: Sequence[Json]) -> Figure:
    """Draw the accuracy of every task against the strength of every corruption, with intervals."""
    clean = next(condition for condition in conditions if condition["kind"] == CLEAN)
    kinds = [kind for kind in STRENGTHS if any(condition["kind"] == kind for condition in conditions)]
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    panels = figure.subplots(2, -(-len(kinds) // 2), sharey=True).flat
    for axes, kind in zip(panels, kinds, strict=False):
        steps = [clean, *(condition for condition in conditions if condition["kind"] == kind)]
        for number, (task, (name, measure, label)) in enumerate(_SERIES.items()):
            found = [condition["results"].get(name, {}).get(task) for condition in steps]
            if any(figures is None for figures in found):
                continue
            values = [figures[measure] for figures in found if figures is not None]
            axes.errorbar(
                range(len(values)),
                [100 * value["value"] for value in values],
                yerr=_errors(list(enumerate(values))),
                fmt="o" if kind == "cover" else "o-",
                color=f"C{number}",
                capsize=2,
                markersize=4,
                label=label,
            )
        axes.set_xticks(range(len(steps)), [CLEAN, *(step["label"].split(" of ")[0] for step in steps[1:])])
        axes.tick_params(labelsize=8)
        axes.set_title(kind, fontsize=10)
        axes.set_ylim(0, 100)
        axes.grid(axis="y", alpha=0.3)
    for axes in list(panels):
        axes.set_axis_off()
    figure.legend(*figure.axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    figure.supylabel("%", fontsize=9)
    return figure


def faces_image(conditions: Sequence[Json]) -> Figure:
    """Draw every corruption on a drawn face, with the figures of all tasks below."""
    kinds = list(STRENGTHS)
    columns = 1 + max(len(strengths) for strengths in STRENGTHS.values())
    figure = Figure(figsize=(2.0 * columns, 2.35 * len(kinds)), layout="constrained")
    grid = figure.subplots(len(kinds), columns)
    face, found = drawn_face(), {(condition["kind"], condition["label"]): condition for condition in conditions}
    for row, kind in enumerate(kinds):
        clean = cut_frame(face, _FRAME, 112)
        cells = [(clean, CLEAN, found[CLEAN, ""])]
        for strength in STRENGTHS[kind]:
            corruption = Corruption(kind, strength)
            if (condition := found.get((kind, corruption.label))) is not None:
                cells.append((corruption(face, _FRAME, 112), f"{kind}: {corruption.label}", condition))
        for axes, cell in zip(grid[row], cells, strict=False):
            _face_cell(axes, *cell)
        for axes in grid[row]:
            axes.set_axis_off()
    return figure


def drawn_face() -> NDArray[np.uint8]:
    """Return a schematic face, uint8 (side, side, 3) BGR."""
    image = np.full((_SIDE, _SIDE, 3), (150, 140, 120), np.uint8)
    image[:] = (image * np.linspace(0.8, 1.15, _SIDE)[:, None, None]).clip(0, 255).astype(np.uint8)
    skin, dark, lips = (150, 185, 225), (40, 45, 60), (95, 95, 190)
    cv2.rectangle(image, (62, 120), (102, _SIDE), (130, 165, 205), -1)
    cv2.ellipse(image, (82, 70), (50, 60), 0, 180, 360, (35, 50, 75), -1, cv2.LINE_AA)
    cv2.ellipse(image, (82, 82), (42, 56), 0, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.ellipse(image, (82, 46), (44, 22), 0, 180, 360, (35, 50, 75), -1, cv2.LINE_AA)
    for x in (65, 99):
        cv2.ellipse(image, (x, 76), (9, 5), 0, 0, 360, (245, 245, 245), -1, cv2.LINE_AA)
        cv2.circle(image, (x, 76), 4, dark, -1, cv2.LINE_AA)
        cv2.ellipse(image, (x, 68), (11, 5), 0, 200, 340, dark, 2, cv2.LINE_AA)
    cv2.polylines(image, [np.array([(83, 78), (78, 97), (87, 98)])], False, (110, 140, 185), 2, cv2.LINE_AA)
    cv2.ellipse(image, (82, 111), (17, 9), 0, 15, 165, lips, 4, cv2.LINE_AA)
    return image


def _face_cell(axes: Axes, image: NDArray[np.uint8], title: str, condition: Json) -> None:
    axes.imshow(image[..., ::-1], interpolation="nearest")
    figures = [
        f"{task} {100 * found[measure]['value']:.0f} %"
        for task, (name, measure, _) in _SERIES.items()
        if (found := condition["results"].get(name, {}).get(task)) is not None
    ]
    axes.set_title(title, fontsize=8)
    axes.text(0.5, -0.04, "\n".join(figures), transform=axes.transAxes, ha="center", va="top", fontsize=7)


def _largest(results: Json) -> dict[str, str]:
    """Return, per task, the data set with the most faces that is one source."""
    single = {name: tasks for name, tasks in results.items() if name != "all" and "-from-" not in name}
    tasks = [task for task in TASKS if any(task in found for found in single.values())]
    return {
        task: max((name for name in single if task in single[name]), key=lambda name: single[name][task]["rows"])
        for task in tasks
    }


def _bars(axes: Axes, groups: Sequence[tuple[str, Json]]) -> None:
    values = [100 * estimate["value"] for _, estimate in groups]
    axes.barh(range(len(groups)), values, color="C1", height=0.7)
    axes.errorbar(
        values,
        range(len(groups)),
        xerr=_errors(list(enumerate(e for _, e in groups))),
        fmt="none",
        color="black",
        capsize=2,
    )
    axes.set_yticks(range(len(groups)), [label for label, _ in groups], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)


def _errors(estimates: Sequence[tuple[int, Json]]) -> NDArray[np.float64]:
    """Return float64 (2, n): how far the intervals reach below and above their figures, in per cent."""
    ends = [(e["value"] - e["low"], e["high"] - e["value"]) for _, e in estimates]
    return 100 * np.maximum(np.array(ends).T, 0)
