"""Pictures that two manifests share, so that nothing is measured on what was trained on."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from facial_attributes_training.manifest import Manifest, Row, read_manifest
from facial_attributes_training.prepare.left_out import LeftOut
from facial_attributes_training.prepare.scan import Progress, Scanned, recorded_fingerprints, scan
from numpy.typing import NDArray

_LOGGER = logging.getLogger(__name__)

SCAN_FILE = "scan.jsonl"
"""Where `prepare` keeps what it found in the pictures, beside the manifests."""
AGAINST_FILE = "scan-against.jsonl"
"""Fingerprints of the pictures of other manifests that have no such file."""


def shared_pictures(measured: Manifest, trained: Manifest, files: Iterable[Path]) -> NDArray[np.bool_]:
    """Return bool (measured rows,): whether a row's picture is among the trained ones too.

    Pictures are the same if their paths are, or their pixels as far as `prepare` has recorded them.

    Args:
        measured: rows of a validation or test set.
        trained: rows of a training set.
        files: the CSV files of both.
    """
    known: dict[str, str] = {}
    for folder in {file.resolve().parent for file in files}:
        known |= recorded_fingerprints(folder / SCAN_FILE)
    paths = trained.paths.tolist()
    taken = {*paths, *(known[path] for path in paths if path in known)}
    return np.array([path in taken or known.get(path) in taken for path in measured.paths.tolist()], np.bool_)


def fingerprints_of(
    manifests: Sequence[Path], out: Path, workers: int = 1, progress: Progress | None = None
) -> dict[str, str]:
    """Return where each picture of some manifests is, by its fingerprint; pictures not scanned yet are decoded.

    A warning tells how many can't be read, for nothing is compared with them.

    Args:
        manifests: the CSV files.
        out: folder to keep new fingerprints in.
        workers: number of processes.
        progress: told how far the decoding is.

    Raises:
        UserError: a manifest can't be read, or the folder can't be written to.
    """
    known: dict[str, str] = {}
    paths: dict[str, None] = {}
    for file in manifests:
        paths |= dict.fromkeys(read_manifest(file).paths.tolist())
        known |= recorded_fingerprints(file.resolve().parent / SCAN_FILE)
    unknown = [path for path in paths if path not in known]
    if unknown:
        found = scan(unknown, out / AGAINST_FILE, {"boxes": "none"}, None, workers, progress)
        known |= {path: scanned.fingerprint for path, scanned in found.items() if not scanned.error}
        errors = [scanned.error for scanned in found.values() if scanned.error]
        if errors:
            files = ", ".join(map(str, manifests))
            _LOGGER.warning("%d pictures of %s are not compared, as in: %s", len(errors), files, errors[0])
    return {known[path]: path for path in paths if path in known}


def drop_known(
    rows: Iterable[Row], scanned: Mapping[str, Scanned], known: Mapping[str, str]
) -> tuple[list[Row], list[LeftOut]]:
    """Leave out the rows whose picture is known.

    Args:
        rows: to choose from.
        scanned: findings by path.
        known: path of every known picture by its fingerprint.
    """
    kept, left_out = [], []
    for row in rows:
        other = known.get(scanned[row.path].fingerprint)
        if other is None:
            kept.append(row)
        else:
            left_out.append(LeftOut.of(row, "in another manifest", f"same picture as {other}"))
    return kept, left_out
