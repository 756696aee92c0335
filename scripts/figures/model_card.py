"""The model card of `small`: measure, write it, and check that it is still correct. No figure in it is typed by hand.

.venv/bin/python scripts/figures/model_card.py measure   # evaluate, calibrate, decide on int8; writes docs/models/small
.venv/bin/python scripts/figures/model_card.py write       # docs/model-card-small.md and its images
.venv/bin/python scripts/figures/model_card.py check       # all of it again, compared with what is written

`measure` changes the model's temperatures, thresholds, figures and its choice of engine in model.json.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from facial_attributes_training.data.manifest import read_manifests
from facial_attributes_training.data.sampling import spread_subset
from facial_attributes_training.data.subsets import first_half
from facial_attributes_training.fit.results import figures
from facial_attributes_training.measure.calibration import calibrate
from facial_attributes_training.measure.evaluation import evaluate
from facial_attributes_training.measure.int8 import ALLOWED_LOSS
from facial_attributes_training.measure.predictions import predict_manifest
from facial_attributes_training.measure.recalibration import calibration_records
from facial_attributes_training.reports.card.check import differences, most_lost
from facial_attributes_training.reports.card.images import card_images
from facial_attributes_training.reports.card.sources import (
    BENCH,
    EVALUATION,
    OTHER_ENGINE,
    PEERS,
    SAMPLE,
    Sources,
    read_json,
)
from facial_attributes_training.reports.card.text import write_card
from facial_attributes_training.reports.plots import DPI

from facial_attributes_ros.child_processes import run
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

ROOT: Final = Path(__file__).resolve().parents[2]
MEASURED: Final = ROOT / "docs" / "models" / "small"
TEMPLATE, CARD = MEASURED / "card.md.in", ROOT / "docs" / "model-card-small.md"
CORRUPTED_SAMPLES: Final = 1500
SAMPLE_ROWS: Final = 240
"""Samples of the small evaluation that the tests repeat."""
TOLERANCE: Final = 0.005
"""By how much fractions may differ when everything is measured again, perhaps on another machine."""


def main() -> int:
    """Run a step; return 0, 1 if the card does not hold, or 2 after a mistake of the user."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("measure", "write", "check"))
    parser.add_argument("--model", default="small", help="name or folder of the model (default: %(default)s)")
    parser.add_argument("--manifest", type=Path, default=Path("work/faces/manifest-val.csv"))
    parser.add_argument("--rows", type=int, help="number of samples to take, for a trial; all by default")
    parser.add_argument(
        "--robustness",
        type=int,
        help=f"samples for every corruption (default: {CORRUPTED_SAMPLES}, or the card's)",
    )
    parser.add_argument("--peers", type=Path, default=Path("work/peers/accuracy.md"), help="table that peers.py writes")
    parser.add_argument("--work", type=Path, default=Path("work/card"), help="for raw results (default: %(default)s)")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="folder of the figures (default: %(default)s)")
    parser.add_argument("--card", type=Path, default=CARD, help="the card itself (default: %(default)s)")
    args = parser.parse_args()
    try:
        return {"measure": measure, "write": write, "check": check}[args.step](args)
    except UserError as error:
        _say(f"model_card: {error}")
        return 2


def measure(args: argparse.Namespace) -> int:
    """Evaluate with both engines, decide which is the default, and measure everything with that one."""
    folder = model_folder(args.model)
    found = {}
    for engine in ("onnx", "onnx-int8"):
        _evaluate(args, args.work / engine, "--engine", engine, "--calibrate")
        found[engine] = read_json(args.work / engine / "evaluation.json")
    lost = most_lost(found["onnx"]["results"], found["onnx-int8"]["results"])
    int8 = lost <= ALLOWED_LOSS
    _say(f"int8 loses up to {100 * lost:.2f} points of accuracy, so {'it' if int8 else 'float32'} is the default.")
    replace(ModelSpec.read(folder), int8=int8).write(folder)
    chosen, other = ("onnx-int8", "onnx") if int8 else ("onnx", "onnx-int8")
    corrupted = ["--robustness", str(args.robustness or CORRUPTED_SAMPLES)]
    _calibrate(args, folder, chosen)
    _evaluate(args, args.work / "card", "--engine", chosen, "--calibrate", *corrupted)
    _evaluate(args, args.work / "sample", "--engine", chosen, "--rows", str(SAMPLE_ROWS))
    reports = {engine: _bench(args.model, engine) for engine in (chosen, other)}
    _keep(args.work / "card", args.measured / EVALUATION.parent)
    shutil.copyfile(args.work / other / "evaluation.json", args.measured / OTHER_ENGINE)
    shutil.copyfile(args.work / "sample" / "evaluation.json", args.measured / SAMPLE)
    if args.peers.is_file():
        shutil.copyfile(args.peers, args.measured / PEERS)
    (args.measured / BENCH).write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
    return 0


def write(args: argparse.Namespace) -> int:
    """Write the card and its images."""
    sources = Sources.read(args.measured, model_folder(args.model))
    for name, figure in card_images(sources.evaluation):
        figure.savefig(args.measured / name, dpi=DPI)
    with atomic_target(args.card) as partial:
        partial.write_text(write_card(TEMPLATE, sources), encoding="utf-8")
    return 0


def check(args: argparse.Namespace) -> int:
    """Measure again and print what differs from the stored figures."""
    sources = Sources.read(args.measured, model_folder(args.model))
    found = []
    if args.card.read_text(encoding="utf-8") != write_card(TEMPLATE, sources):
        found.append("The card does not agree with its figures: write it again.")
    engine = sources.evaluation["run"]["engine"].partition(" ")[0]
    command = shlex.split(sources.evaluation["run"]["command"])
    corrupted = ["--robustness", str(args.robustness or command[command.index("--robustness") + 1])]
    _evaluate(args, args.work / "check", "--engine", engine, "--calibrate", *corrupted)
    found += differences(sources.evaluation, read_json(args.work / "check" / "evaluation.json"), TOLERANCE)
    _say("\n".join(found) or "Everything in the card was measured again, and it holds.")
    return int(bool(found))


def _calibrate(args: argparse.Namespace, folder: Path, engine_name: str) -> None:
    """Put the calibration of one half of the rows, and the figures of the other, into the model's own description."""
    manifest = read_manifests([args.manifest])
    manifest = manifest.take(spread_subset(len(manifest), args.rows))
    predictions = predict_manifest(load_engine(folder, engine=engine_name), manifest)
    half = first_half(predictions.manifest)
    spec = ModelSpec.read(folder)
    fit = calibrate(predictions.logits, predictions.manifest, half, spec.age_centroids)
    if fit.refused:
        raise UserError(" ".join(fit.warnings()))
    spec = replace(spec, **fit.over(spec).fields(), calibration=calibration_records(fit, predictions, ~half))
    replace(spec, metrics=figures(evaluate(predictions.take(~half), spec))).write(folder)


def _evaluate(args: argparse.Namespace, out: Path, *options: str) -> None:
    rows = ["--rows", str(args.rows)] if args.rows and "--rows" not in options else []
    _run("evaluate", "--model", args.model, "--manifest", str(args.manifest), *options, *rows, "--out", str(out))


def _bench(model: str, engine: str) -> dict[str, object]:
    output = _run("bench", "--model", model, "--engine", engine, "--faces", "1,8", "--json", quiet=True)
    report: dict[str, object] = json.loads(output)
    return report


def _run(*arguments: str, quiet: bool = False) -> str:
    _say(shlex.join(["facial-attributes", *arguments]))
    command = [sys.executable, "-m", "facial_attributes_ros.cli.main", *arguments]
    done = run(command, stdout=subprocess.PIPE if quiet else None)
    if done.returncode:
        raise UserError(f"facial-attributes {arguments[0]} failed; see above.")
    return done.stdout or ""


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _keep(source: Path, target: Path) -> None:
    """Copy a report without its HTML twin, and without predictions: labels of single images are not ours to publish."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("predictions.csv", "left-out.csv", "report.html"))


if __name__ == "__main__":
    sys.exit(main())
