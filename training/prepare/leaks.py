"""What the splits of a run share: pictures, near copies of them, and people; and what its report may promise.

Nothing is left out here. A run trains and measures on what it was given, and says what its figures are worth.
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
    looked_at,
    same_pictures,
)
from facial_attributes_training.prepare.scan import Progress

_LOGGER = logging.getLogger(__name__)
_ALONE = 2000
"""So many pictures are looked at in one process; starting others takes longer."""
_KINDS = {SAME_FILE: "the same file", SAME_PIXELS: "the same pixels", NEAR_COPY: "a near copy"}


@dataclass(frozen=True, slots=True)
class Shared:
    """What the rows of one split share with another's.

    Attributes:
        split, other: names of the two; figures are of the former, or chosen on it.
        rows: of the split.
        pictures: how many of them show a picture that the other has, by how that is known.
        people: how many of them show a person who is in the other, by the column `identity`.
        example: path of a shared picture, and of its like in the other; empty without one.
    """

    split: str
    other: str
    rows: int
    pictures: Mapping[str, int]
    people: int
    example: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """What is shared, for people to read."""
        told = []
        if count := sum(self.pictures.values()):
            kinds = ", ".join(f"{self.pictures[how]} as {_KINDS[how]}" for how in _KINDS if self.pictures.get(how))
            told.append(
                f"{count} of {self.rows} {self.split} rows show pictures that are among the {self.other} rows too "
                f"({kinds}; such as {' and '.join(self.example)})."
            )
        if self.people:
            told.append(
                f"{self.people} of {self.rows} {self.split} rows show people who are in the {self.other} rows too, by "
                f"the column {IDENTITY}."
            )
        return told


@dataclass(frozen=True, slots=True)
class Comparison:
    """All splits of a run, each compared with those before it.

    Attributes:
        measured: name of the split that figures are of.
        shared: of every pair of splits.
        unseen: pictures that were compared by name alone, as they are elsewhere or can't be read.
        named: whether every row says who is in the picture.
    """

    measured: str
    shared: tuple[Shared, ...]
    unseen: int
    named: bool

    @property
    def notes(self) -> list[str]:
        """Everything that is shared, and what could not be compared; empty if all is well."""
        told = [sentence for each in self.shared for sentence in each.sentences]
        if told:
            told[-1] += (
                " The figures will flatter; prepare the training data with --against, or draw --splits by person."
            )
        if self.unseen:
            told.append(f"{self.unseen} pictures could not be looked at, and were compared by their names alone.")
        return told

    @property
    def promise(self) -> str:
        """What can be said of the rows that figures are of, as a sentence."""
        mine = [each for each in self.shared if each.split == self.measured]
        if found := [sentence for each in mine for sentence in each.sentences]:
            return " ".join(["Beware: these figures flatter.", *found])
        apart = "nobody in them is" if self.named else "people could not all be told apart"
        pictures = "None of their pictures, nor a near copy of one, is among the other rows"
        if self.unseen:
            pictures += f", as far as {self.unseen} pictures that could not be looked at allow to say"
        return f"Of rows that nothing was chosen or fitted on. {pictures}; {apart}{' either' if self.named else ''}."


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
        splits: rows by name, those that are trained on first.
        measured: name of the split that figures are of.
        manifests: CSV files that the rows are from.
        log: where to keep what is found in pictures that `prepare` has not looked at.
        workers: number of processes to look at them with.
        progress: told how far that is.

    Raises:
        UserError: the log can't be written.
    """
    paths = list(dict.fromkeys(path for rows in splits.values() for path in rows.paths.tolist()))
    known = looked_at(paths, manifests, log, workers if len(paths) > _ALONE else 1, progress)
    shared = []
    for (other, before), (name, rows) in combinations(splits.items(), 2):
        matches = same_pictures(rows.paths.tolist(), before.paths.tolist(), known)
        found = [match for path in rows.paths.tolist() if (match := matches.get(path))]
        example = next(((path, match.other) for path, match in matches.items()), ())
        people = int(np.isin(rows.people, sorted(set(before.people.tolist()) - {""})).sum())
        shared.append(Shared(name, other, len(rows), Counter(match.how for match in found), people, example))
    named = all((rows.people != "").all() for rows in splits.values())
    unseen = sum(path not in known or bool(known[path].error) for path in paths)
    return Comparison(measured, tuple(shared), unseen, named)


def warn_of_leaks(notes: Iterable[str]) -> None:
    """Log what splits share as warnings."""
    for note in notes:
        _LOGGER.warning("%s", note)
