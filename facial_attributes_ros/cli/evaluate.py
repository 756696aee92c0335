"""`facial-attributes evaluate`: a model's figures on labelled pictures."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_training.manifest import Manifest
    from facial_attributes_training.predictions import CropMode, Predictions

    from facial_attributes_ros.runtime.engine import Engine

HELP = "measure a model on labelled pictures: accuracy, errors in years, calibration, groups; JSON, CSV and a report"

PREDICTIONS_FILE = "predictions.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")
    parser.add_argument("--manifest", type=Path, nargs="+", required=True, metavar="CSV", help="labelled pictures")
    parser.add_argument("--split", action="append", default=[], help="take only this split; may be repeated")
    parser.add_argument(
        "--crop",
        choices=("detect", "box", "none"),
        help="find the faces anew, take the manifest's boxes, or take whole pictures (default: box, or detect where "
        "rows have no boxes)",
    )
    parser.add_argument("--detector", default="yunet", help="for --crop detect (default: %(default)s)")
    parser.add_argument(
        "--fit-temperature",
        action="store_true",
        help="fit temperatures on half of the rows and measure calibration on the others, instead of using the model's",
    )
    parser.add_argument("--out", type=Path, help="folder for the report, its plots, JSON, CSV and raw predictions")
    parser.add_argument("--json", action="store_true", help="write the JSON to standard output")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="auto, torch, onnx or onnx-int8 (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the report and print the main figures."""
    try:
        from facial_attributes_training.evaluation import evaluate, expected_ages
        from facial_attributes_training.manifest import read_manifests
        from facial_attributes_training.predictions import write_predictions
        from facial_attributes_training.report import Run, summary_rows, to_json, write_report
    except ModuleNotFoundError as error:
        raise UserError(
            f"evaluate needs the training extra ({error.name} is missing): pip install '.[train]'."
        ) from error
    from facial_attributes_ros.runtime.engine import load_engine

    manifest = read_manifests(args.manifest)
    manifest = manifest.split(*args.split) if args.split else manifest
    if not len(manifest):
        raise UserError("the manifests have no rows.")
    crop: CropMode = args.crop or ("box" if manifest.has_box.all() else "detect")
    engine = load_engine(args.model, args.device, args.engine)
    predictions = _predict(engine, manifest, crop, args.detector)
    evaluation = evaluate(predictions, engine.spec, args.fit_temperature)
    command = shlex.join(["facial-attributes", *sys.argv[1:]])
    about = Run(
        engine.spec.name,
        f"{engine.name} on {engine.device}",
        tuple(path.name for path in args.manifest),
        ", ".join(args.split),
        crop,
        command,
    )
    if args.out:
        write_report(args.out, evaluation, about)
        ages = expected_ages(predictions, engine.spec, evaluation.temperatures.get("age", 1.0))
        write_predictions(args.out / PREDICTIONS_FILE, predictions, evaluation.temperatures, ages)
    if args.json:
        print(json.dumps(to_json(evaluation, about), indent=1, allow_nan=False))
    else:
        _print_table(summary_rows(evaluation))
        for reason, count in evaluation.skipped.items():
            print(f"skipped: {count} rows, {reason}")
    return 0


def _predict(engine: "Engine", manifest: "Manifest", crop: "CropMode", detector: str) -> "Predictions":
    from dataclasses import asdict

    from facial_attributes_training.predictions import predict_manifest
    from tqdm import tqdm

    from facial_attributes_ros.vision.detectors import CLOSE_UP, load_detector

    finder = load_detector(detector, **asdict(CLOSE_UP)) if crop == "detect" else None
    with tqdm(total=len(manifest), unit=" faces", file=sys.stderr, dynamic_ncols=True, mininterval=1.0) as bar:
        return predict_manifest(engine, manifest, crop, finder, lambda done, _total: bar.update(done - bar.n) and None)


def _print_table(rows: list[dict[str, object]]) -> None:
    columns = (
        "data_set",
        "task",
        "rows",
        "accuracy",
        "balanced_accuracy",
        "off_by_one",
        "mae_years",
        "ece",
        "ece_calibrated",
    )
    table = [columns, *(tuple(str(row[column]) for column in columns) for row in rows)]
    widths = [max(len(cells[index]) for cells in table) for index in range(len(columns))]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
