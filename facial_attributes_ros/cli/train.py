"""`facial-attributes train`: adapt a model as a recipe says."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.errors import UserError

if TYPE_CHECKING:
    from facial_attributes_training.recipe.schema import Recipe

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
        from accelerate import PartialState
        from facial_attributes_training.fit.processes import one_voice
        from facial_attributes_training.fit.run import train
        from facial_attributes_training.fit.run_files import PAGE_FILE
        from facial_attributes_training.fit.time_limit import OutOfTimeError
        from facial_attributes_training.recipe.file import read_recipe
        from facial_attributes_training.reports.progress import FeatureBar, RunReport
        from facial_attributes_training.reports.run import write_reports
    except ModuleNotFoundError as error:
        raise UserError(f"train needs the training extra ({error.name} is missing): pip install '.[train]'.") from error
    with one_voice():
        recipe = read_recipe(args.recipe, args.overrides)
        if args.check:
            print(recipe.model_dump_json(indent=1))
            _say_what_data_lack(recipe)
            return 0
        if args.minutes is not None and not args.minutes > 0:
            raise UserError(f"--minutes is a number above 0, not {args.minutes:g}.")
        try:
            with FeatureBar() as bar:
                folder = train(recipe, args.resume, RunReport, bar, args.minutes, write_reports)
            told = f"The model is in {folder}, the report is {recipe.folder / PAGE_FILE}."
        except OutOfTimeError:
            told = f"The {args.minutes:g} minutes are over: {recipe.folder} holds a checkpoint; go on with --resume."
            folder = None
    if PartialState().is_main_process:
        print(told)
    return UNFINISHED if folder is None else 0


def _say_what_data_lack(recipe: "Recipe") -> None:
    """Say on standard error what the labels lack, where the manifests are there to be read.

    Raises:
        UserError: a task can't be learned from them.
    """
    from facial_attributes_training.fit.outlook import look_ahead

    data = recipe.data
    manifests = [part.manifest for part in (*data.train, *data.validation, *data.test)]
    if absent := [str(path) for path in manifests if not path.is_file()]:
        print(f"The data were not checked: {', '.join(absent)} is not there.", file=sys.stderr)
        return
    for sentence in look_ahead(recipe).gaps:
        print(f"warning: {sentence}", file=sys.stderr)
