"""`facial-attributes prepare`: from a data set as it comes to a checked manifest with face boxes."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_training.prepare.job import Prepared
    from facial_attributes_training.prepare.sources import Found, Source

HELP = "turn a data set into a manifest: find the faces, check every picture, list what is left out and why"

_NAMES = (
    "manifest", "csv", "folders", "fairface", "raf-db", "celeba-hq", "lagenda", "utkface", "affectnet", "appa-real",
    "imdb-wiki", "vggface2", "reference",
)  # fmt: skip

_OWN = ("csv", "folders")
"""Sources that say themselves what their columns and labels mean."""
_UNFIT = {"csv": (), "folders": ("column", "pictures")}
"""Options that do nothing for each of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument(
        "source",
        choices=_NAMES,
        help="which data set's layout to read; csv is any CSV of your own, folders are pictures sorted by label",
    )
    parser.add_argument("path", type=Path, help="its folder, or the CSV file for manifest and csv")
    parser.add_argument("--out", type=Path, required=True, help="folder for manifest-SPLIT.csv and left-out.csv")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        default=[],
        metavar="CSV",
        help="leave out the pictures of these manifests, such as those you measure on",
    )
    parser.add_argument("--restart", action="store_true", help="scan everything anew instead of going on")
    parser.add_argument("--limit", type=int, help="take only the first so many rows")
    faces = parser.add_argument_group("faces")
    faces.add_argument(
        "--boxes",
        choices=("detect", "given", "none"),
        default="detect",
        help="store the detector's box, the data set's own, or none (default: %(default)s)",
    )
    faces.add_argument("--several-faces", choices=("main", "leave-out"), help="default: as the data set needs it")
    faces.add_argument("--no-face", choices=("leave-out", "keep"), default="leave-out", help="default: %(default)s")
    faces.add_argument("--detector", default="yunet", help="yunet, scrfd:FILE.onnx or scrfd:PACK")
    faces.add_argument("--view", choices=("close-up", "whole"), help="faces fill the pictures or not")
    faces.add_argument("--detection-size", type=int, help="longest side in pixels of the copy that is searched")
    faces.add_argument("--score-threshold", type=float, help="smallest score of a face, 0 to 1")
    splits = parser.add_argument_group("splits")
    splits.add_argument(
        "--splits", help="draw splits, as in train=0.6,val=0.2,test=0.2; people of the column identity stay together"
    )
    splits.add_argument("--keep", type=float, default=1.0, help="share of the people or pictures to keep")
    splits.add_argument("--seed", type=int, default=0, help="of both draws")
    own = parser.add_argument_group("csv or folders of your own")
    own.add_argument("--pictures", type=Path, help="folder that the CSV's paths are relative to (default: the CSV's)")
    own.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=YOURS",
        help="which column of the CSV is ours, as in gender=Sex, or identity=subject for who is in the picture: people "
        "stay in one split",
    )
    own.add_argument("--value", action="append", default=[], metavar="COLUMN:YOURS=OURS", help="as in gender:M=male")
    own.add_argument("--name", default="", help="what to call the data set in the column source")


def run(args: argparse.Namespace) -> int:
    """Prepare the data set and print what was written and what was left out."""
    try:
        from facial_attributes_training.prepare.job import FacePolicy, prepare
        from facial_attributes_training.prepare.sources import SOURCES
        from facial_attributes_training.prepare.splits import assign_splits, parse_shares
    except ModuleNotFoundError as error:
        raise UserError(
            f"prepare needs the training extra ({error.name} is missing): pip install '.[train]'."
        ) from error
    if args.workers < 1 or not 0 < args.keep <= 1:
        raise UserError("--workers must be at least 1, and --keep above 0 and at most 1.")
    if args.limit is not None and args.limit < 1:
        raise UserError("--limit must be at least 1.")
    source = SOURCES.get(args.source, SOURCES["manifest"])
    shares = parse_shares(args.splits) if args.splits else None
    # Manifests hold absolute paths, and what is found in a picture is looked up by them.
    args.path = Path.cwd() / os.path.normpath(args.path)
    base = args.path if args.path.is_dir() else args.path.parent
    rows = assign_splits(_read(args, source), shares, args.keep, args.seed, base)[: args.limit]
    if not rows:
        raise UserError(f"{args.path} has no rows.")
    several: Literal["main", "leave-out"] = args.several_faces or ("leave-out" if source.single_face else "main")
    policy = FacePolicy(args.boxes, several, args.no_face)
    make_detector, settings = _detector(args, source)
    with _Bar() as bar:
        prepared = prepare(
            rows, args.out, policy, make_detector, settings, args.workers, bar.show, args.against, args.restart
        )
    _report(prepared)
    return 0


def _read(args: argparse.Namespace, source: "Source") -> "Found":
    from facial_attributes_training.prepare.sources import TableOptions, read_csv, read_folders

    given = [name for name in ("column", "value", "pictures", "name") if getattr(args, name)]
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
    pictures = Path.cwd() / os.path.normpath(args.pictures) if args.pictures else None
    options = TableOptions(columns, values, args.name, pictures)
    return read_csv(args.path, options) if args.source == "csv" else read_folders(args.path, options)


def _meant_for(option: str) -> str:
    return " and ".join(source for source in _OWN if option not in _UNFIT[source])


def _pair(text: str, form: str, mark: str = "=") -> tuple[str, str]:
    left, found, right = text.partition(mark)
    if not found or not left:
        raise UserError(f"{form} is the form; {text!r} does not fit it.")
    return left, right


def _detector(args: argparse.Namespace, source: "Source") -> tuple[Any, dict[str, Any]]:
    """Return what makes the detector in a worker, and the settings that a scan is known by."""
    from dataclasses import asdict, replace
    from functools import partial

    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.options import CLOSE_UP, DetectorOptions

    close_up = source.close_up if args.view is None else args.view == "close-up"
    chosen = {"detection_size": args.detection_size, "score_threshold": args.score_threshold}
    given = {name: value for name, value in chosen.items() if value is not None}
    options = asdict(replace(CLOSE_UP if close_up else DetectorOptions(), **given))
    if args.boxes == "detect":
        load_detector(args.detector, **options)  # A mistake should show here, not in every worker.
    return partial(load_detector, args.detector, **options), {"detector": args.detector, **options}


class _Bar:
    """A progress bar with rate and time left, on standard error."""

    def __enter__(self) -> "_Bar":
        from tqdm import tqdm

        self._bar = tqdm(unit=" pictures", file=sys.stderr, dynamic_ncols=True, mininterval=1.0)
        return self

    def show(self, done: int, total: int) -> None:
        if self._bar.total is None:
            # What an earlier run has scanned must not count into the rate.
            self._bar.total = total
            self._bar.initial = self._bar.n = done
            self._bar.refresh()
        else:
            self._bar.update(done - self._bar.n)

    def __exit__(self, *error: object) -> None:
        self._bar.close()


def _report(prepared: "Prepared") -> None:
    from facial_attributes_training.prepare.left_out import count_reasons

    for path, rows in prepared.manifests.items():
        print(f"{path}: {rows} rows")
    print(f"{prepared.left_out_file}: {len(prepared.left_out)} left out")
    for (source, reason), count in sorted(count_reasons(prepared.left_out).items()):
        print(f"  {source}: {reason}: {count}")
    for sentence in prepared.people:
        print(sentence)
    if not prepared.manifests:
        raise UserError(f"no row is left to write; {prepared.left_out_file} says why.")
