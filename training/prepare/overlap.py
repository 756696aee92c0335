"""Images that two sets of samples have in common, so that no model is measured on what it was trained on."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facial_attributes_training.data.archive import is_remote
from facial_attributes_training.data.manifest import Row, read_manifest
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.perceptual_hash import ImageHashes, near_copies
from facial_attributes_training.prepare.scan import Progress, Scanned, recorded_fingerprints, scan
from facial_attributes_training.prepare.splits import held_out_rank

_LOGGER = logging.getLogger(__name__)

SCAN_FILE = "scan.jsonl"
"""Where `prepare` keeps what it found in the images, beside the manifests."""
AGAINST_FILE = "scan-against.jsonl"
"""What was found in images of other manifests that have no such file."""
NEAR_COPY_OF = "near_copy_of"
"""Further column that names the split which holds a near copy of an image, as the owner of a data set has found out."""
SAME_FILE, SAME_PIXELS, NEAR_COPY = "same file", "same image", "near copy"
"""How two images are the same, as in "near copy as"."""


@dataclass(frozen=True, slots=True)
class Match:
    """An image that is in another set too.

    Attributes:
        other: path of the image there.
        how: one of `SAME_FILE`, `SAME_PIXELS` and `NEAR_COPY`.
    """

    other: str
    how: str


def drop_marked_copies(rows: Sequence[Row]) -> tuple[list[Row], list[Excluded]]:
    """Exclude samples that the data set itself marks as near copies of an image in a split held out before theirs."""
    kept, excluded = [], []
    for row in rows:
        split = row.extra.get(NEAR_COPY_OF, "")
        if split and held_out_rank(split) < held_out_rank(row.split):
            excluded.append(Excluded.of(row, NEAR_COPY, f"the data set calls it a near copy of an image of {split}"))
        else:
            kept.append(row)
    return kept, excluded


def findings_of(
    paths: Iterable[str], manifests: Iterable[Path], log: Path, workers: int = 1, progress: Progress | None = None
) -> dict[str, Scanned]:
    """Return the findings of images by path; those that `prepare` has not scanned are scanned now.

    Images on other machines are missing, and those that can't be read have their error.

    Args:
        paths: of the images.
        manifests: CSV files; the findings of `prepare` are beside them.
        log: where to keep new findings, so that a stopped run can be resumed.
        workers: number of processes.
        progress: called with the number of scanned images and of all.

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


def same_images(paths: Sequence[str], rivals: Iterable[str], known: Mapping[str, Scanned]) -> dict[str, Match]:
    """Return the images that are among others too, by path: the same file, the same pixels, or a near copy.

    Args:
        paths: of the images.
        rivals: paths of the others.
        known: what `findings_of` returns for both; images without findings are compared by their paths alone.
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


def findings_of_manifests(
    manifests: Sequence[Path], out: Path, workers: int = 1, progress: Progress | None = None
) -> dict[str, Scanned]:
    """Return the findings of the images of some manifests by path; images not scanned yet are decoded.

    A warning gives the number of those that can't be read, since they are not compared.

    Args:
        manifests: the CSV files.
        out: folder to keep new findings in.
        workers: number of processes.
        progress: called with the number of scanned images and of all.

    Raises:
        UserError: a manifest can't be read, or the folder can't be written to.
    """
    paths = list(dict.fromkeys(path for file in manifests for path in read_manifest(file).paths.tolist()))
    known = findings_of(paths, manifests, out / AGAINST_FILE, workers, progress)
    errors = [scanned.error for scanned in known.values() if scanned.error]
    if errors:
        files = ", ".join(map(str, manifests))
        _LOGGER.warning("%d images of %s are not compared, such as: %s", len(errors), files, errors[0])
    return known


def drop_known(
    rows: Sequence[Row], scanned: Mapping[str, Scanned], known: Mapping[str, Scanned]
) -> tuple[list[Row], list[Excluded]]:
    """Exclude the samples whose image is known, also as a near copy.

    Args:
        rows: the samples.
        scanned: findings by path.
        known: the same of every known image.
    """
    matches = same_images([row.path for row in rows], known, {**scanned, **known})
    kept = [row for row in rows if row.path not in matches]
    excluded = [
        Excluded.of(row, "in another manifest", f"{match.how} as {match.other}")
        for row in rows
        if (match := matches.get(row.path))
    ]
    return kept, excluded


def drop_near_copies(rows: Sequence[Row], scanned: Mapping[str, Scanned]) -> tuple[list[Row], list[Excluded]]:
    """Exclude the samples whose image is a near copy of one in a split that is held out before theirs.

    Within a split near copies stay: they don't make metrics too high, and many data sets contain series of photographs
    of a person. Images with the same pixels are left to `drop_duplicates`, which compares the boxes too.

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
    excluded = [
        Excluded.of(row, "near copy in another split", f"a near copy of {copies[row.split, row.path]}")
        for row in rows
        if (row.split, row.path) in copies
    ]
    return [row for row in rows if (row.split, row.path) not in copies], excluded


def _held_out(rows: Sequence[Row]) -> list[str]:
    """Return the splits in the order in which they keep their samples."""
    return sorted(dict.fromkeys(row.split for row in rows), key=held_out_rank)
