"""A teacher's word on the visible expressions of a manifest's faces: MediaPipe's face landmarker.

It runs in an environment of its own, since it asks for other versions of OpenCV and NumPy than this package, and it
needs no network once that is installed. Its estimates are kept line by line, so that a stopped run can be resumed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from facial_attributes_training.data.archive import ImageError, ImageReader, split_member
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import NDArray

from facial_attributes_ros.cache import cache_dir
from facial_attributes_ros.child_processes import child, run
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors, file_sha256
from facial_attributes_ros.imaging.crop import crop_frame, cut_frame
from facial_attributes_ros.progress import announce

FILE_SHA256: Final = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
"""Of `face_landmarker.task` (float16, version 1), as Google gives it out under Apache-2.0."""
PACKAGE: Final = "mediapipe==1.2.3"
OUTPUT, LOG = "blendshapes.npz", "blendshapes.jsonl"
SIDE: Final = 320
"""Pixels a side of the square that the teacher is given; it misses faces in small images."""
MARGIN: Final = 0.35
"""Of that square on every side, in longer sides of the face box."""
NOT_SEEN, UNIT = 255, 254
_PROGRAM: Final = Path(__file__).with_name("teacher_program.py")

Progress = Callable[[int, int], None]


def check_teacher(model: Path) -> None:
    """Check the file of the teacher.

    Raises:
        UserError: it is not there, or another one.
    """
    if not model.is_file():
        raise UserError(f"{model} is not there: get face_landmarker.task (float16) from Google's MediaPipe models.")
    if (found := file_sha256(model)) != FILE_SHA256:
        raise UserError(
            f"{model} has the SHA-256 {found[:12]}…, not {FILE_SHA256[:12]}…: get the version it was made with."
        )


def write_expressions(manifest: Manifest, model: Path, out: Path, progress: Progress | None = None) -> Path:
    """Ask the teacher about every face and write `blendshapes.npz`, see `data.expressions`, into a folder.

    Args:
        manifest: with face boxes; images without a box are taken whole.
        model: `face_landmarker.task`.
        out: the folder.
        progress: called after every image.

    Raises:
        UserError: the file is another one, the teacher can't be installed or fails, or there is no space.
    """
    check_teacher(model)
    python = _environment()
    log = out / LOG
    with disk_errors(log):
        out.mkdir(parents=True, exist_ok=True)
        known = _kept(log)
        names = [image_name(path, out) for path in manifest.paths.tolist()]
        missing = [row for row, name in enumerate(names) if name not in known]
        with log.open("a", encoding="utf-8") as file:
            for row, answer in _answers(python, model, manifest, missing):
                known[names[row]] = answer
                file.write(json.dumps({"path": names[row], **answer}) + "\n")
                if progress:
                    progress(len(known), len(names))
        path = out / OUTPUT
        with atomic_target(path) as temporary, temporary.open("wb") as target:
            scores, labels, pose = _table(names, known)
            np.savez_compressed(target, paths=np.array(names), scores=scores, names=labels, pose=pose)
    return path


def image_name(image: str, folder: Path) -> str:
    """Return what an image is called in the teacher's file: `shard.tar#member`, or its path relative to the file."""
    member = split_member(image)
    return os.path.relpath(image, folder) if member is None else f"{Path(member[0]).name}#{member[1]}"


def _environment() -> Path:
    """Return the Python of an environment with the teacher's package, made if it is not there.

    Raises:
        UserError: it can't be installed.
    """
    folder = cache_dir() / "teachers" / PACKAGE.replace("==", "-")
    python, done = folder / "bin" / "python", folder / "installed"
    if done.is_file():
        return python
    announce(f"Installing {PACKAGE} in {folder} (once, about a minute)")
    shutil.rmtree(folder, ignore_errors=True)
    make = [sys.executable, "-m", "venv", str(folder)]
    for command in (make, [str(python), "-m", "pip", "install", "--quiet", PACKAGE]):
        result = run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if result.returncode:
            raise UserError(f"{PACKAGE} can't be installed: {(result.stderr or result.stdout).strip()[-400:]}")
    done.touch()
    return python


def _kept(log: Path) -> dict[str, dict[str, Any]]:
    """Return the answers that an earlier run has kept, by the image's name; what was cut off is asked again."""
    if not log.is_file():
        return {}
    lines = [line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    log.write_text("".join(lines), encoding="utf-8")
    found = [json.loads(line) for line in lines]
    return {entry.pop("path"): entry for entry in found}


def _answers(
    python: Path, model: Path, manifest: Manifest, rows: Sequence[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield samples with the teacher's estimates: `scores` by name and `pose`, or nothing where it detects no face."""
    reader = ImageReader()
    command = [str(python), "-I", str(_PROGRAM), str(model), str(SIDE)]
    with child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for row in rows:
            square = _square(reader, manifest, row)
            yield row, {} if square is None else _ask(process, square)
        if process.stdin:
            process.stdin.close()


def _ask(process: "subprocess.Popen[Any]", square: NDArray[np.uint8]) -> dict[str, Any]:
    """Return the running teacher's estimates of one image.

    Raises:
        UserError: it has ended.
    """
    if process.stdin is None or process.stdout is None:
        raise ValueError("the teacher was started without pipes")
    try:
        process.stdin.write(square.tobytes())
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = b""
    if not line:
        raise UserError("the teacher has ended; try again with fewer programs running.")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _square(reader: ImageReader, manifest: Manifest, row: int) -> NDArray[np.uint8] | None:
    """Return the teacher's crop of a sample, uint8 (SIDE, SIDE, 3), RGB; None if the image can't be read."""
    try:
        image = reader.image(str(manifest.paths[row]))
    except ImageError:
        return None
    box = manifest.boxes[row]
    if np.isnan(box).any():
        box = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
    x, y, side, _ = crop_frame(box, MARGIN)
    # Whole pixels, so that nothing but the enlargement interpolates.
    pixels = max(round(side), 1)
    left, top = round(x - side / 2), round(y - side / 2)
    crop = cut_frame(image, (left + pixels / 2, top + pixels / 2, pixels, 0.0), pixels)
    enlarged = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(enlarged[..., ::-1])


def _table(
    names: Sequence[str], answers: Mapping[str, Mapping[str, Any]]
) -> tuple[NDArray[np.uint8], NDArray[np.str_], NDArray[np.float16]]:
    """Return scores, their names and poses, as the teacher's file holds them."""
    labels = sorted({label for answer in answers.values() for label in answer.get("scores", {})})
    scores = np.full((len(names), len(labels)), NOT_SEEN, np.uint8)
    pose = np.full((len(names), 3), np.nan, np.float16)
    for row, name in enumerate(names):
        if answer := answers[name]:
            scores[row] = [round(UNIT * answer["scores"][label]) for label in labels]
            pose[row] = answer["pose"]
    return scores, np.array(labels, np.str_), pose
