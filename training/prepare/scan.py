"""Scan every image once: decode it, hash it, detect its faces; in parallel, and resumable.

The findings go line by line to a JSON-lines file. A resumed run reads that file and continues with the images that are
not in it.
"""

import hashlib
import itertools
import json
import logging
import math
import os
import reprlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from facial_attributes_training.data.archive import ImageReader, file_of, file_state, split_member
from facial_attributes_training.prepare.perceptual_hash import describe, is_description
from numpy.typing import NDArray

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import parse_json

_KINDS = {"path": str, "width": int, "height": int, "fingerprint": str, "error": str, "state": list, "look": str}
"""Types of a finding's fields in the log."""
_FACE, _FACE_BEFORE = 15, 5
"""Numbers of a face in the log: its box, its score and five landmarks; older logs lack the landmarks."""
_LENGTHS = (_FACE_BEFORE, _FACE)
DetectorFactory = Callable[[], FaceDetector]
"""Makes the detector in every worker process; must survive pickling, such as a `functools.partial`."""
Progress = Callable[[int, int], None]
"""Called with the number of finished images and of all."""

_LOGGER = logging.getLogger(__name__)
_CHUNK = 64
_CHUNKS_AHEAD = 4
_worker: tuple[ImageReader, FaceDetector | None]


@dataclass(frozen=True, slots=True)
class Scanned:
    """The findings of one image.

    Attributes:
        path: of the image.
        width, height: in pixels, 0 if it could not be decoded.
        fingerprint: the same for images with the same pixels.
        look: perceptual hash, nearly the same for near copies, see `perceptual_hash`.
        faces: x, y, width, height in pixels, score, and x, y of the five landmarks of every face, best score first;
            which are None if the detector has none; None without a detector.
        error: why the image could not be decoded, empty if it could.
        state: size in bytes and time in nanoseconds of the file at that time, to notice changes.
    """

    path: str
    width: int = 0
    height: int = 0
    fingerprint: str = ""
    faces: list[list[float | None]] | None = None
    error: str = ""
    state: tuple[int, int] = (0, 0)
    look: str = ""


def fingerprint(picture: NDArray[np.uint8]) -> str:
    """Return a hash of the pixels, which does not depend on the file."""
    size = np.asarray(picture.shape, np.int64).tobytes()
    return hashlib.blake2b(size + np.ascontiguousarray(picture).tobytes(), digest_size=12).hexdigest()


def scan_image(reader: ImageReader, detector: FaceDetector | None, path: str) -> Scanned:
    """Decode one image and detect its faces, if there is a detector."""
    state = file_state(path)
    try:
        picture = reader.image(path)
    except UserError as error:  # an archive may vanish or change while it is read
        return Scanned(path, error=str(error), state=state)
    height, width = picture.shape[:2]
    faces = None if detector is None else [face_numbers(face) for face in detector.detect(picture)]
    return Scanned(path, width, height, fingerprint(picture), faces, state=state, look=describe(picture))


def face_numbers(face: Detection) -> list[float | None]:
    """Return box, score and landmarks of a detection as `Scanned.faces` holds them."""
    box, landmarks = ([round(float(value), 2) for value in part.reshape(-1)] for part in (face.box, face.landmarks))
    # JSON has no NaN.
    return [*box, round(face.score, 3), *(value if math.isfinite(value) else None for value in landmarks)]


def recorded_fingerprints(log: Path) -> dict[str, Scanned]:
    """Return the fingerprints, exact and perceptual, that a log holds of every image it could read, by its path.

    Nothing if there is no whole log. Paths are those of the time of the scan; images that have changed since are left
    out.
    """
    try:
        return {entry.path: entry for entry in _entries(_whole_lines(log)[1:]) if _holds(entry)}
    except (OSError, ValueError) as error:
        _LOGGER.warning("%s is damaged (%s), so its images are scanned again.", log, error)
        return {}


def _holds(scanned: Scanned) -> bool:
    """Return whether a finding is complete and its image has not changed."""
    # Logs of older versions have no perceptual hash.
    return not scanned.error and is_description(scanned.look) and scanned.state == file_state(scanned.path)


def _is_whole(scanned: Scanned) -> bool:
    """Return whether every face has its landmarks, known or not."""
    return all(len(face) == _FACE for face in scanned.faces or ())


def scan(
    paths: Sequence[str],
    log: Path,
    settings: Mapping[str, Any],
    make_detector: DetectorFactory | None,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Scanned]:
    """Scan images, or read from the log what an earlier run has scanned.

    Args:
        paths: of the images, each once.
        log: JSON-lines file that the findings are appended to.
        settings: everything that changes the findings; a log of other settings is refused.
        make_detector: None to decode only.
        workers: number of processes; 1 works in this one.
        progress: called after every chunk of images.

    Returns:
        The findings by path. Images that failed earlier or have changed since are scanned again; those in an archive
        that can't be read have its error.

    Raises:
        UserError: the log belongs to other settings or can't be written, or a worker died.
    """
    found = _read_log(log, settings)
    wanted = set(paths)
    found = {path: entry for path, entry in found.items() if path in wanted and _holds(entry) and _is_whole(entry)}
    reader = ImageReader()
    missing = [path for path in paths if path not in found]
    found |= _in_broken_archives(reader, missing)
    missing = [path for path in missing if path not in found]
    report = progress or _ignore
    report(len(found), len(paths))
    if not missing:
        return found
    chunks = (missing[start : start + _CHUNK] for start in range(0, len(missing), _CHUNK))
    try:
        with _open_log(log, settings) as file:
            for results in _scan_chunks(chunks, reader, make_detector, workers):
                file.writelines(json.dumps(asdict(scanned)) + "\n" for scanned in results)
                file.flush()
                found |= {scanned.path: scanned for scanned in results}
                report(len(found), len(paths))
    except BrokenProcessPool as error:
        raise UserError("a worker process was killed, perhaps for memory; run again with fewer workers.") from error
    except OSError as error:
        raise UserError(f"{log} can't be written: {error.strerror or error}.") from error
    return found


def _in_broken_archives(reader: ImageReader, paths: Sequence[str]) -> dict[str, Scanned]:
    """Index every archive, and return the images of those that can't be read, with the reason, by path."""
    first = {file_of(path): path for path in paths if split_member(path)}
    errors = {}
    for archive, path in first.items():
        try:
            reader.index([path])
        except (UserError, ValueError) as error:  # ValueError: an invalid file name
            errors[archive] = str(error)
    return {
        path: Scanned(path, error=errors[archive], state=file_state(path))
        for path in paths
        if (archive := file_of(path)) in errors
    }


def _ignore(_done: int, _total: int) -> None:
    pass


def _scan_chunks(
    chunks: Iterator[list[str]], reader: ImageReader, make_detector: DetectorFactory | None, workers: int
) -> Iterator[list[Scanned]]:
    if workers <= 1:
        detector = make_detector() if make_detector else None
        yield from ([scan_image(reader, detector, path) for path in chunk] for chunk in chunks)
        return
    # OpenCV's threads do not survive a fork, hence spawned workers.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (reader, make_detector))
    try:
        ahead = itertools.islice(chunks, workers * _CHUNKS_AHEAD)
        pending: set[Future[list[Scanned]]] = {pool.submit(_scan_in_worker, chunk) for chunk in ahead}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= {pool.submit(_scan_in_worker, chunk) for chunk in itertools.islice(chunks, len(done))}
            yield from (future.result() for future in done)
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(reader: ImageReader, make_detector: DetectorFactory | None) -> None:
    global _worker
    # The main process handles Ctrl-C; a worker ends with it, also when it was killed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _worker = (reader, make_detector() if make_detector else None)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _scan_in_worker(paths: list[str]) -> list[Scanned]:
    return [scan_image(*_worker, path) for path in paths]


def _read_log(log: Path, settings: Mapping[str, Any]) -> dict[str, Scanned]:
    try:
        lines = _whole_lines(log)
        if not lines:
            return {}
        earlier = parse_json(lines[0])["settings"]
        other = sorted(name for name in {*earlier, *settings} if earlier.get(name) != settings.get(name))
        if other:
            raise UserError(f"{log} was made with another {', '.join(other)}; use that, another --out, or --restart.")
        return {entry.path: entry for entry in _entries(lines[1:])}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{log} is damaged ({error}); remove it and run again.") from error


def _entries(lines: Iterable[str]) -> Iterator[Scanned]:
    """Yield the findings of a log's lines.

    Raises:
        ValueError: a line is not one that `scan` wrote.
    """
    for line in lines:
        entry = parse_json(line)
        if not isinstance(entry, dict) or not all(_fits(name, value) for name, value in entry.items()):
            raise ValueError(f"it has the line {reprlib.repr(line)}")
        try:
            yield Scanned(**entry | {"state": tuple(entry.get("state", ()))})
        except TypeError as error:
            raise ValueError(str(error)) from error


def _fits(name: str, value: object) -> bool:
    if name == "faces":
        faces = [] if value is None else value
        return isinstance(faces, list) and all(isinstance(face, list) and len(face) in _LENGTHS for face in faces)
    return isinstance(value, _KINDS.get(name, object)) and not isinstance(value, bool)


def _whole_lines(log: Path) -> list[str]:
    """Return the complete lines; none without a file."""
    if not log.exists():
        return []
    with log.open(encoding="utf-8") as file:
        return [line for line in file if line.endswith("\n")]


def _open_log(log: Path, settings: Mapping[str, Any]) -> Any:
    """Open the log to append to it, behind the last complete line."""
    log.parent.mkdir(parents=True, exist_ok=True)
    whole = log.read_bytes().rfind(b"\n") + 1 if log.exists() else 0
    file = log.open("a", encoding="utf-8")
    os.truncate(log, whole)
    if not whole:
        file.write(json.dumps({"settings": dict(settings)}) + "\n")
    return file
