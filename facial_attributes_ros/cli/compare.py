"""`facial-attributes compare`: several runs in one table."""

import argparse
import shlex
import sys
from pathlib import Path

from facial_attributes_ros.errors import UserError

HELP = "train or read several runs and write their accuracies and costs side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("paths", type=Path, nargs="+", metavar="RECIPE", help="recipes (YAML), or folders of runs")
    parser.add_argument("--out", type=Path, required=True, help="folder for comparison.md, .html, .json and .png")
    parser.add_argument(
        "--single-task",
        action="store_true",
        help="train one model a task as well for every recipe, on as many rows of each task as its own run draws",
    )
    parser.add_argument("--runs", type=Path, help="folder for the runs (default: as the recipes say)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change a field of every recipe, such as data.rows=4000; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Train what is not trained yet, write the tables after every training, and print them; 1 if a run failed."""
    try:
        from facial_attributes_training.fit.run import train
        from facial_attributes_training.recipe.schema import Recipe
        from facial_attributes_training.reports.comparison import Failure, FinishedRun, run_all
        from facial_attributes_training.reports.comparison_tables import write_comparison
        from facial_attributes_training.reports.progress import FeatureBar, RunReport
        from facial_attributes_training.reports.run import write_reports
    except ModuleNotFoundError as error:
        raise UserError(
            f"compare needs the training extra ({error.name} is missing): pip install '.[train]'."
        ) from error

    new: list[Recipe] = []

    def trained(recipe: Recipe) -> Path:
        print(f"Training {recipe.name} in {recipe.folder}.", file=sys.stderr)
        new.append(recipe)
        with FeatureBar() as bar:
            return train(recipe, True, RunReport, bar, write_report=write_reports)

    runs: list[FinishedRun] = []
    failures: list[Failure] = []
    command = shlex.join(["facial-attributes", *sys.argv[1:]])
    for found in run_all(args.paths, trained, args.overrides, args.runs, args.single_task):
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
