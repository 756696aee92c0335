"""`facial-attributes label`: a page on which somebody labels the faces of images and videos."""

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.cli.common import (
    add_detector,
    add_device_and_engine,
    add_model,
    files_of,
    make_folder,
    print_table,
    warn,
    whole_number,
    words,
)
from facial_attributes_ros.cli.serving import add_serving, serve
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import ProgressBar

if TYPE_CHECKING:
    from facial_attributes_training.labelling.answers import AnswerBook
    from facial_attributes_training.labelling.scanning import ScannedFile
    from facial_attributes_training.labelling.session import Labelling

HELP = "label the faces of images and videos on a page of this machine, the least certain ones first"

_SMALLEST = 32
"""Default of the smallest face in pixels; people cannot see what a smaller one shows either."""
_SHOWN = 5
_BAGS = frozenset({".mcap", ".db3", ".bag"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="image, video, or folder (with all its subfolders)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the labels, and for what is kept of videos")
    parser.add_argument(
        "--labeller",
        default="a",
        metavar="NAME",
        help="whose labels these are; each has own files (default: a)",
    )
    parser.add_argument(
        "--tasks", type=words, metavar="TASKS", help="comma-separated, such as emotion (default: age,gender,emotion)"
    )
    parser.add_argument("--limit", type=whole_number, metavar="N", help="label the first N faces of the order only")
    parser.add_argument(
        "--held-out",
        type=float,
        default=0.25,
        metavar="FRACTION",
        help="people or images for validation, whose faces come at random (default: %(default)s)",
    )
    parser.add_argument(
        "--person-per-folder",
        action="store_true",
        help="each folder of images shows one person: all its images are in one split",
    )
    parser.add_argument(
        "--smallest",
        type=whole_number,
        default=_SMALLEST,
        metavar="PIXELS",
        help="faces less wide are not offered (default: %(default)s)",
    )
    parser.add_argument("--name", default="", help="name of the data set in the column source (default: that of DIR)")
    parser.add_argument(
        "--agreement",
        nargs=2,
        type=Path,
        metavar="CSV",
        help="print how well the labels of two labellers agree, and end",
    )
    add_model(parser)
    add_detector(parser)
    add_device_and_engine(parser)
    add_serving(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, or print the agreement of two labellers."""
    if args.agreement:
        if args.paths:
            raise UserError("--agreement takes two files of labels, and no images.")
        return _agreement(*args.agreement)
    if not args.paths or args.out is None:
        raise UserError("Give the images or videos to label, and with --out a folder for the labels.")
    if not 0 <= args.held_out < 1:
        raise UserError("--held-out must be from 0 to below 1.")
    from facial_attributes_training.labelling.answers import AnswerBook
    from facial_attributes_training.labelling.session import Labelling, Plan

    from facial_attributes_ros.attributes import TASKS

    if unknown := sorted({*(args.tasks or ())} - {*TASKS}):
        raise UserError(f"There is no task {', '.join(unknown)}; --tasks takes {', '.join(TASKS)}.")
    tasks = tuple(task for task in TASKS if args.tasks is None or task in args.tasks)
    files = _files(args.paths, args.out)
    make_folder(args.out, "--out")
    with AnswerBook.opened(args.out, args.labeller, args.name) as book:
        scanned, model_tasks = _scan(args, files)
        plan = Plan(tasks, args.held_out, args.limit, args.person_per_folder)
        _serve(args, Labelling(scanned, plan, book, model_tasks))
        _print_end(book)
    return 0


def _scan(args: argparse.Namespace, files: list[Path]) -> "tuple[list[ScannedFile], tuple[str, ...]]":
    """Return the files with their faces, and the tasks that the model estimates."""
    from facial_attributes_training.labelling.scanning import Scanner

    from facial_attributes_ros.files import locked
    from facial_attributes_ros.options import RECORDED, PipelineOptions
    from facial_attributes_ros.pipeline import load_pipeline

    options = PipelineOptions(tracking=RECORDED)
    pipeline = load_pipeline(
        args.model, detector=args.detector, device=args.device, engine=args.engine, options=options
    )
    base = os.path.commonpath([path.parent for path in files])
    names = [Path(os.path.relpath(path, base)).as_posix() for path in files]
    log = args.out / "faces.jsonl"
    busy = f"Another command is looking for faces for {args.out}: wait for its end."
    with locked(log, busy), ProgressBar("images") as bar:
        scanned = Scanner(pipeline, args.detector, args.smallest).scan(files, names, log, bar)
    broken = [file.error for file in scanned if file.error]
    for sentence in broken[:_SHOWN]:
        warn(sentence)
    if len(broken) > _SHOWN:
        warn(f"{len(broken)} files cannot be read; the page lists them all.")
    if not any(file.candidates for file in scanned):
        raise UserError(f"No face of {args.smallest} pixels or more was found in {len(scanned)} files.")
    return scanned, pipeline.engine.spec.tasks


def _files(paths: list[Path], out: Path) -> list[Path]:
    """Return the images and videos, without those that are kept from videos."""
    from facial_attributes_training.labelling.pictures import FRAMES

    from facial_attributes_ros.imaging import formats
    from facial_attributes_ros.imaging.decoder import VIDEO_SUFFIXES

    for path in paths:
        if path.suffix.lower() in _BAGS or (path / "metadata.yaml").exists():
            raise UserError(
                f"{path} is a bag, and bags cannot be read yet: save its images to a folder first, such as with "
                "ros2 run image_view image_saver while ros2 bag play runs, and label that folder."
            )
    kept = (out / FRAMES).resolve()
    files = files_of(paths, formats.SUFFIXES | VIDEO_SUFFIXES, "images or videos")
    found = [Path.cwd() / os.path.normpath(path) for path in dict.fromkeys(files) if path.resolve().parent != kept]
    if not found:
        raise UserError("There are no images or videos to label but those that were kept from videos before.")
    return found


def _serve(args: argparse.Namespace, work: "Labelling") -> None:
    """Serve the page until Ctrl-C."""
    from facial_attributes_ros.web.labelling import labelling_page

    end = "Ctrl-C ends, and the same command continues"
    try:
        serve(args, [labelling_page(work)], "the images can be seen by others on the way", end)
    except KeyboardInterrupt:
        return
    finally:
        work.close()


def _print_end(book: "AnswerBook") -> None:
    from facial_attributes_training.labelling.session import TRAIN

    labelled = [answer for answer in book.answers if answer.given.labels]
    held_out = sum(answer.split != TRAIN for answer in labelled)
    print(f"\n{len(book.answers)} faces answered; {len(labelled)} have a label.")
    if labelled:
        print(f"{book.manifest}: {len(labelled) - held_out} samples of train, {held_out} of val")


def _agreement(one: Path, other: Path) -> int:
    from facial_attributes_training.data.manifest import read_manifest
    from facial_attributes_training.labelling.agreement import agreement_rows, labeller_agreement

    found = labeller_agreement(read_manifest(one), read_manifest(other))
    header = ("task", "faces of both", "same label, %", "Cohen's kappa", "weighted kappa", "most confused")
    print_table(header, agreement_rows(found))
    for each in found:
        if any(each.only_one):
            print(
                f"{each.task}: {each.only_one[0]} more have a label in {one} only, {each.only_one[1]} in {other} only"
            )
        if not math.isnan(each.years):
            print(f"{each.task}: where both know the years, they differ by {each.years:.1f} in the mean")
    return 0
