"""Plots of the resting face: one stream, and how the belief changes while a person is watched."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from person_streams import NEUTRAL, RATE, SAD, PersonViews, Streams, make_streams, only
from resting_face_figures import Tested, facts_without, probabilities

from facial_attributes_ros.attributes import EMOTION, LABELS
from facial_attributes_ros.figures import Axes, Figure
from facial_attributes_ros.fusion.beliefs import Beliefs
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.options import FusionOptions

_PALETTE = ("#e69f00", "#9467bd", "#8c564b", "#2ca02c", "#1f77b4", "#d62728", "#7f7f7f")
_COLOURS = dict(zip(LABELS[EMOTION], _PALETTE, strict=True))


def draw(views: PersonViews, spec: ModelSpec, sources: Sequence[str], folder: Path) -> None:
    """Write the plots of the people of every source to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        people = Tested.of(views, source)
        facts, _ = facts_without(views, source, {*people.everyday, *people.sad})
        known = replace(spec, resting_face=facts)
        everyday = make_streams(views, people.everyday, np.random.default_rng(1))
        _stream(spec, known, everyday).savefig(folder / f"resting-face-stream-{source}.png", dpi=110)
        sad = make_streams(views, people.sad, np.random.default_rng(1), only(SAD)) if people.sad else None
        _learning(spec, known, everyday, sad).savefig(folder / f"resting-face-learning-{source}.png", dpi=110)


def believed(spec: ModelSpec, streams: Streams, options: FusionOptions) -> tuple[NDArray[np.float64], ...]:
    """Return (people, frames, emotions) published probabilities, and (people, frames) how well the faces are known."""
    ids = [f"face{row}" for row in range(len(streams.logits))]
    beliefs, views = Beliefs(spec, options), probabilities(spec, streams)
    published, known = np.empty_like(views), np.zeros(views.shape[:2])
    for frame in range(views.shape[1]):
        beliefs.update(ids, {EMOTION: views[:, frame]}, frame / RATE, np.ones(len(ids)), {EMOTION: 0.0})
        published[:, frame] = beliefs.tasks[EMOTION].published
        if EMOTION in beliefs.resting:
            known[:, frame] = beliefs.resting[EMOTION].known
    return published, known


def _stream(spec: ModelSpec, known: ModelSpec, streams: Streams) -> Figure:
    """Draw one person's stream: without and with the resting face; the one who is labelled sad most at rest."""
    without, _ = believed(spec, streams, FusionOptions(resting_face=False))
    found, how_well = believed(known, streams, FusionOptions())
    at_rest = streams.truth == NEUTRAL
    row = int((at_rest * without[..., SAD]).sum(axis=1).argmax())
    figure = Figure(figsize=(9, 6), layout="constrained")
    upper, lower, last = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1))
    _stack(upper, without[row], streams.truth[row], "without the resting face")
    _stack(lower, found[row], streams.truth[row], "with it")
    seconds = np.arange(found.shape[1]) / RATE
    last.plot(seconds, how_well[row], color="black")
    last.set(ylim=(0, 1), ylabel="known", xlabel="seconds")
    handles, names = upper.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", title="probability")
    return figure


def _stack(axes: Axes, published: NDArray[np.float64], truth: NDArray[np.int64], title: str) -> None:
    """Stack the probabilities of one stream; the strip above it is the truth."""
    seconds = np.arange(len(truth)) / RATE
    axes.stackplot(seconds, published.T, labels=LABELS[EMOTION], colors=list(_COLOURS.values()))
    for emotion, colour in enumerate(_COLOURS.values()):
        axes.fill_between(seconds, 1.03, 1.1, where=truth == emotion, color=colour, step="mid", linewidth=0)
    axes.set(xlim=(0, seconds[-1]), ylim=(0, 1.1), title=f"{title} (above: the true emotion)")


def _learning(spec: ModelSpec, known: ModelSpec, everyday: Streams, sad: Streams | None) -> Figure:
    """Draw how labels change with the seconds for which people have been watched."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    cases = [("at rest, with other expressions", everyday, NEUTRAL), ("sad throughout", sad, SAD)]
    for one, (title, streams, truth) in zip(axes, cases, strict=True):
        if streams is None:
            one.set_visible(False)
            continue
        for spec_of, options, style in ((spec, FusionOptions(resting_face=False), ":"), (known, FusionOptions(), "-")):
            labels = believed(spec_of, streams, options)[0].argmax(axis=2)
            for emotion in (NEUTRAL, SAD):
                name = LABELS[EMOTION][emotion]
                seconds, fractions = _over_time(labels, streams.truth, truth, emotion)
                what = f"{name}, {'with' if style == '-' else 'without'} the resting face"
                one.plot(seconds, fractions, style, color=_COLOURS[name], label=what)
        one.set(title=title, xlabel="seconds since the person was first seen", ylim=(0, 100))
    axes[0].set_ylabel("labelled, % of people")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _over_time(
    labels: NDArray[np.int64], truth: NDArray[np.int64], emotion: int, label: int, seconds: int = 5
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times, and the percentages of frames of one true emotion with one label in bins of some seconds."""
    frames = round(seconds * RATE)
    bins = [slice(start, start + frames) for start in range(0, labels.shape[1], frames)]
    rows = [(truth[:, one] == emotion, labels[:, one] == label) for one in bins]
    fractions = [100 * float(right[of].mean()) if of.any() else np.nan for of, right in rows]
    return (np.arange(len(bins), dtype=np.float64) + 0.5) * seconds, np.array(fractions, np.float64)
