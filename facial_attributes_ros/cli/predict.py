"""`facial-attributes predict`: faces and attributes in images, folders and videos, as JSON lines."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facial_attributes_ros.cli.common import (
    add_detector,
    add_device_and_engine,
    add_model,
    files_of,
    output_file,
    whole_number,
    words,
)
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import ProgressBar
from facial_attributes_ros.text import json_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facial_attributes_ros.attributes import FaceAttributes
    from facial_attributes_ros.cli.annotated import AnnotatedCopies
    from facial_attributes_ros.models.spec import ModelSpec
    from facial_attributes_ros.pipeline import FramePipeline

HELP = "estimate age, gender and emotion of the faces in images, folders and videos, as JSON lines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="image, video, or folder (with all its subfolders)"
    )
    add_model(parser)
    add_detector(parser)
    add_device_and_engine(parser)
    parser.add_argument(
        "--max-pixels",
        type=whole_number,
        default=150_000_000,
        metavar="N",
        help="images of more pixels are refused before they are decoded (default: %(default)s)",
    )
    parser.add_argument(
        "--tasks",
        type=words,
        metavar="TASKS",
        help="comma-separated, such as age,gender; no others are computed (default: all)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON lines there, not to standard output")
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="DIR",
        help="write copies of the images with the faces drawn in (default: none)",
    )


def run(args: argparse.Namespace) -> int:
    """Print one JSON line per image or video frame; return 1 if nothing was read or a copy not written, else 0."""
    from facial_attributes_ros.cli.annotated import AnnotatedCopies
    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.imaging import formats
    from facial_attributes_ros.imaging.decoder import VIDEO_SUFFIXES
    from facial_attributes_ros.models.registry import check_tasks
    from facial_attributes_ros.options import RECORDED, PipelineOptions
    from facial_attributes_ros.pipeline import FramePipeline

    files = files_of(args.paths, formats.SUFFIXES | VIDEO_SUFFIXES, "images or videos")
    detector = load_detector(args.detector)
    engine = load_engine(args.model, args.device, args.engine)
    tasks = check_tasks(engine.spec, args.tasks)
    options = PipelineOptions(tasks=tasks, tracking=RECORDED)
    pipeline = FramePipeline(detector, engine, options)
    with output_file(args.out) as output, AnnotatedCopies(args.annotate, args.paths, tasks) as copies:
        read = 0
        for line in _lines(pipeline, files, args.max_pixels, copies, show=not output.isatty()):
            read += "error" not in line
            output.write(json_line(line, output.encoding))
            output.flush()
    return 0 if read and not copies.failed else 1


def _lines(
    pipeline: "FramePipeline", files: list[Path], max_pixels: int, copies: "AnnotatedCopies", show: bool
) -> Iterator[dict[str, Any]]:
    """Yield the lines of all files, with a progress bar unless they scroll on the same terminal."""
    from facial_attributes_ros.imaging.decoder import is_video
    from facial_attributes_ros.imaging.sources import frame_count

    counts = [frame_count(path) if is_video(path) else 1 for path in files]
    total, before = sum(counts), 0
    with ProgressBar("images", total, shown=show) as bar:
        for path, count in zip(files, counts, strict=True):
            for number, line in enumerate(_predict(pipeline, path, max_pixels, copies), 1):
                yield line
                bar(before + min(number, count), total)  # a video may have more frames than its header says
            before += count
            bar(before, total)


def image_line(
    image: "NDArray[np.uint8]", faces: "list[FaceAttributes]", model: "ModelSpec", **source: Any
) -> dict[str, Any]:
    """Return the JSON object of an image or a frame.

    Args:
        image: uint8 (H, W, 3).
        faces: found in it.
        model: that estimated them.
        source: `path` as the user gave it, and for a frame `stamp`, its time in seconds.
    """
    from facial_attributes_ros.attributes import image_dict

    height, width = image.shape[:2]
    line = image_dict([face.to_dict() for face in faces], width, height, model.name, **source)
    return line | {"model_version": model.version, "model_hash": model.short_hash}


def _predict(
    pipeline: "FramePipeline", path: Path, max_pixels: int, copies: "AnnotatedCopies"
) -> Iterator[dict[str, Any]]:
    """Yield the line of an image, or one for each frame of a video; a file that cannot be read makes an error line."""
    from facial_attributes_ros.imaging.decoder import is_video, read_image

    try:
        if is_video(path):
            yield from _predict_video(pipeline, path, copies)
            return
        image = read_image(path, max_pixels)
        faces = pipeline.still(image)
    except UserError as error:
        yield {"path": str(path), "error": str(error)}
        return
    copies.image(path, image, faces)
    yield image_line(image, faces, pipeline.engine.spec, path=str(path))


def _predict_video(pipeline: "FramePipeline", path: Path, copies: "AnnotatedCopies") -> Iterator[dict[str, Any]]:
    from facial_attributes_ros.imaging.sources import read_video

    pipeline.reset()
    for image, seconds in read_video(path):
        faces = pipeline.process(image, seconds).faces
        copies.frame(path, image, faces)
        yield image_line(image, faces, pipeline.engine.spec, path=str(path), stamp=round(seconds, 4))
