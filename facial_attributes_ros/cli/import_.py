"""`facial-attributes import`: a checkpoint of Sessa's public code to a model folder."""

import argparse
from pathlib import Path

from facial_attributes_ros.cli.common import command_line

HELP = "Convert a checkpoint folder of Sessa's public code to a model folder; nothing in it is executed."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="with adapter_config.json, adapter_model.safetensors and custom_layers.pt",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL", help="the model folder to write")
    parser.add_argument("--backbone", default="PE-Core-L-14-336", metavar="NAME", help="what it was trained on")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="the backbone's weights: a file, or hub@REVISION; the model refers to them, and they are checked if given",
    )


def run(args: argparse.Namespace) -> int:
    """Import the checkpoint and return the exit code."""
    from facial_attributes_ros.models.sessa_import import import_sessa

    checkpoint = import_sessa(args.folder, args.out, args.backbone, args.weights, command_line())
    print(
        f"{args.out}: {checkpoint.adaptation.name} of rank {checkpoint.adaptation.rank} with heads for "
        f"{', '.join(checkpoint.tasks)}, {len(checkpoint.tensors)} tensors."
    )
    if args.weights is None:
        print(
            f"It needs the weights of {args.backbone}: import again with --weights FILE or --weights hub@REVISION to "
            "say where they are."
        )
    return 0
