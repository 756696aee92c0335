"""Pictures that two sets of rows share, so that nothing is measured on what was trained on."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facial_attributes_training.data.archive import is_remote
from facial_attributes_training.data.manifest import Row, read_manifest
from facial_attributes_training.prepare.left_out import LeftOut
from facial_attributes_training.prepare.perceptual_hash import ImageHashes, near_copies
from facial_attributes_training.prepare.scan import Progress, Scanned, recorded_fingerprints, scan
from facial_attributes_training.prepare.splits import held_out_rank

_LOGGER = logging.getLogger(__name__)

SCAN_FILE = "scan.jsonl"
"""Where `prepare` keeps what it found in the pictures, beside the manifests."""
AGAINST_FILE = "scan-against.jsonl"
"""What was found in pictures of other manifests that have no such file."""
NEAR_COPY_OF = "near_copy_of"
"""Further column that names the split which holds a near copy of an image, as the owner of a data set has found out."""
SAME_FILE, SAME_PIXELS, NEAR_COPY = "same file", "same picture", "near copy"
"""How two pictures are the same, as in "near copy as"."""


@dataclass(frozen=True, slots=True)
class Match:
    """A picture that is in another set too.

    Attributes:
        other: path of the picture there.
        how: one of `SAME_FILE`, `SAME_PIXELS` and `NEAR_COPY`.
    """

    other: str
    how: str


def drop_marked_copies(rows: Sequence[Row]) -> tuple[list[Row], list[LeftOut]]:
    """Drop rows that the data set itself calls a near copy of an image in a split that is held out more than theirs."""
    kept, left_out = [], []
    for row in rows:
        split = row.extra.get(NEAR_COPY_OF, "")
        if split and held_out_rank(split) < held_out_rank(row.split):
            left_out.append(LeftOut.of(row, NEAR_COPY, f"the data set calls it a near copy of an image of {split}"))
        else:
            kept.append(row)
    return kept, left_out


def looked_at(
    paths: Iterable[str], manifests: Iterable[Path], log: Path, workers: int = 1, progress: Progress | None = None
) -> dict[str, Scanned]:
    """Return what is known of pictures, by path; those that `prepare` has not looked at are looked at now.

    Those on other machines are missing, and those that can't be read have their error.

    Args:
        paths: of the pictures.
        manifests: CSV files; what `prepare` has found stands beside them.
        log: where to keep what is found now, so that a stopped run goes on.
        workers: number of processes.
        progress: told how far the looking is.

    Raises:
        UserError: the log can't be written.
    """
    known: dict[str, Scanned] = {}
    for folder in dict.fromkeys(file.resolve().parent for file in manifests):
        known |= recorded_fingerprints(folder / SCAN_FILE)
    wanted = list(dict.fromkeys(paths))
    unknown = [path for path in wanted if path not in known and not is_remote(path)]
    if unknown:
        known |= scan(unknown, log, {"boxes": "none"}, None, workers, progress)
    return {path: known[path] for path in wanted if path in known}


def same_pictures(paths: Sequence[str], rivals: Iterable[str], known: Mapping[str, Scanned]) -> dict[str, Match]:
    """Return the pictures that are among others too, by path: the same file, the same pixels, or a near copy.

    Args:
        paths: of the pictures.
        rivals: to look among.
        known: what `looked_at` returns for both; pictures of which it has no look are compared by their paths alone.
    """
    known = {path: scanned for path, scanned in known.items() if not scanned.error}
    candidates = list(dict.fromkeys(rivals))
    there = set(candidates)
    matches = {path: Match(path, SAME_FILE) for path in paths if path in there}
    pixels = {known[path].fingerprint: path for path in reversed(candidates) if path in known}
    for path in paths:
        if path not in matches and path in known and known[path].fingerprint in pixels:
            matches[path] = Match(pixels[known[path].fingerprint], SAME_PIXELS)
    rest = [path for path in dict.fromkeys(paths) if path not in matches and path in known]
    seen = [path for path in candidates if path in known]
    if rest and seen:
        looks, others = (ImageHashes.of([known[path].look for path in part]) for part in (rest, seen))
        found = near_copies(looks, others)
        matches |= {
            path: Match(seen[place], NEAR_COPY) for path, place in zip(rest, found.tolist(), strict=True) if place >= 0
        }
    return matches


def look_at_manifests(
    manifests: Sequence[Path], out: Path, workers: int = 1, progress: Progress | None = None
) -> dict[str, Scanned]:
    """Return what is known of the pictures of some manifests by path; pictures not scanned yet are decoded.

    A warning tells how many can't be read, for nothing is compared with them.

    Args:
        manifests: the CSV files.
        out: folder to keep new findings in.
        workers: number of processes.
        progress: told how far the decoding is.

    Raises:
        UserError: a manifest can't be read, or the folder can't be written to.
    """
    paths = list(dict.fromkeys(path for file in manifests for path in read_manifest(file).paths.tolist()))
    known = looked_at(paths, manifests, out / AGAINST_FILE, workers, progress)
    errors = [scanned.error for scanned in known.values() if scanned.error]
    if errors:
        files = ", ".join(map(str, manifests))
        _LOGGER.warning("%d pictures of %s are not compared, as in: %s", len(errors), files, errors[0])
    return known


def drop_known(
    rows: Sequence[Row], scanned: Mapping[str, Scanned], known: Mapping[str, Scanned]
) -> tuple[list[Row], list[LeftOut]]:
    """Leave out the rows whose picture is known, be it as a near copy.

    Args:
        rows: to choose from.
        scanned: findings by path.
        known: the same of every known picture.
    """
    matches = same_pictures([row.path for row in rows], known, {**scanned, **known})
    kept = [row for row in rows if row.path not in matches]
    left_out = [
        LeftOut.of(row, "in another manifest", f"{match.how} as {match.other}")
        for row in rows
        if (match := matches.get(row.path))
    ]
    return kept, left_out


def drop_near_copies(rows: Sequence[Row], scanned: Mapping[str, Scanned]) -> tuple[list[Row], list[LeftOut]]:
    """Leave out the rows whose picture is a near copy of one in a split that is held out before theirs.

    Within a split near copies stay: they don't flatter any figure, and a series of photographs of a person is a way in
    which data sets are made. The same pixels are left to `drop_duplicates`, which looks at the boxes too.

    Args:
        rows: in the order to keep.
        scanned: findings by path.
    """
    paths = {split: list(dict.fromkeys(row.path for row in rows if row.split == split)) for split in _held_out(rows)}
    numbers = {mark: number for number, mark in enumerate(dict.fromkeys(each.fingerprint for each in scanned.values()))}
    copies: dict[tuple[str, str], str] = {}
    kept: list[str] = []
    for split, own in paths.items():
        if own and kept:
            looks, others = (ImageHashes.of([scanned[path].look for path in part]) for part in (own, kept))
            groups, other_groups = (
                np.array([numbers[scanned[path].fingerprint] for path in part]) for part in (own, kept)
            )
            found = near_copies(looks, others, groups, other_groups).tolist()
            copies |= {(split, path): kept[place] for path, place in zip(own, found, strict=True) if place >= 0}
        kept += [path for path in own if (split, path) not in copies]
    left_out = [
        LeftOut.of(row, "near copy in another split", f"a near copy of {copies[row.split, row.path]}")
        for row in rows
        if (row.split, row.path) in copies
    ]
    return [row for row in rows if (row.split, row.path) not in copies], left_out


def _held_out(rows: Sequence[Row]) -> list[str]:
    """Return the splits in the order in which they keep their rows."""
    return sorted(dict.fromkeys(row.split for row in rows), key=held_out_rank)
