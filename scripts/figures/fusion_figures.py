"""Print the tables of `docs/fusion.md`: how well fusion works on streams of predictions whose truth is known.

.venv/bin/python scripts/figures/fusion_figures.py
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from baseline_filters import exponential_average, plain_markov
from estimate_streams import (
    CENTROIDS,
    CHANGE,
    ENDS,
    NOISES,
    STEP,
    EmotionStreams,
    changes_a_minute,
    changing_emotions,
    fuse,
    points,
    stream,
)
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER
from facial_attributes_ros.fusion.age import NINETY, expected_age
from facial_attributes_ros.options import FusionOptions

SECONDS = (0, 1, 2, 5, 10)
Filter = Callable[[NDArray[np.float64], float, float], NDArray[np.int64]]
"""From predictions, the seconds between them and a parameter to labels."""


def emotions(faces: int, how: FusionOptions) -> Iterator[str]:
    """Yield a table of label changes, fraction of correct labels and delay, by accuracy of single predictions."""
    yield (
        "| single predictions correct | errors | label changes per minute, single → fused "
        "| correct from 2 s on | delay | within 0.7 s |"
    )
    yield "|---|---|---|---|---|---|"
    for accuracy in (0.57, None, 0.85):
        for noise in NOISES:
            seen = changing_emotions(np.random.default_rng(5), faces, accuracy, noise, how)
            before, after = (changes_a_minute(labels[:, :CHANGE]) for labels in (seen.single, seen.fused))
            right = [100 * seen.right(labels) for labels in (seen.single, seen.fused)]
            late = seen.delays()
            flicker = f"{before:.0f} → {after:.1f} ({before / after:.0f} times fewer)"
            follow = f"{np.median(late):.1f} s | {100 * (late <= 0.7 + 1e-9).mean():.0f} %"
            rate = "measured" if accuracy is None else f"{100 * accuracy:.0f} %"
            yield f"| {rate} | {noise} | {flicker} | {right[0]:.0f} → {right[1]:.0f} % | {follow} |"


def ablation(faces: int, how: FusionOptions) -> Iterator[str]:
    """Yield a table of fusion and two simpler filters at equal delay, for correlations that it assumes and others."""
    yield "| errors | correlation time | filter | parameter | label changes per minute | correct from 2 s on | delay |"
    yield "|---|---|---|---|---|---|---|"
    simple: dict[str, Filter] = {"plain Markov model": plain_markov, "exponential average": exponential_average}
    for noise in NOISES:
        for correlation in (0.1, 0.5, 2.0):
            seen = changing_emotions(np.random.default_rng(5), faces, 0.57, noise, how, correlation)
            wanted = float(np.median(seen.delays()))
            found = {"fusion": ("as it is", seen.fused)}
            for name, filtered in simple.items():
                parameter, labels = at_delay(seen, filtered, wanted)
                found[name] = f"{parameter:.2g} s", labels
            for name, (parameter_text, labels) in found.items():
                changes, right = changes_a_minute(labels[:, :CHANGE]), 100 * seen.right(labels)
                figures = f"{changes:.1f} | {right:.0f} % | {np.median(seen.delays(labels)):.1f} s"
                yield f"| {noise} | {correlation} s | {name} | {parameter_text} | {figures} |"


def at_delay(seen: EmotionStreams, filtered: Filter, wanted: float) -> tuple[float, NDArray[np.int64]]:
    """Return the largest parameter with which a filter follows a change in a given median time, and its labels."""
    low, high = math.log(0.02), math.log(1e6)
    for _ in range(12):
        middle = (low + high) / 2
        late = np.median(seen.delays(filtered(seen.estimates, STEP, math.exp(middle)))) > wanted + 1e-9
        low, high = (low, middle) if late else (middle, high)
    return math.exp(low), filtered(seen.estimates, STEP, math.exp(low))


def confidences(how: FusionOptions) -> Iterator[str]:
    """Yield a table of how soon a constant probability of an emotion is followed."""
    yield "| constant probability | followed after |"
    yield "|---|---|"
    for sure in (0.6, 0.7, 0.8, 0.9, 0.95):
        views = np.full((2, 7), (1 - sure) / 6)
        views[[0, 1], [3, 4]] = sure
        fused = fuse(EMOTION, np.repeat(views, (100, 50), axis=0)[None], how)[0].argmax(axis=1)
        yield f"| {sure} | {((fused[100:] == 4).argmax() + 1) * STEP:.1f} s |"


def ages(faces: int, how: FusionOptions) -> Iterator[str]:
    """Yield a table of how often 90 % intervals of the age cover it, and how wide they are."""
    yield (
        "| exact group | errors | intraclass correlation | coverage after 0, 1, 2, 5, 10 s "
        "| mean standard deviation after the same |"
    )
    yield "|---|---|---|---|---|"
    for accuracy in (0.44, None):
        for noise in NOISES:
            for stays in (0.0, 0.4, 0.8):
                rng = np.random.default_rng(5)
                groups = rng.integers(9, size=faces)
                years = rng.uniform(ENDS[groups], ENDS[groups + 1])
                truth = np.repeat(groups[:, None], 10 * SECONDS[-1] + 1, axis=1)
                views = fuse(AGE, stream(rng, points(AGE, accuracy), truth, noise, stays), how)
                found = [[expected_age(view[10 * second], CENTROIDS) for second in SECONDS] for view in views]
                told, deviations = np.moveaxis(np.array(found), -1, 0)
                inside = 100 * (np.abs(years[:, None] - told) <= NINETY * deviations).mean(axis=0)
                rate = "measured" if accuracy is None else f"{100 * accuracy:.0f} %"
                cover = ", ".join(f"{value:.0f}" for value in inside)
                width = ", ".join(f"{value:.1f}" for value in deviations.mean(axis=0))
                yield f"| {rate} | {noise} | {stays} | {cover} % | {width} years |"


def genders(faces: int, how: FusionOptions) -> Iterator[str]:
    """Yield a table of how often genders are correct, and their confidence, by intraclass correlation of the errors."""
    yield "| single predictions correct | intraclass correlation | correct after 15 s | mean confidence |"
    yield "|---|---|---|---|"
    for stays in (0.0, 0.6, 0.9):
        rng = np.random.default_rng(5)
        truth = np.repeat(rng.integers(2, size=(faces, 1)), 150, axis=1)
        fused = fuse(GENDER, stream(rng, points(GENDER, 0.8), truth, "drifting", stays), how)[:, -1]
        right = (fused.argmax(axis=1) == truth[:, -1]).mean()
        yield f"| 80 % | {stays} | {100 * right:.0f} % | {100 * fused.max(axis=1).mean():.0f} % |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=200, help="in every row (default: %(default)s)")
    defaults = FusionOptions(emotion_prior=1 / 7)  # in these streams every emotion is equally frequent
    parser.add_argument("--emotion-memory", type=float, default=defaults.emotion_memory)
    parser.add_argument("--switch-odds", type=float, default=defaults.switch_odds)
    args = parser.parse_args()
    how = replace(defaults, emotion_memory=args.emotion_memory, switch_odds=args.switch_odds)
    tables = (emotions, ablation, ages, genders)
    for table in (*(make(args.faces, how) for make in tables), confidences(how)):
        for row in table:
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
