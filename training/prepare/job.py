"""From rows of a data set to manifests on disk: scan, choose the face, drop what can't be used, write."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from facial_attributes_training.data.manifest import Manifest, Row, write_manifest
from facial_attributes_training.prepare.duplicates import drop_duplicates
from facial_attributes_training.prepare.faces import face_at, main_face
from facial_attributes_training.prepare.left_out import LEFT_OUT_FILE, LeftOut, write_left_out
from facial_attributes_training.prepare.overlap import (
    SCAN_FILE,
    drop_known,
    drop_marked_copies,
    drop_near_copies,
    look_at_manifests,
)
from facial_attributes_training.prepare.people import describe_people
from facial_attributes_training.prepare.scan import DetectorFactory, Progress, Scanned, scan
from facial_attributes_training.prepare.splits import is_split_name

from facial_attributes_ros.files import disk_errors, locked

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FacePolicy:
    """What becomes of pictures in which the face is in doubt.

    Attributes:
        boxes: `detect` stores the detector's box (at the box that the data set gives, if it gives one), `given` the
            data set's own, `none` no box at all.
        several: `main` takes the main face of a picture with several, `leave-out` takes none.
        no_face: `leave-out` drops pictures without a face, `keep` keeps them without a box.
    """

    boxes: Literal["detect", "given", "none"] = "detect"
    several: Literal["main", "leave-out"] = "main"
    no_face: Literal["leave-out", "keep"] = "leave-out"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run wrote.

    Attributes:
        manifests: the CSV of every split, with its number of rows.
        left_out: everything that is not in them.
        left_out_file: where that is listed.
        people: sentences on who is in which split.
    """

    manifests: dict[Path, int]
    left_out: list[LeftOut]
    left_out_file: Path
    people: tuple[str, ...] = ()


def prepare(
    found: Iterable[Row | LeftOut],
    out: Path,
    policy: FacePolicy,
    make_detector: DetectorFactory | None,
    settings: Mapping[str, Any],
    workers: int = 1,
    progress: Progress | None = None,
    against: Sequence[Path] = (),
    restart: bool = False,
) -> Prepared:
    """Check every row's picture, find its face and write one manifest per split, `manifest-SPLIT.csv`.

    Args:
        found: rows of the data set, and what its reader left out.
        out: folder to write to; the scan is kept there, so that a stopped run goes on.
        policy: which faces to take.
        make_detector: makes the detector in a worker; used only where the policy asks for boxes.
        settings: of the detector; a scan with others is refused.
        workers: number of processes.
        progress: told after every chunk of pictures.
        against: manifests whose pictures are left out here, such as those that models are measured on.
        restart: scan everything anew.

    Raises:
        UserError: another process prepares the same folder, or as `scan` and `write_manifest` raise it.
    """
    entries = [_writable(entry) for entry in found]
    rows = [entry for entry in entries if isinstance(entry, Row)]
    rows, marked = drop_marked_copies(rows)
    left_out = [entry for entry in entries if isinstance(entry, LeftOut)] + marked
    detector = make_detector if policy.boxes == "detect" else None
    paths = list(dict.fromkeys(row.path for row in rows))
    busy = f"another command prepares {out} at the moment; wait for its end, or choose another --out."
    with disk_errors(out), locked(out / "prepare", busy):
        if restart:
            (out / SCAN_FILE).unlink(missing_ok=True)
        known = look_at_manifests(against, out, workers, progress) if against else {}
        scanned = scan(paths, out / SCAN_FILE, {"boxes": policy.boxes, **settings}, detector, workers, progress)
        rows, unreadable = _readable(rows, scanned)
        rows, elsewhere = drop_known(rows, scanned, known)
        chosen = [choose(row, scanned[row.path], policy) for row in rows]
        # Different boxes that a data set gives may turn out to hold the same face.
        kept, duplicates = drop_duplicates([entry for entry in chosen if isinstance(entry, Row)], scanned)
        kept, copies = drop_near_copies(kept, scanned)
        left_out += unreadable + elsewhere + [entry for entry in chosen if isinstance(entry, LeftOut)]
        left_out += duplicates + copies
        manifests = _write_splits(kept, out)
        write_left_out(out / LEFT_OUT_FILE, left_out)
    return Prepared(manifests, left_out, out / LEFT_OUT_FILE, describe_people(kept))


def choose(row: Row, scanned: Scanned, policy: FacePolicy) -> Row | LeftOut:
    """Return the row with its face box as the policy asks, or why it is left out."""
    if policy.boxes != "detect":
        return row if policy.boxes == "given" else replace(row, box=None, landmarks=None)
    if row.box is not None:
        face, count = face_at(scanned, row.box), 1
    else:
        face, count = main_face(scanned)
    if face is None and policy.no_face == "leave-out":
        return LeftOut.of(row, "no face", "the detector finds none" if not scanned.faces else "none at the given box")
    if count > 1 and policy.several == "leave-out":
        return LeftOut.of(row, "several faces", f"{count} faces")
    if face is None:
        return replace(row, box=None, landmarks=None)
    return replace(row, box=face.box, landmarks=face.landmarks)


def _writable(entry: Row | LeftOut) -> Row | LeftOut:
    """Leave out a row whose file no manifest can name, or whose split can name no manifest."""
    shown = _as_text(entry.path)
    if isinstance(entry, LeftOut):
        return replace(entry, path=shown, detail=_as_text(entry.detail))
    if shown != entry.path:
        return LeftOut.of(replace(entry, path=shown), "unreadable", "its name is not UTF-8; rename the file")
    if not is_split_name(entry.split):
        detail = f"split {entry.split!r} is not up to 64 letters, digits, _ and -"
        return LeftOut.of(replace(entry, split=""), "split not fit for a file's name", detail)
    return entry


def _as_text(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _readable(rows: list[Row], scanned: Mapping[str, Scanned]) -> tuple[list[Row], list[LeftOut]]:
    broken = [LeftOut.of(row, "unreadable", error) for row in rows if (error := scanned[row.path].error)]
    return [row for row in rows if not scanned[row.path].error], broken


def _write_splits(rows: list[Row], out: Path) -> dict[Path, int]:
    written = {}
    for split in Counter(row.split for row in rows):
        path = out / (f"manifest-{split}.csv" if split else "manifest.csv")
        chosen = [row for row in rows if row.split == split]
        write_manifest(path, Manifest.from_rows(chosen))
        written[path] = len(chosen)
    for stale in sorted({*out.glob("manifest*.csv")} - written.keys()):
        _LOGGER.warning("%s is not of this run; remove it if it is of an earlier one.", stale)
    return written
