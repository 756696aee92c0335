"""`facial-attributes train`: adapt a model as a recipe says."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facial_attributes_ros.cli.common import add_overrides, positive_number, warn
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import ProgressBar

if TYPE_CHECKING:
    from facial_attributes_training.measure.predictions import Progress
    from facial_attributes_training.recipe.schema import Recipe

UNFINISHED = 3
"""Exit code of a run that --minutes stopped; --resume continues it."""
HELP = "train a model by a recipe (YAML): checkpoints, logs, a report, and a model folder at the end"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this subcommand."""
    parser.add_argument("recipe", type=Path, help="YAML file, such as those in config/recipes")
    add_overrides(parser, "optimiser.lr=1e-4")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint of the same run")
    parser.add_argument(
        "--minutes",
        type=positive_number,
        help=f"stop between two steps after this time, with a checkpoint and exit code {UNFINISHED}; --resume "
        "continues. The validation of the last epoch and the writing of the model come on top",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="check everything that the run would check (recipe, data, labels, start, licence, disk), print the whole "
        "recipe, what it needs and how long it takes here, and stop; nothing is written",
    )


def run(args: argparse.Namespace) -> int:
    """Train, with a progress bar, and print where the model is."""
    from accelerate import PartialState
    from facial_attributes_training.fit.processes import one_voice
    from facial_attributes_training.fit.run import train
    from facial_attributes_training.fit.run_folder import PAGE_FILE
    from facial_attributes_training.fit.time_limit import OutOfTimeError
    from facial_attributes_training.recipe.file import read_recipe
    from facial_attributes_training.reports.parent import side_by_side
    from facial_attributes_training.reports.progress import RunReport
    from facial_attributes_training.reports.run import write_reports

    with one_voice():
        recipe = read_recipe(args.recipe, args.overrides)
        if args.check:
            _check(recipe, args.resume)
            return 0
        try:
            with ProgressBar("images", title="preparing") as bar:
                folder = train(recipe, args.resume, RunReport, bar, args.minutes, write_reports)
                if PartialState().is_main_process:
                    _make_deployable(folder, recipe, bar)
            end = f"The model is in {folder}, the report is {recipe.folder / PAGE_FILE}."
            if compared := side_by_side(recipe.folder):
                end = f"{end}\n{compared.verdict}"
        except OutOfTimeError:
            end = f"The {args.minutes:g} minutes are over: {recipe.folder} holds a checkpoint; continue with --resume."
            folder = None
    if PartialState().is_main_process:
        print(end)
    return UNFINISHED if folder is None else 0


def _make_deployable(folder: Path, recipe: "Recipe", progress: "Progress") -> None:
    """Keep the network's graph with the model, so that a robot needs no PyTorch, and measure whether int8 serves."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        warn(f"the graph is not written and int8 not measured, since {error.name} is missing.")
        return
    from facial_attributes_training.fit.run_data import read_samples
    from facial_attributes_training.measure.int8 import decide_int8

    from facial_attributes_ros.engines.export import write_graph

    try:
        write_graph(folder)
        decide_int8(folder, read_samples(recipe, recipe.data.validation or recipe.data.train).manifest, progress)
    except UserError as error:  # the model is whole without them
        warn(str(error))


def _check(recipe: "Recipe", resume: bool) -> None:
    """Print the recipe, and what the run needs.

    Raises:
        UserError: it can't be trained.
    """
    from facial_attributes_training.fit.estimate import needs
    from facial_attributes_training.fit.processes import join_processes
    from facial_attributes_training.fit.run import checked_run

    run = checked_run(recipe, resume, join_processes(recipe.precision))
    sentences = list(needs(run))
    print(run.recipe.model_dump_json(indent=1))
    for sentence in run.known.gaps:
        warn(sentence)
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    print(f"The run can be trained; it would write to {recipe.folder}.", file=sys.stderr)
