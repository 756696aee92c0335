"""`facial-attributes compare`: several runs in one table."""

import argparse
import sys
from pathlib import Path

from facial_attributes_ros.cli.common import add_overrides, command_line
from facial_attributes_ros.progress import ProgressBar

HELP = "train or read several runs, and write their accuracies and costs in one table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("paths", type=Path, nargs="+", metavar="RECIPE", help="recipes (YAML), or folders of runs")
    parser.add_argument("--out", type=Path, required=True, help="folder for comparison.md, .html, .json and .png")
    parser.add_argument(
        "--single-task",
        action="store_true",
        help="also train one model per task for every recipe, on as many samples of each task as the run itself draws",
    )
    parser.add_argument("--runs", type=Path, help="folder for the runs (default: as the recipes say)")
    add_overrides(parser, "data.rows=4000")


def run(args: argparse.Namespace) -> int:
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
