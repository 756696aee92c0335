"""Overlap between the splits of a run: images, near copies of them, and people.

Nothing is excluded here. A run trains and measures on its data as they are, and its report states the overlap.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from facial_attributes_training.data.manifest import IDENTITY, Manifest
from facial_attributes_training.prepare.overlap import (
    NEAR_COPY,
    SAME_FILE,
    SAME_PIXELS,
    findings_of,
    same_images,
)
from facial_attributes_training.prepare.scan import Progress

_LOGGER = logging.getLogger(__name__)
_ALONE = 2000
"""Largest number of images that one process scans alone; starting others takes longer."""
_KINDS = {SAME_FILE: "the same file", SAME_PIXELS: "the same pixels", NEAR_COPY: "a near copy"}


@dataclass(frozen=True, slots=True)
class Overlap:
    """The overlap of one split with another.

    Attributes:
        split, other: names of the two; metrics are of the former, or it chooses the epoch.
        rows: number of samples of the split.
        images: how many of them show an image that is in the other too, by how that is known.
        people: how many of them show a person who is in the other too, by the column `identity`.
        example: path of such an image, and of its counterpart in the other; empty without one.
    """

    split: str
    other: str
    rows: int
    images: Mapping[str, int]
    people: int
    example: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """The overlap in words, empty without any."""
        found = []
        if count := sum(self.images.values()):
            kinds = ", ".join(f"{self.images[how]} as {_KINDS[how]}" for how in _KINDS if self.images.get(how))
            found.append(
                f"{count} of {self.rows} {self.split} samples show images that are among the {self.other} samples too "
                f"({kinds}; such as {' and '.join(self.example)})."
            )
        if self.people:
            found.append(
                f"{self.people} of {self.rows} {self.split} samples show people who are in the {self.other} samples "
                f"too, by the column {IDENTITY}."
            )
        return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """All splits of a run, each compared with those before it.

    Attributes:
        measured: name of the split that metrics are of.
        overlaps: of every pair of splits.
        unseen: number of images compared by name alone, as they are on another machine or can't be read.
        identified: whether the identity of every sample is known.
    """

    measured: str
    overlaps: tuple[Overlap, ...]
    unseen: int
    identified: bool

    @property
    def notes(self) -> list[str]:
        """Every overlap, and what could not be compared; empty if all is well."""
        found = [sentence for each in self.overlaps for sentence in each.sentences]
        if found:
            found[-1] += (
                " Metrics will be too high; prepare the training data with --against, or draw --splits by person."
            )
        if self.unseen:
            found.append(f"{self.unseen} images could not be read, and were compared by their names alone.")
        return found

    @property
    def summary(self) -> str:
        """How the measured samples overlap with the others, as a sentence or several."""
        mine = [each for each in self.overlaps if each.split == self.measured]
        if found := [sentence for each in mine for sentence in each.sentences]:
            return " ".join(["Beware: these metrics are too high.", *found])
        people = "no person is in both" if self.identified else "not all identities are known"
        images = "None of their images, nor a near copy of one, is among the other samples"
        if self.unseen:
            images += f" ({self.unseen} images could not be read and were compared by name)"
        return f"Of held-out samples, which nothing was chosen or fitted on. {images}; {people}."


def compare_splits(
    splits: Mapping[str, Manifest],
    measured: str,
    manifests: Sequence[Path],
    log: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Compare every split of a run with those before it, by files, pixels, near copies and people.

    Args:
        splits: samples by name, the training samples first.
        measured: name of the split that metrics are of.
        manifests: CSV files that the samples are from.
        log: file for the hashes of images that `prepare` has not scanned.
        workers: number of processes that scan them.
        progress: called with the number of scanned images and of all.

    Raises:
        UserError: the log can't be written.
    """
    paths = list(dict.fromkeys(path for rows in splits.values() for path in rows.paths.tolist()))
    known = findings_of(paths, manifests, log, workers if len(paths) > _ALONE else 1, progress)
    overlaps = []
    for (other, before), (name, rows) in combinations(splits.items(), 2):
        matches = same_images(rows.paths.tolist(), before.paths.tolist(), known)
        found = [match for path in rows.paths.tolist() if (match := matches.get(path))]
        example = next(((path, match.other) for path, match in matches.items()), ())
        people = int(np.isin(rows.people, sorted(set(before.people.tolist()) - {""})).sum())
        overlaps.append(Overlap(name, other, len(rows), Counter(match.how for match in found), people, example))
    identified = all((rows.people != "").all() for rows in splits.values())
    unseen = sum(path not in known or bool(known[path].error) for path in paths)
    return Comparison(measured, tuple(overlaps), unseen, identified)


def warn_of_overlap(notes: Iterable[str]) -> None:
    """Log overlaps as warnings."""
    for note in notes:
        _LOGGER.warning("%s", note)
