"""`facial-attributes evaluate`: a model's figures on labelled pictures."""

import argparse
import json
import shlex
import sys
from contextlib import redirect_stdout
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Self

from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_training.data.manifest import Manifest
    from facial_attributes_training.measure.evaluation import Evaluation
    from facial_attributes_training.measure.predictions import CropMode, Predictions
    from facial_attributes_training.measure.recalibration import Change
    from facial_attributes_training.measure.robustness import Condition

    from facial_attributes_ros.detection.base import FaceDetector
    from facial_attributes_ros.engines.base import Engine

HELP = "measure a model on labelled pictures: accuracy, errors in years, calibration, groups; JSON, CSV and a report"

AGAINST_FILE = "against.json"
ROBUSTNESS_ROWS = 1500
"""So many rows are measured under every degradation by default: some 30,000 faces in all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")
    parser.add_argument("--manifest", type=Path, nargs="+", required=True, metavar="CSV", help="labelled pictures")
    parser.add_argument("--split", action="append", default=[], help="take only this split; may be repeated")
    parser.add_argument("--rows", type=int, help="take so many rows, spread evenly, instead of all")
    parser.add_argument(
        "--crop",
        choices=("detect", "box", "none"),
        help="find the faces anew, take the manifest's boxes, or take whole pictures (default: box, or detect where "
        "rows have no boxes)",
    )
    parser.add_argument("--detector", default="yunet", help="for --crop detect (default: %(default)s)")
    parser.add_argument(
        "--calibrate",
        "--fit-temperature",
        action="store_true",
        help="fit temperatures and thresholds on half of the pictures and measure calibration on the others, and the "
        "other way round, instead of using the model's",
    )
    parser.add_argument(
        "--save-calibration",
        type=Path,
        metavar="MODEL",
        help="write a copy of the model with what --calibrate fits to this folder, and show before and after; the "
        "model itself and tasks with too few labels stay as they are",
    )
    parser.add_argument(
        "--robustness",
        type=int,
        nargs="?",
        const=ROBUSTNESS_ROWS,
        metavar="ROWS",
        help="measure spoilt views too (few pixels, blur, darkness, tilt, covered parts), each on so many rows "
        "(%(const)s if no number is given)",
    )
    parser.add_argument("--out", type=Path, help="folder for the report, its plots, JSON, CSV and raw predictions")
    parser.add_argument("--json", action="store_true", help="write the JSON to standard output")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="auto, torch, onnx or onnx-int8 (default: %(default)s)")
    parser.add_argument(
        "--against",
        metavar="ENGINE",
        help="run the same rows in another engine too, and tell what --engine gains or loses, with intervals",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the report and print the main figures."""
    try:
        from facial_attributes_training.data.subsets import first_half
        from facial_attributes_training.fit.run_files import PREDICTIONS_FILE
        from facial_attributes_training.measure.evaluation import evaluate, expected_ages
        from facial_attributes_training.measure.predictions import predict_manifest, write_predictions
        from facial_attributes_training.measure.recalibration import check_target
        from facial_attributes_training.prepare.left_out import LEFT_OUT_FILE, write_left_out
        from facial_attributes_training.reports.evaluation import Run, summary_rows, to_json, write_report
    except ModuleNotFoundError as error:
        raise UserError(
            f"evaluate needs the training extra ({error.name} is missing): pip install '.[train]'."
        ) from error
    from facial_attributes_ros.engines.load import load_engine
    from facial_attributes_ros.models.registry import model_folder

    if args.save_calibration and not args.calibrate:
        raise UserError("--save-calibration saves what --calibrate fits: give both.")
    if args.save_calibration:
        check_target(model_folder(args.model), args.save_calibration)
    manifest = _read(args)
    crop: CropMode = args.crop or ("box" if manifest.has_box.all() else "detect")
    engine = load_engine(args.model, args.device, args.engine)
    detector = _detector(args.detector) if crop == "detect" else None
    with _Bar(len(manifest)) as bar:
        predictions = predict_manifest(engine, manifest, crop, detector, bar)
    evaluation = evaluate(predictions, engine.spec, args.calibrate)
    robustness = _robustness(args.robustness, engine, manifest, evaluation.temperatures, crop, detector)
    about = Run(
        model=engine.spec.name,
        engine=f"{engine.name} on {engine.device}",
        manifests=tuple(path.name for path in args.manifest),
        split=", ".join(args.split),
        crop=crop,
        command=shlex.join(["facial-attributes", *sys.argv[1:]]),
        version=engine.spec.version,
        hash=engine.spec.short_hash,
        trained_on=_trained_on(args, model_folder(args.model), manifest),
    )
    for warning in evaluation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if args.out:
        write_report(args.out, evaluation, about, robustness)
        ages = expected_ages(predictions, engine.spec, evaluation.temperatures.get("age", 1.0))
        half = first_half(predictions.manifest)
        write_predictions(args.out / PREDICTIONS_FILE, predictions, evaluation.temperatures, ages, half)
        write_left_out(args.out / LEFT_OUT_FILE, predictions.skipped)
    if args.save_calibration:
        _save_calibration(args, evaluation, predictions, about.command)
    if args.json:
        print(json.dumps(to_json(evaluation, about, robustness), indent=1, allow_nan=False))
    else:
        _print_table(summary_rows(evaluation))
        for reason, count in evaluation.skipped.items():
            print(f"skipped: {count} rows, {reason}")
    if args.against:
        _against(args, predictions, crop, detector)
    return 0


def _save_calibration(
    args: argparse.Namespace, evaluation: "Evaluation", predictions: "Predictions", command: str
) -> None:
    """Write the calibrated copy, and say what changed; standard output is for the JSON alone if that is asked for."""
    from facial_attributes_training.measure.recalibration import save_calibration

    from facial_attributes_ros.models.registry import model_folder

    changes = save_calibration(model_folder(args.model), args.save_calibration, evaluation, predictions, command)
    with redirect_stdout(sys.stderr if args.json else sys.stdout):
        print(f"{args.save_calibration} holds a copy with this calibration, measured on rows it was not fitted on:")
        rows = [_change_row(change) for change in changes]
        _print_columns(rows, tuple(rows[0]))
        kept = [task for task in predictions.logits if task not in {change.task for change in changes}]
        if kept:
            print(f"left as it was: {', '.join(kept)}")


def _change_row(change: "Change") -> dict[str, object]:
    def both(name: str, scale: float = 1.0, digits: int = 3) -> str:
        values = [getattr(measured, name) for measured in (change.before, change.after)]
        return " → ".join(
            "none" if value is None or value == inf else f"{scale * value:.{digits}f}" for value in values
        )

    return {
        "task": change.task,
        "rows": change.after.rows,
        "temperature": both("temperature"),
        "threshold": both("threshold"),
        "ECE, %": both("calibration_error", 100, 1),
        "NLL": both("nll"),
        "Brier": both("brier"),
        "coverage, %": both("coverage", 100, 1),
        "accuracy of named, %": both("precision", 100, 1),
    }


def _trained_on(args: argparse.Namespace, model: Path, manifest: "Manifest") -> str:
    """Return what the rows share with those that the model was trained on, and warn of it."""
    from facial_attributes_training.prepare.leaks import warn_of_leaks
    from facial_attributes_training.reports.trained_on import MEASURED, NOT_KNOWN, compare_with_training

    compared = compare_with_training(model, manifest, args.manifest, args.out)
    if compared is None:
        return NOT_KNOWN
    warn_of_leaks(sentence for each in compared.shared if each.split == MEASURED for sentence in each.sentences)
    return compared.promise


def _against(
    args: argparse.Namespace, tested: "Predictions", crop: "CropMode", detector: "FaceDetector | None"
) -> None:
    """Compare with another engine; the table is kept as JSON beside the report."""
    from facial_attributes_training.measure.agreement import agreement_rows, compare_engines
    from facial_attributes_training.measure.predictions import predict_manifest

    from facial_attributes_ros.engines.load import load_engine

    other = load_engine(args.model, args.device, args.against)
    with _Bar(len(tested.manifest)) as bar:
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
        raise UserError("the manifests have no rows.")
    for name in ("rows", "robustness"):
        if (count := getattr(args, name)) is not None and count < 1:
            raise UserError(f"--{name} is a number of rows from 1 on, not {count}.")
    return manifest.take(spread_subset(len(manifest), args.rows))


def _detector(name: str) -> "FaceDetector":
    from dataclasses import asdict

    from facial_attributes_ros.detection.load import load_detector
    from facial_attributes_ros.options import CLOSE_UP

    return load_detector(name, **asdict(CLOSE_UP))


def _robustness(
    rows: int | None,
    engine: "Engine",
    manifest: "Manifest",
    temperatures: dict[str, float],
    crop: "CropMode",
    detector: "FaceDetector | None",
) -> "list[Condition]":
    from facial_attributes_training.data.sampling import spread_subset
    from facial_attributes_training.measure.robustness import measure_robustness

    if rows is None:
        return []
    part = manifest.take(spread_subset(len(manifest), rows))
    with _Bar(0) as bar:
        return measure_robustness(engine, part, temperatures, crop, detector, bar)


class _Bar:
    """A progress bar on standard error, called with how many faces are done and how many there are."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, unit=" faces", file=sys.stderr, dynamic_ncols=True, mininterval=1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __call__(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)


def _print_table(rows: list[dict[str, object]]) -> None:
    columns = (
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
        "named",
        "precision_named",
    )
    _print_columns(rows, columns)


def _print_columns(rows: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    table = [columns, *(tuple(str(row[column]) for column in columns) for row in rows)]
    widths = [max(len(cells[index]) for cells in table) for index in range(len(columns))]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
