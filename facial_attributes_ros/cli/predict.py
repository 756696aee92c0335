"""`facial-attributes predict`: faces and attributes in pictures, folders and videos, as JSON lines."""

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import disk_errors
from facial_attributes_ros.text import json_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facial_attributes_ros.attributes import Distribution, FaceAttributes
    from facial_attributes_ros.cli.annotated import AnnotatedCopies
    from facial_attributes_ros.models.spec import ModelSpec
    from facial_attributes_ros.options import DetectorOptions
    from facial_attributes_ros.pipeline import FramePipeline

HELP = "find faces in pictures, folders and videos and print their age, gender and emotion as JSON lines"

SCORE = 0.6
"""Lowest detector score of a face that is listed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture, folder (searched whole) or video")
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")
    parser.add_argument(
        "--detector", default="yunet", help="yunet, scrfd:FILE.onnx or scrfd:PACK (default: %(default)s)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="auto, torch, onnx or onnx-int8 (default: %(default)s)")
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=150_000_000,
        metavar="N",
        help="pictures of more pixels are refused before they are decoded (default: %(default)s)",
    )
    parser.add_argument(
        "--tasks", metavar="TASKS", help="comma-separated, such as age,gender; no others are computed (default: all)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON lines there, not to standard output")
    parser.add_argument(
        "--annotate", type=Path, metavar="DIR", help="write copies with the faces drawn in; off unless asked for"
    )


def run(args: argparse.Namespace) -> int:
    """Print one JSON line per picture or video frame; return 1 if nothing was read or a copy not written, else 0."""
    from facial_attributes_ros.cli.annotated import AnnotatedCopies
    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.models.registry import check_tasks
    from facial_attributes_ros.options import PipelineOptions, TrackingOptions
    from facial_attributes_ros.pipeline import FramePipeline

    files = list(_files(args.paths))
    detector = load_detector(args.detector)
    engine = load_engine(args.model, args.device, args.engine)
    tasks = check_tasks(engine.spec, args.tasks.split(",") if args.tasks else None)
    options = PipelineOptions(tasks=tasks, tracking=TrackingOptions(birth_score=SCORE))
    pipeline = FramePipeline(detector, engine, options)
    read = 0
    with _output(args.out) as output, AnnotatedCopies(args.annotate, args.paths) as copies:
        for path in files:
            for line in _predict(pipeline, path, args.max_pixels, copies):
                read += "error" not in line
                output.write(json_line(line, output.encoding))
                output.flush()
    return 0 if read and not copies.failed else 1


def still_options() -> "DetectorOptions":
    """Return how still pictures are searched: finely, and as training pictures are where a face fills the picture."""
    from facial_attributes_ros.options import CLOSE_UP

    return replace(CLOSE_UP, detection_size=1024, score_threshold=SCORE)


def picture_line(
    path: str, image: "NDArray[np.uint8]", faces: "list[FaceAttributes]", model: "ModelSpec"
) -> dict[str, Any]:
    """Return the JSON object of a picture.

    Args:
        path: as the user gave it.
        image: uint8 (H, W, 3).
        faces: found in it.
        model: that estimated them.
    """
    height, width = image.shape[:2]
    return {
        "path": path,
        "width": width,
        "height": height,
        "faces": [_face(face) for face in faces],
        "model": model.name,
        "model_version": model.version,
        "model_hash": model.short_hash,
    }


def _face(face: "FaceAttributes") -> dict[str, Any]:
    return {
        "box": [round(float(value), 2) for value in face.detection.box],
        "detection_confidence": _number(face.detection.score),
        "age": _number(face.age),
        "age_stddev": _number(face.age_stddev),
        **_distribution("age_group", face.age_group),
        **_distribution("gender", face.gender),
        **_distribution("emotion", face.emotion),
    }


def _distribution(name: str, distribution: "Distribution") -> dict[str, Any]:
    from facial_attributes_ros.attributes import LABELS

    pairs = zip(LABELS[distribution.task], distribution.probabilities, strict=True)
    return {
        name: distribution.label,
        f"{name}_probabilities": {label: round(float(value), 6) for label, value in pairs},
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    with disk_errors(path), file:
        yield file


def _files(paths: list[Path]) -> Iterator[Path]:
    """Yield pictures and videos: what was named as it is, and what folders hold by its suffix."""
    from facial_attributes_ros.imaging import formats
    from facial_attributes_ros.imaging.decoder import VIDEO_SUFFIXES
    from facial_attributes_ros.imaging.folders import files_in

    for path in paths:
        if not path.exists():
            raise UserError(f"There is no file or folder {path}.")
        if not path.is_dir():
            yield path
            continue
        inside = files_in(path, formats.SUFFIXES | VIDEO_SUFFIXES)
        if not inside:
            raise UserError(f"There are no pictures or videos in {path}.")
        yield from inside


def _predict(
    pipeline: "FramePipeline", path: Path, max_pixels: int, copies: "AnnotatedCopies"
) -> Iterator[dict[str, Any]]:
    """Yield the line of a picture, or one for each frame of a video; a file that cannot be read makes an error line."""
    from facial_attributes_ros.imaging.decoder import is_video, read_picture

    try:
        if is_video(path):
            yield from _predict_video(pipeline, path, copies)
            return
        image = read_picture(path, max_pixels)
        pipeline.detector.options = still_options()
        faces = pipeline.still(image)
    except UserError as error:
        yield {"path": str(path), "error": str(error)}
        return
    copies.picture(path, image, faces)
    yield picture_line(str(path), image, faces, pipeline.engine.spec)


def _predict_video(pipeline: "FramePipeline", path: Path, copies: "AnnotatedCopies") -> Iterator[dict[str, Any]]:
    from facial_attributes_ros.imaging.sources import read_video
    from facial_attributes_ros.options import DetectorOptions

    pipeline.reset()
    pipeline.detector.options = DetectorOptions()
    for image, seconds in read_video(path):
        faces = pipeline.process(image, seconds).faces
        copies.frame(path, image, faces)
        line = picture_line(str(path), image, faces, pipeline.engine.spec)
        for entry, face in zip(line["faces"], faces, strict=True):
            entry["id"] = face.id
        yield {**line, "time": round(seconds, 4)}
