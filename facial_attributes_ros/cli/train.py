"""`facial-attributes train`: adapt a model as a recipe says."""

import argparse
from pathlib import Path

from facial_attributes_ros.errors import UserError

UNFINISHED = 3
"""Exit code of a run that --minutes stopped: it goes on with --resume."""
HELP = "train a model as a recipe (YAML) says: checkpoints, logs, and a model folder at the end"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("recipe", type=Path, help="YAML file, such as those in config/recipes")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change a field of the recipe, such as optimiser.lr=1e-4; may be repeated",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the same run")
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"stop between two steps after so many minutes, with a checkpoint and exit code {UNFINISHED}; --resume "
        "goes on. The last epoch's validation and the writing of the model come on top",
    )
    parser.add_argument("--check", action="store_true", help="read and check the recipe, and stop there")


def run(args: argparse.Namespace) -> int:
    """Train, with a progress bar, and name the folder of the model."""
    try:
        from facial_attributes_training.recipe_file import read_recipe
        from facial_attributes_training.run import train
        from facial_attributes_training.run_files import PAGE_FILE
        from facial_attributes_training.run_report import FeatureBar, RunReport
        from facial_attributes_training.time_limit import OutOfTimeError
    except ModuleNotFoundError as error:
        raise UserError(f"train needs the training extra ({error.name} is missing): pip install '.[train]'.") from error
    recipe = read_recipe(args.recipe, args.overrides)
    if args.check:
        print(recipe.model_dump_json(indent=1))
        return 0
    if args.minutes is not None and not args.minutes > 0:
        raise UserError(f"--minutes is a number above 0, not {args.minutes:g}.")
    try:
        with FeatureBar() as bar:
            folder = train(recipe, args.resume, RunReport, bar, args.minutes)
    except OutOfTimeError:
        print(f"The {args.minutes:g} minutes are over: {recipe.folder} holds a checkpoint; go on with --resume.")
        return UNFINISHED
    print(f"The model is in {folder}, the report is {recipe.folder / PAGE_FILE}.")
    return 0
