"""`facial-attributes bench`: what everything costs on this machine, from single stages to a live ROS graph."""

import argparse
import json
import sys
from pathlib import Path

from facial_attributes_ros.cli.common import (
    add_device_and_engine,
    add_model,
    add_overrides,
    make_folder,
    positive_number,
    whole_number,
    whole_numbers,
    words,
)

HELP = "measure stages, a live ROS graph, load, detectors, training or every adaptation on this machine"

_ABOUT = """Without a mode: detection, crop, model, the bare backbone and the whole pipeline, in turns.
Every mode takes --json and --out, which keeps the report as JSON and CSV, and plots where there are curves."""
_MODES = ("end_to_end", "load", "detection", "training", "ladder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = f"{HELP}\n\n{_ABOUT}"
    _add_modes(parser)
    add_model(parser)
    parser.add_argument(
        "--detector",
        action="append",
        help="yunet, yunet:onnx, yunet:opencv, scrfd:FILE.onnx or scrfd:PACK (default: yunet); may be repeated for "
        "--detection (default there: yunet:onnx and yunet:opencv)",
    )
    add_device_and_engine(parser)
    parser.add_argument("--threads", type=whole_number, help="CPU threads of the model (default: one per core)")
    parser.add_argument("--faces", type=whole_numbers, default=(1, 4, 8), help="numbers of faces (default: 1,4,8)")
    parser.add_argument(
        "--seconds",
        type=positive_number,
        help="to measure (default: 6 for each number of faces; 20 for each run end to end; 10 for each point of "
        "--load; 20 for --detection in all; 120 for --training; 2 for each row of --ladder)",
    )
    _add_mode_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the report as JSON and CSV, and its plots")


def _add_modes(parser: argparse.ArgumentParser) -> None:
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--end-to-end", action="store_true", help="latency from camera to message over a live ROS graph")
    modes.add_argument("--load", action="store_true", help="the same with more faces, larger frames and higher rates")
    modes.add_argument("--detection", action="store_true", help="detectors: time, and recall by the size of the face")
    modes.add_argument("--training", type=Path, metavar="RECIPE", help="throughput of training, against a bare loop")
    modes.add_argument("--ladder", action="store_true", help="run and train every adaptation, with random weights")


def _add_mode_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate", type=positive_number, default=30.0, help="of the camera end to end, frames/s (default: %(default)g)"
    )
    parser.add_argument(
        "--runs", type=whole_number, default=1, help="end to end: number of runs (default: %(default)d)"
    )
    parser.add_argument("--axes", type=words, help="of --load: faces,width,rate (default: all)")
    parser.add_argument(
        "--sizes", type=whole_numbers, help="of --detection: longest sides of the searched copy (default: 160 to 1280)"
    )
    parser.add_argument(
        "--manifest", type=Path, nargs="+", metavar="CSV", help="of --detection: faces (default: two photographs)"
    )
    parser.add_argument(
        "--samples",
        "--rows",
        type=whole_number,
        default=200,
        metavar="N",
        help="of --manifest, drawn at random (default: %(default)d)",
    )
    add_overrides(parser, "data.rows=4000")
    parser.add_argument(
        "--ladder-model", default="pe-l14-336", help="pe-l14-336, small or a backbone's name (default: %(default)s)"
    )
    parser.add_argument(
        "--ladder-batches",
        type=whole_numbers,
        help="batch sizes to run and (from 2 on) to train with (default: 1,4,16,32 to run, 16,64 to train)",
    )
    parser.add_argument(
        "--precision",
        choices=("bfloat16", "float32"),
        help="of --ladder (default: bfloat16 on CUDA, float32 on a CPU)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print the report, and keep it if asked."""
    from facial_attributes_ros.bench.report import write_report
    from facial_attributes_ros.cli import bench_modes

    mode = next((name for name in _MODES if getattr(args, name)), "stages")
    if args.out:
        make_folder(args.out, "--out")  # now, since a run may take an hour
    report = getattr(bench_modes, mode)(args)
    if args.json:
        json.dump(report, sys.stdout)
        print()
    if args.out:
        path = write_report(args.out, mode, report)
        print(f"The report is in {path}.", file=sys.stderr)
    return 0
