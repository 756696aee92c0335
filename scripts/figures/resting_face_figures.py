"""Print the tables of `docs/fusion.md` about the resting face, and draw its plots.

.venv/bin/python scripts/figures/resting_face_figures.py --views work/views.npz --out docs/fusion

The views are made by `person_views.py`. Whatever is tested is in no fit: for each source with people who were seen at
rest and otherwise, the facts are measured on all other sources.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np
from baseline_filters import exponential_average, plain_markov
from facial_attributes_training.measure.resting_face import LabelledLogits, measure_resting_face
from numpy.typing import NDArray
from person_streams import (
    NEUTRAL,
    RATE,
    SAD,
    PersonViews,
    Streams,
    make_streams,
    only,
    sad_with_neutral,
    score,
)

from facial_attributes_ros.attributes import EMOTION, LABELS, UNKNOWN
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.fusion.beliefs import Beliefs
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.resting_face import RestingFaceFacts
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.options import FusionOptions

Label = Callable[[NDArray[np.float64]], NDArray[np.int64]]
"""From (people, frames, emotions) probabilities to (people, frames) labels."""

UNIFORM: Final = 1 / len(LABELS[EMOTION])
_FEWEST: Final = 5
"""People without whom a percentage is not given."""
_MOST: Final = 60
"""People of a source that streams are made of, at most."""


def published(spec: ModelSpec, options: FusionOptions, threshold: float = 0.0) -> Label:
    """Return the filter of the package."""

    def labels(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        ids = [f"face{row}" for row in range(len(probabilities))]
        beliefs, found = Beliefs(spec, options), np.full(probabilities.shape[:2], UNKNOWN)
        for frame in range(probabilities.shape[1]):
            beliefs.update(
                ids, {EMOTION: probabilities[:, frame]}, frame / RATE, np.ones(len(ids)), {EMOTION: threshold}
            )
            belief = beliefs.tasks[EMOTION]
            found[:, frame] = [belief.distribution(row, threshold).index for row in range(len(ids))]
        return found

    return labels


def filters(spec: ModelSpec, facts: RestingFaceFacts) -> dict[str, Label]:
    """Return the filters that are compared."""
    known = replace(spec, resting_face=facts)
    unknown_offset = replace(spec, resting_face=replace(facts, intraclass_correlation=0.0))
    threshold, default = spec.thresholds[EMOTION], FusionOptions()
    return {
        "exponential average of log probabilities": partial(exponential_average, interval=1 / RATE),
        "plain hidden Markov model": partial(plain_markov, interval=1 / RATE),
        "fusion without the resting face": published(spec, FusionOptions(emotion_prior=UNIFORM, resting_face=False)),
        "the same, `emotion_prior` 0.3": published(spec, FusionOptions(resting_face=False)),
        "means of other sources, no offset": published(unknown_offset, default),
        "with the resting face": published(known, default),
        "the same, at the threshold": published(known, default, threshold),
    }


def facts_without(views: PersonViews, source: str, people: set[str]) -> tuple[RestingFaceFacts, bool]:
    """Return the facts measured on the plain views of all other sources, and True.

    If the other sources do not know enough people, only the tested people are left out, and False is returned.
    """
    try:
        return _facts(views, views.sources != source), True
    except UserError:
        return _facts(views, ~np.isin(views.people, list(people))), False


def _facts(views: PersonViews, rows: NDArray[np.bool_]) -> RestingFaceFacts:
    plain = views.logits[rows, 0] - views.logits[rows, 0].mean(axis=1, keepdims=True)
    return measure_resting_face(LabelledLogits(plain, views.emotions[rows], views.sources[rows], views.people[rows]))


def probabilities(spec: ModelSpec, streams: Streams) -> NDArray[np.float64]:
    """Return calibrated (people, frames, emotions)."""
    scaled = streams.logits / spec.temperatures[EMOTION]
    powers = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    return np.asarray(powers / powers.sum(axis=2, keepdims=True))


@dataclass(frozen=True, slots=True)
class Tested:
    """The people of a source that streams are made of.

    Attributes:
        everyday: seen neutral and otherwise; a few of them several times.
        sad: seen sad.
        both: seen sad and neutral.
    """

    everyday: list[str]
    sad: list[str]
    both: list[str]

    @classmethod
    def of(cls, views: PersonViews, source: str) -> Self:
        """Choose the people at random."""
        rng, sources = np.random.default_rng(2), {source}
        neutral, sad = views.people_of(sources, {NEUTRAL}), views.people_of(sources, {SAD})
        varied = [person for person in neutral if len(set(views.emotions[views.people == person])) > 1]
        both = [person for person in sad if person in neutral]
        chosen = [[str(person) for person in rng.permutation(people)[:_MOST]] for people in (varied, sad, both)]
        return cls(chosen[0] * max(1, _MOST // 2 // max(len(chosen[0]), 1)), *chosen[1:])


def comparison(views: PersonViews, spec: ModelSpec, sources: Sequence[str]) -> Iterator[str]:
    """Yield a table of all filters on the people of each source, which is in no fit."""
    yield (
        "| people of | filter | neutral, % | at rest labelled sad, % | six others, % | sad throughout, % | "
        "sad, one in ten neutral, % | delay, s | label changes per minute |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for source in sources:
        people, rng = Tested.of(views, source), np.random.default_rng(1)
        facts, unseen = facts_without(views, source, {*people.everyday, *people.sad})
        where = f"{source} ({len(set(people.everyday))})" if unseen else f"{source}, others of it in the fit"
        made = {"everyday": make_streams(views, people.everyday, rng)}
        for key, names, episodes in (("sad", people.sad, only(SAD)), ("both", people.both, sad_with_neutral)):
            if len(names) >= _FEWEST:
                made[key] = make_streams(views, names, rng, episodes, 60.0)
        for name, label in filters(spec, facts).items():
            found = {key: score(label(probabilities(spec, one)), one.truth) for key, one in made.items()}
            day = found["everyday"]
            sad = [f"{100 * found[key].sad:.0f}" if key in found else "n/a" for key in ("sad", "both")]
            yield (
                f"| {where} | {name} | {100 * day.neutral:.0f} | "
                f"{100 * day.sad_at_rest:.0f} | {100 * day.others:.1f} | {sad[0]} | {sad[1]} | {day.delay:.1f} | "
                f"{day.changes:.1f} |"
            )


def disturbances(views: PersonViews, spec: ModelSpec, sources: Sequence[str]) -> Iterator[str]:
    """Yield a table of everyday streams in which the head turns, the light changes or the id jumps to somebody."""
    yield "| people of | disturbance | neutral, % | at rest labelled sad, % | six others, % | the three without it |"
    yield "|---|---|---|---|---|---|"
    for source in sources:
        people = Tested.of(views, source).everyday
        known = filters(spec, facts_without(views, source, set(people))[0])
        for name, streams in _disturbed(views, people):
            with_face, without = (
                score(known[key](probabilities(spec, streams)), streams.truth)
                for key in ("with the resting face", "fusion without the resting face")
            )
            cells = [
                " / ".join(f"{100 * value:.0f}" for value in (one.neutral, one.sad_at_rest, one.others))
                for one in (with_face, without)
            ]
            first = cells[0].replace(" / ", " | ")
            yield f"| {source} | {name} | {first} | {cells[1]} |"


def _disturbed(views: PersonViews, people: list[str]) -> Iterator[tuple[str, Streams]]:
    """Yield what is shown, and the streams."""
    shown = {"none": ("plain", "jitter"), "head turned": ("turn",), "lit from one side": ("light",)}
    made = {}
    for name, kinds in shown.items():
        try:
            made[name] = make_streams(views, people, np.random.default_rng(3), kinds=kinds)
        except ValueError:  # the images of this source have no such views
            continue
        yield name, made[name]
    half = made["none"].truth.shape[1] // 2
    for name, later in (
        ("head turned after a minute", "head turned"),
        ("light changed after a minute", "lit from one side"),
    ):
        if later in made:
            yield name, _spliced(made["none"], made[later], half)
    other = make_streams(views, people[1:] + people[:1], np.random.default_rng(4))
    yield "id jumps to another person after a minute", _spliced(made["none"], other, half)


def _spliced(first: Streams, second: Streams, frame: int) -> Streams:
    """Return the first streams up to a frame and the second ones from there on."""
    pair = [
        np.concatenate([getattr(first, name)[:, :frame], getattr(second, name)[:, frame:]], axis=1)
        for name in ("logits", "truth")
    ]
    return Streams(*pair)


def main() -> None:
    """Print the tables, and draw the plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, required=True, metavar="FILE.npz", help="made by person_views.py")
    parser.add_argument("--model", default="small", help="that made the views (default: %(default)s)")
    parser.add_argument("--source", action="append", help="test on its people; may be repeated (default: all)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the plots")
    args = parser.parse_args()
    views, spec = PersonViews.read(args.views), ModelSpec.read(model_folder(args.model))
    sources = args.source or [name for name in np.unique(views.sources) if Tested.of(views, name).everyday]
    for table in (comparison, disturbances):
        for row in table(views, spec, sources):
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
        sys.stdout.write("\n")
    if args.out:
        from resting_face_plots import draw

        draw(views, spec, sources, args.out)


if __name__ == "__main__":
    main()
