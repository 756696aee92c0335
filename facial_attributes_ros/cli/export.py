"""`facial-attributes export`: the model as a file for other programs, checked against PyTorch."""

import argparse
from pathlib import Path

from facial_attributes_ros.cli.common import add_model, words

HELP = "write a model as ONNX, pt2 or TensorRT, with notes on its inputs and outputs"

_SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "tensorrt": ".engine"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    add_model(parser)
    parser.add_argument("--format", choices=tuple(_SUFFIXES), default="onnx", help="default: %(default)s")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: MODEL and the format's suffix)"
    )
    parser.add_argument("--tasks", type=words, help="comma-separated outputs, such as age,gender (default: all)")
    parser.add_argument("--int8", action="store_true", help="int8 weights per channel; ONNX only")


def run(args: argparse.Namespace) -> int:
    """Write the model and its notes, and print where they are."""
    from facial_attributes_ros.engines.export import export

    path = args.out or Path(f"{Path(args.model).name}{_SUFFIXES[args.format]}")
    notes, difference = export(args.model, args.format, path, args.tasks, int8=args.int8)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from PyTorch by at most {difference:.2g}")
    print(f"{notes}: inputs and outputs")
    return 0
