"""`facial-attributes bench`: what everything costs on this machine, from single stages to a live ROS graph."""

import argparse
import json
import math
import sys
from pathlib import Path

from facial_attributes_ros.errors import UserError

HELP = "measure stages, a live ROS graph, load, detectors, training or every adaptation on this machine"

_ABOUT = """Without a mode: detection, crop, model, the bare backbone and the whole way of a frame, in turns.
Every mode takes --json and --out, which keeps the report as JSON and CSV, and plots where there are curves."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = f"{HELP}\n\n{_ABOUT}"
    _add_modes(parser)
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")
    parser.add_argument(
        "--detector",
        action="append",
        help="yunet, yunet:onnx, yunet:opencv, scrfd:FILE.onnx or scrfd:PACK (default: yunet); may be repeated for "
        "--detection (default there: yunet:onnx and yunet:opencv)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="auto, onnx, onnx-int8 or torch (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads of the model (default: one per core)")
    parser.add_argument("--faces", type=_counts, default=(1, 4, 8), help="numbers of faces (default: 1,4,8)")
    parser.add_argument(
        "--seconds",
        type=float,
        help="to measure (default: 6 a number of faces; 20 a run end to end; 10 a point of --load; 20 for --detection "
        "altogether; 120 for --training; 2 a row of the ladder)",
    )
    _add_mode_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the report as JSON and CSV, and its plots")


def _add_modes(parser: argparse.ArgumentParser) -> None:
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--end-to-end", action="store_true", help="time camera to published array over a live ROS graph")
    modes.add_argument("--load", action="store_true", help="the same with more faces, larger frames and higher rates")
    modes.add_argument("--detection", action="store_true", help="detectors: time, and recall by the size of the face")
    modes.add_argument("--training", type=Path, metavar="RECIPE", help="the training loop against a bare loop")
    modes.add_argument("--ladder", action="store_true", help="run and train every adaptation, with random weights")


def _add_mode_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second, end to end (default: %(default)g)")
    parser.add_argument("--runs", type=int, default=1, help="end to end: so many runs (default: %(default)d)")
    parser.add_argument("--axes", type=_words, help="of --load: faces,width,rate (default: all)")
    parser.add_argument(
        "--sizes", type=_counts, help="of --detection: longest sides of the searched copy (default: 160 to 1280)"
    )
    parser.add_argument(
        "--manifest", type=Path, nargs="+", metavar="CSV", help="of --detection: faces (default: two photographs)"
    )
    parser.add_argument("--rows", type=int, default=200, help="of --manifest, by chance (default: %(default)d)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="change a field of RECIPE"
    )
    parser.add_argument(
        "--ladder-model", default="pe-l14-336", help="pe-l14-336, small or a backbone's name (default: %(default)s)"
    )
    parser.add_argument(
        "--ladder-batches",
        type=_counts,
        help="batches to run and (from 2 on) to train with (default: 1,4,16,32 to run, 16,64 to train)",
    )
    parser.add_argument(
        "--precision",
        choices=("bfloat16", "float32"),
        help="of the ladder (default: bfloat16 on CUDA, float32 on a CPU)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print and keep what was found."""
    from facial_attributes_ros.cli import bench_modes as modes

    positive = [args.rate] if args.seconds is None else [args.rate, args.seconds]
    if args.runs < 1 or args.rows < 1 or not all(0 < value < math.inf for value in positive):  # nor NaN
        raise UserError("--runs, --rows, --seconds and --rate are above 0, and finite.")
    measure = next(
        (
            getattr(modes, mode)
            for mode in ("end_to_end", "load", "detection", "training", "ladder")
            if getattr(args, mode)
        ),
        modes.stages,
    )
    if args.out:
        _make_folder(args.out)
    report = measure(args)
    if args.json:
        json.dump(report, sys.stdout)
        print()
    if args.out:
        path = modes.keep(args.out, measure.__name__, report)
        print(f"Written to {path}.", file=sys.stderr)
    return 0


def _make_folder(folder: Path) -> None:
    """Make the folder before anything is measured, since a run may take an hour."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} can't be made ({error.strerror}): give another --out.") from error


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError("numbers from 1 on, separated by commas")
    return counts


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
