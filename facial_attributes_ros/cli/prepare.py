"""`facial-attributes prepare`: from a data set as it comes to a checked manifest with face boxes."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from facial_attributes_ros.cli.common import add_detector, warn, whole_number
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import ProgressBar

if TYPE_CHECKING:
    from facial_attributes_training.prepare.job import Prepared
    from facial_attributes_training.prepare.sources import Found, Source

HELP = "turn a data set into a manifest: find the faces, check every image, list what is excluded and why"

_NAMES = (
    "manifest", "csv", "folders", "fairface", "raf-db", "celeba-hq", "lagenda", "utkface", "affectnet", "appa-real",
    "imdb-wiki", "vggface2", "reference",
)  # fmt: skip

_OWN = ("csv", "folders")
"""Data sets of the user's own, whose columns and labels the options describe."""
_NOTABLE = 0.1
"""Fraction of excluded images from which on the summary warns."""
_UNFIT = {"csv": (), "folders": ("column", "images")}
"""Options that do nothing for each of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument(
        "source",
        choices=_NAMES,
        help="layout of the data set; csv is any CSV of your own, folders are images sorted into folders by label",
    )
    parser.add_argument("path", type=Path, help="its folder, or the CSV file for manifest and csv")
    parser.add_argument("--out", type=Path, required=True, help="folder for manifest-SPLIT.csv and left-out.csv")
    parser.add_argument(
        "--workers", type=whole_number, default=os.cpu_count() or 1, help="number of processes (default: %(default)s)"
    )
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        default=[],
        metavar="CSV",
        help="exclude the images of these manifests, such as those of a test set",
    )
    parser.add_argument(
        "--teacher",
        metavar="blendshapes=FILE",
        help="ask MediaPipe's face_landmarker.task about the visible expressions of every face, and write "
        "blendshapes.npz beside the manifests; the first time it installs MediaPipe in an environment of its own",
    )
    parser.add_argument("--restart", action="store_true", help="scan everything anew instead of resuming")
    parser.add_argument("--limit", type=whole_number, help="take the first samples only, up to this number")
    _add_face_arguments(parser.add_argument_group("faces"))
    _add_split_arguments(parser.add_argument_group("splits"))
    _add_own_arguments(parser.add_argument_group("csv or folders of your own"))


def _add_face_arguments(faces: argparse._ArgumentGroup) -> None:
    faces.add_argument(
        "--boxes",
        choices=("detect", "given", "none"),
        default="detect",
        help="store the detector's box, the data set's own, or none (default: %(default)s)",
    )
    faces.add_argument(
        "--several-faces",
        choices=("main", "leave-out"),
        help="take the main face of an image with several, or exclude the image (default: depends on the data set)",
    )
    faces.add_argument(
        "--no-face",
        choices=("leave-out", "keep"),
        default="leave-out",
        help="exclude an image without a face, or keep it (default: %(default)s)",
    )
    add_detector(faces)
    faces.add_argument(
        "--view",
        choices=("close-up", "whole"),
        help="whether a face fills the image (default: depends on the data set)",
    )
    faces.add_argument("--detection-size", type=whole_number, help="longest side in pixels of the searched copy")
    faces.add_argument("--score-threshold", type=float, help="smallest detection confidence of a face, 0 to 1")


def _add_split_arguments(splits: argparse._ArgumentGroup) -> None:
    splits.add_argument(
        "--splits",
        help="draw splits, as in train=0.6,val=0.2,test=0.2; the images of one person (column identity) stay together",
    )
    splits.add_argument("--keep", type=float, default=1.0, help="fraction of the people or images to keep, 0 to 1")
    splits.add_argument("--seed", type=int, default=0, help="of both draws (default: %(default)s)")


def _add_own_arguments(own: argparse._ArgumentGroup) -> None:
    own.add_argument(
        "--images",
        "--pictures",
        type=Path,
        metavar="DIR",
        help="folder that the CSV's paths are relative to (default: the CSV's)",
    )
    own.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=YOURS",
        help="column of the CSV for one of ours, as in gender=Sex, or identity=subject for who is in the image: the "
        "images of one person stay in one split",
    )
    own.add_argument("--value", action="append", default=[], metavar="COLUMN:YOURS=OURS", help="as in gender:M=male")
    own.add_argument("--name", default="", help="name of the data set in the column source")


def run(args: argparse.Namespace) -> int:
    """Prepare the data set, and print what was written and what was excluded."""
    from facial_attributes_training.prepare.job import FacePolicy, prepare
    from facial_attributes_training.prepare.sources import SOURCES
    from facial_attributes_training.prepare.splits import assign_splits, parse_fractions

    if not 0 < args.keep <= 1:
        raise UserError("--keep must be above 0 and at most 1.")
    teacher = _teacher(args.teacher)
    source = SOURCES.get(args.source, SOURCES["manifest"])
    shares = parse_fractions(args.splits) if args.splits else None
    # Manifests hold absolute paths, and the scan of an image is looked up by them.
    args.path = Path.cwd() / os.path.normpath(args.path)
    base = args.path if args.path.is_dir() else args.path.parent
    rows = assign_splits(_read(args, source), shares, args.keep, args.seed, base)[: args.limit]
    if not rows:
        raise UserError(f"{args.path} has no samples.")
    several: Literal["main", "leave-out"] = args.several_faces or ("leave-out" if source.single_face else "main")
    policy = FacePolicy(args.boxes, several, args.no_face)
    make_detector, settings = _detector(args, source)
    with ProgressBar("images") as bar:
        prepared = prepare(
            rows, args.out, policy, make_detector, settings, args.workers, bar, args.against, args.restart
        )
    _report(prepared)
    if teacher:
        from facial_attributes_training.data.manifest import read_manifests
        from facial_attributes_training.prepare.teacher import write_expressions

        with ProgressBar("faces") as bar:
            path = write_expressions(read_manifests(prepared.manifests), teacher, args.out, bar)
        print(f"{path}: what the teacher says of the faces")
    return 0


def _teacher(text: str | None) -> Path | None:
    """Return the teacher's file, checked before anything else is done; None without one.

    Raises:
        UserError: there is no such teacher, or the file is another one.
    """
    if text is None:
        return None
    name, path = _pair(text, "--teacher blendshapes=FILE")
    if name != "blendshapes":
        raise UserError(f"There is no teacher '{name}'; the one there is, is blendshapes.")
    from facial_attributes_training.prepare.teacher import check_teacher

    check_teacher(Path(path))
    return Path(path)


def _read(args: argparse.Namespace, source: "Source") -> "Found":
    from facial_attributes_training.prepare.sources import TableOptions, read_csv, read_folders

    given = [name for name in ("column", "value", "images", "name") if getattr(args, name)]
    unfit = given if args.source not in _OWN else [name for name in given if name in _UNFIT[args.source]]
    if unfit:
        raise UserError(f"--{unfit[0]} is not for {args.source}; it is for {_meant_for(unfit[0])}.")
    if args.source not in _OWN:
        return source.read(args.path)
    columns = dict(_pair(text, "--column OURS=YOURS") for text in args.column)
    values: dict[str, dict[str, str]] = {}
    for text in args.value:
        column, pair = _pair(text, "--value COLUMN:YOURS=OURS", ":")
        theirs, ours = _pair(pair, "--value COLUMN:YOURS=OURS")
        values.setdefault(column, {})[theirs] = ours
    images = Path.cwd() / os.path.normpath(args.images) if args.images else None
    options = TableOptions(columns, values, args.name, images)
    return read_csv(args.path, options) if args.source == "csv" else read_folders(args.path, options)


def _meant_for(option: str) -> str:
    return " and ".join(source for source in _OWN if option not in _UNFIT[source])


def _pair(text: str, form: str, mark: str = "=") -> tuple[str, str]:
    left, found, right = text.partition(mark)
    if not found or not left:
        raise UserError(f"{form} is the form; {text!r} does not have it.")
    return left, right


def _detector(args: argparse.Namespace, source: "Source") -> tuple[Any, dict[str, Any]]:
    """Return a function that makes the detector in a worker, and the settings that identify a scan."""
    from dataclasses import asdict, replace
    from functools import partial

    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.options import CLOSE_UP, DetectorOptions

    close_up = source.close_up if args.view is None else args.view == "close-up"
    chosen = {"detection_size": args.detection_size, "score_threshold": args.score_threshold}
    given = {name: value for name, value in chosen.items() if value is not None}
    options = asdict(replace(CLOSE_UP if close_up else DetectorOptions(), **given))
    if args.boxes == "detect":
        load_detector(args.detector, **options)  # a mistake should show here, not in every worker
    return partial(load_detector, args.detector, **options), {"detector": args.detector, **options}


def _report(prepared: "Prepared") -> None:
    from facial_attributes_training.prepare.excluded import count_hints, count_reasons

    for path, rows in prepared.manifests.items():
        print(f"{path}: {rows} samples")
    print(f"{prepared.excluded_file}: {len(prepared.excluded)} excluded")
    for (source, reason), count in sorted(count_reasons(prepared.excluded).items()):
        print(f"  {source}: {reason}: {count}")
    for hint, count in count_hints(prepared.excluded).items():
        print(f"  {count} images: {hint}")
    for sentence in prepared.people:
        print(sentence)
    kept, dropped = sum(prepared.manifests.values()), len(prepared.excluded)
    if dropped > _NOTABLE * (kept + dropped):
        warn(
            f"{dropped} of {kept + dropped} images ({100 * dropped / (kept + dropped):.0f} %) were excluded; the "
            "reasons are above and, image by image, in that list."
        )
    if not prepared.manifests:
        raise UserError(f"All samples were excluded; {prepared.excluded_file} lists the reasons.")
