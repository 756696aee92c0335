"""`facial-attributes compare`: several runs, or several models, in one table."""

import argparse
import sys
from pathlib import Path

from facial_attributes_ros.cli.common import add_overrides, close_up_detector, command_line
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import ProgressBar

HELP = "write the accuracies and costs of several runs, trained if need be, in one table; or compare models on images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="RECIPE",
        help="recipes (YAML), or folders of runs; with --manifest names of models, and folders of models or runs",
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        nargs="+",
        default=[],
        metavar="CSV",
        help="compare models with the first one on these labelled images, paired, with their mistakes as images",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables and plots")
    parser.add_argument(
        "--single-task",
        action="store_true",
        help="also train one model per task for every recipe, on as many samples of each task as the run itself draws",
    )
    parser.add_argument("--runs", type=Path, help="folder for the runs (default: as the recipes say)")
    add_overrides(parser, "data.rows=4000")


def run(args: argparse.Namespace) -> int:
    """Compare models, or runs: train what is not trained yet; print the tables, and return 1 if a run failed."""
    return _compare_models(args) if args.manifest else _compare_runs(args)


def _compare_models(args: argparse.Namespace) -> int:
    """Measure every model on the manifests, write the tables and the mistakes, and print the tables."""
    from facial_attributes_training.data.manifest import read_manifests
    from facial_attributes_training.reports.models import measure_models, write_models

    if len(args.paths) < 2 or args.overrides or args.runs or args.single_task:
        raise UserError("compare --manifest takes two models or more, and no options of runs.")
    manifest = read_manifests(args.manifest)
    if not len(manifest):
        raise UserError("The manifests have no samples.")
    whole = manifest.has_box.all()
    detector = None if whole else close_up_detector()
    with ProgressBar("faces", len(manifest)) as bar:
        models = measure_models(args.paths, manifest, "box" if whole else "detect", detector, bar)
    print(write_models(args.out, models, command_line()), end="")
    return 0


def _compare_runs(args: argparse.Namespace) -> int:
    """Train what is not trained yet, write the tables after every training, and print them; 1 if a run failed."""
    from facial_attributes_training.fit.run import train
    from facial_attributes_training.recipe.schema import Recipe
    from facial_attributes_training.reports.comparison import write_comparison
    from facial_attributes_training.reports.finished_runs import Failure, FinishedRun, run_all
    from facial_attributes_training.reports.progress import RunReport
    from facial_attributes_training.reports.run import write_reports

    new: list[Recipe] = []

    def trained(recipe: Recipe) -> Path:
        print(f"Training {recipe.name} in {recipe.folder}.", file=sys.stderr)
        new.append(recipe)
        with ProgressBar("images", title="preparing") as bar:
            return train(recipe, True, RunReport, bar, write_report=write_reports)

    runs: list[FinishedRun] = []
    failures: list[Failure] = []
    command = command_line()
    for found in run_all([Path(path) for path in args.paths], trained, args.overrides, args.runs, args.single_task):
        if isinstance(found, Failure):
            failures.append(found)
            print(f"{found.name} failed: {found.reason}", file=sys.stderr)
        else:
            runs.append(found)
        stale = not new
        if new:  # an interrupted comparison has left what took hours
            report = write_comparison(args.out, runs, failures, command)
            new.clear()
    if stale:
        report = write_comparison(args.out, runs, failures, command)
    print(report.read_text(encoding="utf-8"), end="")
    return 1 if failures else 0
