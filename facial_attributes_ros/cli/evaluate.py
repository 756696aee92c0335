"""`facial-attributes evaluate`: a model's figures on labelled images."""

import argparse
import json
import sys
from contextlib import redirect_stdout
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.cli.common import (
    add_detector,
    add_device_and_engine,
    add_model,
    close_up_detector,
    command_line,
    print_table,
    warn,
    whole_number,
)
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import ProgressBar

if TYPE_CHECKING:
    from facial_attributes_training.data.manifest import Manifest
    from facial_attributes_training.measure.evaluation import Evaluation
    from facial_attributes_training.measure.predictions import CropMode, Predictions
    from facial_attributes_training.measure.recalibration import Change
    from facial_attributes_training.measure.robustness import Condition
    from facial_attributes_training.reports.evaluation import Run

    from facial_attributes_ros.detection.base import FaceDetector
    from facial_attributes_ros.engines.base import Engine

HELP = "measure a model on labelled images: accuracy, age errors, calibration, groups; as JSON, CSV and a report"

AGAINST_FILE = "against.json"
ROBUSTNESS_ROWS = 1500
"""Samples that are measured under every corruption by default: some 30,000 faces in all."""

_COLUMNS = (
    "data_set",
    "task",
    "rows",
    "accuracy",
    "balanced_accuracy",
    "off_by_one",
    "mae_years",
    "plcc",
    "srocc",
    "ece",
    "ece_calibrated",
    "nll_calibrated",
    "brier_calibrated",
    "coverage",
    "precision",
)
"""Of the table that is printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    add_model(parser)
    parser.add_argument("--manifest", type=Path, nargs="+", required=True, metavar="CSV", help="labelled images")
    parser.add_argument("--split", action="append", default=[], help="take only this split; may be repeated")
    parser.add_argument(
        "--samples",
        "--rows",
        type=whole_number,
        metavar="N",
        help="take N samples, spread evenly, instead of all",
    )
    parser.add_argument(
        "--crop",
        choices=("detect", "box", "none"),
        help="detect the faces, take the manifest's boxes, or take whole images (default: box, or detect where samples "
        "have no boxes)",
    )
    add_detector(parser, "for --crop detect: ")
    _add_measurements(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for report, plots, JSON, CSV and predictions")
    parser.add_argument("--json", action="store_true", help="write the JSON to standard output")
    add_device_and_engine(parser)


def _add_measurements(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibrate",
        "--fit-temperature",
        action="store_true",
        help="fit temperatures and thresholds on one half of the images and measure calibration on the other, and "
        "vice versa, instead of using the model's",
    )
    parser.add_argument(
        "--save-calibration",
        type=Path,
        metavar="MODEL",
        help="write a copy of the model with the result of --calibrate to this folder, and print before and after; "
        "the model itself, and tasks with too few labels, remain unchanged",
    )
    parser.add_argument(
        "--save-resting-face",
        type=Path,
        metavar="MODEL",
        help="measure how the emotion logits depend on the person, for the filter over time (docs/fusion.md), and "
        "write a copy of the model with the result to this folder; the manifest needs the column identity, and people "
        "that the model was not trained on",
    )
    parser.add_argument(
        "--robustness",
        type=whole_number,
        nargs="?",
        const=ROBUSTNESS_ROWS,
        metavar="SAMPLES",
        help="also measure corrupted images (low resolution, blur, low light, tilt, occlusion), each corruption on "
        "this many samples (%(const)s if no number is given)",
    )
    parser.add_argument(
        "--against",
        metavar="ENGINE",
        help="run the same samples in another engine too, and print how the results differ, with intervals",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the report and print the main figures."""
    from facial_attributes_training.measure.evaluation import evaluate
    from facial_attributes_training.measure.predictions import predict_manifest
    from facial_attributes_training.measure.recalibration import check_target
    from facial_attributes_training.reports.evaluation import Run

    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.models.registry import model_folder

    if args.save_calibration and not args.calibrate:
        raise UserError("--save-calibration saves what --calibrate fits: give both.")
    for target in (args.save_calibration, args.save_resting_face):
        if target:
            check_target(model_folder(args.model), target)
    manifest = _read(args)
    crop: CropMode = args.crop or ("box" if manifest.has_box.all() else "detect")
    engine = load_engine(args.model, args.device, args.engine)
    detector = close_up_detector(args.detector) if crop == "detect" else None
    with ProgressBar("faces", len(manifest)) as bar:
        predictions = predict_manifest(engine, manifest, crop, detector, bar)
    evaluation = evaluate(predictions, engine.spec, args.calibrate)
    robustness = _robustness(args.robustness, engine, manifest, evaluation, crop, detector)
    about = Run(
        model=engine.spec.name,
        engine=f"{engine.name} on {engine.device}",
        manifests=tuple(path.name for path in args.manifest),
        split=", ".join(args.split),
        crop=crop,
        command=command_line(),
        version=engine.spec.version,
        hash=engine.spec.short_hash,
        trained_on=_trained_on(args, model_folder(args.model), manifest),
    )
    for warning in evaluation.warnings:
        warn(warning)
    if args.out:
        _write(args.out, predictions, evaluation, about, robustness)
    if args.save_calibration:
        _save_calibration(args, evaluation, predictions, about.command)
    if args.save_resting_face:
        _save_resting_face(args, predictions, about.command)
    _print_results(args.json, evaluation, about, robustness)
    if args.against:
        _against(args, predictions, crop, detector)
    return 0


def _write(
    folder: Path,
    predictions: "Predictions",
    evaluation: "Evaluation",
    about: "Run",
    robustness: "list[Condition]",
) -> None:
    """Write the report, the predictions, and the samples without one."""
    from facial_attributes_training.data.subsets import first_half
    from facial_attributes_training.fit.run_folder import PREDICTIONS_FILE
    from facial_attributes_training.measure.evaluation import expected_ages
    from facial_attributes_training.measure.predictions import write_predictions
    from facial_attributes_training.prepare.excluded import EXCLUDED_FILE, write_excluded
    from facial_attributes_training.reports.evaluation import write_report

    write_report(folder, evaluation, about, robustness)
    ages = expected_ages(predictions, evaluation.calibration)
    half = first_half(predictions.manifest)
    write_predictions(folder / PREDICTIONS_FILE, predictions, evaluation.temperatures, ages, half)
    write_excluded(folder / EXCLUDED_FILE, predictions.skipped)


def _print_results(as_json: bool, evaluation: "Evaluation", about: "Run", robustness: "list[Condition]") -> None:
    from facial_attributes_training.reports.evaluation import summary_rows, to_json

    if as_json:
        print(json.dumps(to_json(evaluation, about, robustness), indent=1, allow_nan=False))
        return
    _print_columns(summary_rows(evaluation), _COLUMNS)
    for reason, count in evaluation.skipped.items():
        print(f"skipped: {count} samples, {reason}")


def _save_calibration(
    args: argparse.Namespace, evaluation: "Evaluation", predictions: "Predictions", command: str
) -> None:
    """Write the calibrated copy and print what changed; with --json, standard output is for the JSON alone."""
    from facial_attributes_training.measure.recalibration import save_calibration

    from facial_attributes_ros.models.registry import model_folder

    changes = save_calibration(model_folder(args.model), args.save_calibration, evaluation, predictions, command)
    with redirect_stdout(sys.stderr if args.json else sys.stdout):
        print(f"{args.save_calibration} holds a copy with this calibration, measured on held-out samples:")
        rows = [_change_row(change) for change in changes]
        _print_columns(rows, tuple(rows[0]))
        unchanged = [task for task in predictions.logits if task not in {change.task for change in changes}]
        if unchanged:
            print(f"unchanged: {', '.join(unchanged)}")


def _save_resting_face(args: argparse.Namespace, predictions: "Predictions", command: str) -> None:
    """Write the copy that knows how its emotion logits depend on the person, and print the main figures."""
    from facial_attributes_training.measure.resting_face import save_resting_face

    from facial_attributes_ros.models.registry import model_folder

    facts = save_resting_face(model_folder(args.model), args.save_resting_face, predictions, command)
    with redirect_stdout(sys.stderr if args.json else sys.stdout):
        print(
            f"{args.save_resting_face} holds a copy that knows the resting face, from {facts.samples} images: "
            f"intraclass correlation {facts.intraclass_correlation:.2f} at rest ({facts.people} people), "
            f"{facts.coupling:.2f} of the offset in other expressions."
        )


def _change_row(change: "Change") -> dict[str, object]:
    def both(name: str, scale: float = 1.0, digits: int = 3) -> str:
        values = [getattr(measured, name) for measured in (change.before, change.after)]
        return " → ".join(
            "none" if value is None or value == inf else f"{scale * value:.{digits}f}" for value in values
        )

    return {
        "task": change.task,
        "samples": change.after.rows,
        "temperature": both("temperature"),
        "threshold": both("threshold"),
        "ECE, %": both("calibration_error", 100, 1),
        "NLL": both("nll"),
        "Brier": both("brier"),
        "coverage, %": both("coverage", 100, 1),
        "precision, %": both("precision", 100, 1),
    }


def _trained_on(args: argparse.Namespace, model: Path, manifest: "Manifest") -> str:
    """Return which samples the model was trained on, in a sentence, and warn of such an overlap."""
    from facial_attributes_training.prepare.split_overlap import warn_of_overlap
    from facial_attributes_training.reports.trained_on import MEASURED, NOT_KNOWN, compare_with_training

    compared = compare_with_training(model, manifest, args.manifest, args.out)
    if compared is None:
        return NOT_KNOWN
    warn_of_overlap(sentence for each in compared.overlaps if each.split == MEASURED for sentence in each.sentences)
    return compared.summary


def _against(
    args: argparse.Namespace, tested: "Predictions", crop: "CropMode", detector: "FaceDetector | None"
) -> None:
    """Compare with another engine, and write the table as JSON beside the report."""
    from facial_attributes_training.measure.agreement import agreement_rows, compare_engines
    from facial_attributes_training.measure.predictions import predict_manifest

    from facial_attributes_ros.engines.load import load_engine

    other = load_engine(args.model, args.device, args.against)
    with ProgressBar("faces", len(tested.manifest)) as bar:
        rows = agreement_rows(compare_engines(tested, predict_manifest(other, tested.manifest, crop, detector, bar)))
    if args.out:
        (args.out / AGAINST_FILE).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    # Standard output is for the JSON alone.
    with redirect_stdout(sys.stderr if args.json else sys.stdout):
        print(f"{args.engine} against {other.name} on {other.device}")
        if rows:
            _print_columns(rows, tuple(rows[0]))


def _read(args: argparse.Namespace) -> "Manifest":
    from facial_attributes_training.data.manifest import read_manifests
    from facial_attributes_training.data.sampling import spread_subset

    manifest = read_manifests(args.manifest)
    manifest = manifest.split(*args.split) if args.split else manifest
    if not len(manifest):
        raise UserError("The manifests have no samples.")
    return manifest.take(spread_subset(len(manifest), args.samples))


def _robustness(
    samples: int | None,
    engine: "Engine",
    manifest: "Manifest",
    evaluation: "Evaluation",
    crop: "CropMode",
    detector: "FaceDetector | None",
) -> "list[Condition]":
    from facial_attributes_training.data.sampling import spread_subset
    from facial_attributes_training.measure.robustness import measure_robustness

    if samples is None:
        return []
    part = manifest.take(spread_subset(len(manifest), samples))
    with ProgressBar("faces") as bar:
        return measure_robustness(engine, part, evaluation.calibration, crop, detector, bar)


def _print_columns(rows: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    print_table(columns, [[row[column] for column in columns] for row in rows])
