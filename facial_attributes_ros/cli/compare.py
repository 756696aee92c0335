"""`facial-attributes compare`: several runs in one table."""

import argparse
import shlex
import sys
from pathlib import Path

from facial_attributes_ros.errors import UserError

HELP = "train or read several runs and write their accuracies and costs side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RECIPE", help="recipes (YAML), or folders of runs")
    parser.add_argument("--out", type=Path, required=True, help="folder for comparison.md and comparison.json")


def run(args: argparse.Namespace) -> int:
    """Train what is not trained yet, write the tables, and print them."""
    try:
        from facial_attributes_training.comparison import finished_run, write_comparison
        from facial_attributes_training.recipe import Recipe
        from facial_attributes_training.run import train
        from facial_attributes_training.run_report import FeatureBar, RunReport
    except ModuleNotFoundError as error:
        raise UserError(
            f"compare needs the training extra ({error.name} is missing): pip install '.[train]'."
        ) from error

    def trained(recipe: Recipe) -> Path:
        with FeatureBar() as bar:
            return train(recipe, True, RunReport, bar)

    runs = [finished_run(path, trained) for path in args.runs]
    report = write_comparison(args.out, runs, shlex.join(["facial-attributes", *sys.argv[1:]]))
    print(report.read_text(encoding="utf-8"), end="")
    return 0
