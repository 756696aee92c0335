"""From samples of a data set to manifests on disk: scan, select the face, exclude what can't be used, write."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from facial_attributes_training.data.manifest import Manifest, Row, write_manifest
from facial_attributes_training.prepare.duplicates import drop_duplicates
from facial_attributes_training.prepare.excluded import EXCLUDED_FILE, Excluded, write_excluded
from facial_attributes_training.prepare.faces import face_at, main_face
from facial_attributes_training.prepare.overlap import (
    SCAN_FILE,
    drop_known,
    drop_marked_copies,
    drop_near_copies,
    findings_of_manifests,
)
from facial_attributes_training.prepare.people import describe_people
from facial_attributes_training.prepare.scan import DetectorFactory, Progress, Scanned, scan
from facial_attributes_training.prepare.splits import is_split_name

from facial_attributes_ros.files import disk_errors, locked

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FacePolicy:
    """Treatment of images in which the face is not clear.

    Attributes:
        boxes: `detect` stores the detector's box (at the box that the data set gives, if it gives one), `given` the
            data set's own, `none` no box at all.
        several: `main` takes the main face of an image with several, `leave-out` excludes the image.
        no_face: `leave-out` excludes images without a face, `keep` keeps them without a box.
    """

    boxes: Literal["detect", "given", "none"] = "detect"
    several: Literal["main", "leave-out"] = "main"
    no_face: Literal["leave-out", "keep"] = "leave-out"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of a preparation.

    Attributes:
        manifests: the CSV of every split, with its number of samples.
        excluded: the excluded samples.
        excluded_file: their list.
        people: sentences on identities and splits.
    """

    manifests: dict[Path, int]
    excluded: list[Excluded]
    excluded_file: Path
    people: tuple[str, ...] = ()


def prepare(
    found: Iterable[Row | Excluded],
    out: Path,
    policy: FacePolicy,
    make_detector: DetectorFactory | None,
    settings: Mapping[str, Any],
    workers: int = 1,
    progress: Progress | None = None,
    against: Sequence[Path] = (),
    restart: bool = False,
) -> Prepared:
    """Check every sample's image, find its face and write one manifest per split, `manifest-SPLIT.csv`.

    Args:
        found: samples of the data set, and those that its reader excluded.
        out: folder to write to; the scan is kept there, so that a stopped run can be resumed.
        policy: which faces to select.
        make_detector: makes the detector in a worker; used only if the policy needs boxes.
        settings: of the detector; a scan with others is refused.
        workers: number of processes.
        progress: called after every chunk of images.
        against: manifests whose images are excluded here, such as those that models are measured on.
        restart: scan everything again.

    Raises:
        UserError: another process prepares the same folder, or as `scan` and `write_manifest` raise it.
    """
    entries = [_writable(entry) for entry in found]
    rows = [entry for entry in entries if isinstance(entry, Row)]
    rows, marked = drop_marked_copies(rows)
    excluded = [entry for entry in entries if isinstance(entry, Excluded)] + marked
    detector = make_detector if policy.boxes == "detect" else None
    paths = list(dict.fromkeys(row.path for row in rows))
    busy = f"another command is preparing {out}; wait for its end, or choose another --out."
    with disk_errors(out), locked(out / "prepare", busy):
        if restart:
            (out / SCAN_FILE).unlink(missing_ok=True)
        known = findings_of_manifests(against, out, workers, progress) if against else {}
        scanned = scan(paths, out / SCAN_FILE, {"boxes": policy.boxes, **settings}, detector, workers, progress)
        rows, unreadable = _readable(rows, scanned)
        rows, elsewhere = drop_known(rows, scanned, known)
        chosen = [choose(row, scanned[row.path], policy) for row in rows]
        # Different boxes of a data set may prove to be of the same face.
        kept, duplicates = drop_duplicates([entry for entry in chosen if isinstance(entry, Row)], scanned)
        kept, copies = drop_near_copies(kept, scanned)
        excluded += unreadable + elsewhere + [entry for entry in chosen if isinstance(entry, Excluded)]
        excluded += duplicates + copies
        manifests = _write_splits(kept, out)
        write_excluded(out / EXCLUDED_FILE, excluded)
    return Prepared(manifests, excluded, out / EXCLUDED_FILE, describe_people(kept))


def choose(row: Row, scanned: Scanned, policy: FacePolicy) -> Row | Excluded:
    """Return the sample with its face box by the policy, or why it is excluded."""
    if policy.boxes != "detect":
        return row if policy.boxes == "given" else replace(row, box=None, landmarks=None)
    if row.box is not None:
        face, count = face_at(scanned, row.box), 1
    else:
        face, count = main_face(scanned)
    if face is None and policy.no_face == "leave-out":
        return Excluded.of(row, "no face", "the detector finds none" if not scanned.faces else "none at the given box")
    if count > 1 and policy.several == "leave-out":
        return Excluded.of(row, "several faces", f"{count} faces")
    if face is None:
        return replace(row, box=None, landmarks=None)
    return replace(row, box=face.box, landmarks=face.landmarks)


def _writable(entry: Row | Excluded) -> Row | Excluded:
    """Exclude a sample whose file name or split can't be written to a manifest."""
    shown = _as_text(entry.path)
    if isinstance(entry, Excluded):
        return replace(entry, path=shown, detail=_as_text(entry.detail))
    if shown != entry.path:
        return Excluded.of(replace(entry, path=shown), "unreadable", "its name is not UTF-8; rename the file")
    if not is_split_name(entry.split):
        detail = f"split {entry.split!r} is not up to 64 letters, digits, _ and -"
        return Excluded.of(replace(entry, split=""), "split is no file name", detail)
    return entry


def _as_text(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _readable(rows: list[Row], scanned: Mapping[str, Scanned]) -> tuple[list[Row], list[Excluded]]:
    broken = [Excluded.of(row, "unreadable", error) for row in rows if (error := scanned[row.path].error)]
    return [row for row in rows if not scanned[row.path].error], broken


def _write_splits(rows: list[Row], out: Path) -> dict[Path, int]:
    written = {}
    for split in Counter(row.split for row in rows):
        path = out / (f"manifest-{split}.csv" if split else "manifest.csv")
        chosen = [row for row in rows if row.split == split]
        write_manifest(path, Manifest.from_rows(chosen))
        written[path] = len(chosen)
    for stale in sorted({*out.glob("manifest*.csv")} - written.keys()):
        _LOGGER.warning("%s is not of this run; remove it if it is outdated.", stale)
    return written
