"""Finished runs, for a comparison: those that exist are read, the others trained; a failure does not end the rest."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from facial_attributes_training.data.csv_tables import numbers, read_table
from facial_attributes_training.fit.run_folder import DISTRIBUTION_FILE, PREDICTIONS_FILE, RECIPE_FILE, stage_folder
from facial_attributes_training.fit.step_log import read_steps
from facial_attributes_training.measure.paired import Outcomes, read_outcomes
from facial_attributes_training.recipe.file import read_recipe
from facial_attributes_training.recipe.schema import Recipe

from facial_attributes_ros.attributes import TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.counts import Counts, count
from facial_attributes_ros.models.spec import ModelSpec

Train = Callable[[Recipe], Path]
"""Trains a recipe, or resumes its run, and returns the model's folder."""

_LOGGER = logging.getLogger(__name__)
_INDIFFERENT = {"output", "checkpoint_minutes", "workers", "licence", "version"}
"""Fields of a recipe that the figures do not depend on."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run with its model.

    Attributes:
        recipe: as it was run.
        counts: parameters and operations.
        outcomes: its predictions for the held-out validation samples.
        epochs: number over all stages.
        steps: number over all stages.
        minutes: duration of the steps, 0 if that was not logged.
        metrics: figures per data set and task, as the model's description has them.
    """

    recipe: Recipe
    counts: Counts
    outcomes: Outcomes
    epochs: int
    steps: int
    minutes: float
    metrics: dict[str, Any]

    @property
    def single_task(self) -> bool:
        """Whether every trained parameter belongs to a single task."""
        return len(self.recipe.tasks) == 1 or self.recipe.one_after_another


@dataclass(frozen=True, slots=True)
class Rung:
    """A line of the tables: one run, or the single-task runs of one adaptation together.

    Attributes:
        label: the adaptation; where several lines have it, after the run's name or folder.
        runs: one, or one a task.
    """

    label: str
    runs: tuple[FinishedRun, ...]

    @property
    def title(self) -> str:
        """Title of the line."""
        return f"{self.label}, {'single' if self.single_task else 'multi'}-task"

    @property
    def adaptation(self) -> str:
        """Name of the adaptation."""
        return str(self.runs[0].recipe.adaptation["name"])

    @property
    def single_task(self) -> bool:
        """Whether every task has a model of its own."""
        return self.runs[0].single_task

    @property
    def counts(self) -> tuple[int, int, float]:
        """Parameters in operation, trained parameters, and 10^9 operations, for all tasks of a face together."""
        first = self.runs[0].recipe
        if self.adaptation == "lp":
            # Heads alone share one backbone.
            together = _count(first, [task for task in TASKS if any(task in run.recipe.tasks for run in self.runs)])
            return together.merged, together.trained, together.gflops_linear
        counts = [run.counts for run in self.runs]
        return sum(c.merged for c in counts), sum(c.trained for c in counts), sum(c.gflops_linear for c in counts)


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, and the reason."""

    name: str
    reason: str


def run_all(
    paths: Sequence[Path], train: Train, overrides: Sequence[str] = (), runs: Path | None = None, single: bool = False
) -> Iterator[FinishedRun | Failure]:
    """Yield the run of every recipe and of every run's folder, one after another; missing runs are trained.

    Args:
        paths: YAML recipes, and folders of runs.
        train: trains a recipe.
        overrides: changes to every recipe, such as `epochs=1`.
        runs: folder for the runs instead of the recipes' own.
        single: also train one model a task for every recipe, on as many samples of each task as the recipe's own run
            samples; not for MTLoRA, which needs several tasks.
    """
    for path in paths:
        try:
            recipe = recipe_of(path) if path.is_dir() else read_recipe(path, overrides)
        except UserError as error:
            yield Failure(str(path), str(error))
            continue
        if path.is_dir():
            recipe = recipe.model_copy(update={"output": path})
        elif runs is not None:
            recipe = recipe.model_copy(update={"output": runs / recipe.name})
        found = finished_run(recipe, train)
        yield found
        if (
            single
            and isinstance(found, FinishedRun)
            and not found.single_task
            and recipe.adaptation["name"] != "mtlora"
        ):
            for part in single_task_recipes(recipe):
                yield finished_run(part, train)


def finished_run(recipe: Recipe, train: Train) -> FinishedRun | Failure:
    """Return the run of a recipe, which is trained if it is not finished yet, or why it failed."""
    try:
        if all((recipe.folder / name).is_file() for name in ("model/model.json", PREDICTIONS_FILE)):
            _check_same(recipe, recipe_of(recipe.folder))
        else:
            train(recipe)
        return _read(recipe)
    except UserError as error:
        return Failure(recipe.name, str(error))
    except Exception as error:
        # Whatever the error, hours of the other runs must not be lost.
        _LOGGER.exception("The run %s failed.", recipe.name)
        return Failure(recipe.name, f"{type(error).__name__}: {error}")


def single_task_recipes(recipe: Recipe) -> Iterator[Recipe]:
    """Yield a recipe per task of a finished run, with epochs of as many samples of the task as the run sampled."""
    for task in recipe.tasks:
        sampler = recipe.sampler.model_copy(update={"epoch_rows": _drawn(recipe, task)})
        name, folder = f"{recipe.name}-{task}", recipe.folder.with_name(f"{recipe.folder.name}-{task}")
        yield recipe.model_copy(update={"name": name, "output": folder, "tasks": (task,), "sampler": sampler})


def rungs(runs: Sequence[FinishedRun]) -> list[Rung]:
    """Return the lines of the tables: single-task runs of one adaptation are one line."""
    groups: list[list[FinishedRun]] = []
    for run in runs:
        home = next((group for group in groups if _belongs(run, group)), None)
        if home is None:
            groups.append([run])
        else:
            home.append(run)
    labels = [_labels(group[0]) for group in groups]
    return [
        Rung(_first_alone(own, [other for other in labels if other is not own]), tuple(group))
        for own, group in zip(labels, groups, strict=True)
    ]


def _labels(run: FinishedRun) -> list[tuple[str, bool]]:
    """Return possible labels of a line, short to long, each with whether it is single-task."""
    adaptation = str(run.recipe.adaptation["name"])
    names = (adaptation, f"{run.recipe.name}: {adaptation}", f"{run.recipe.folder}: {adaptation}")
    return [(name, run.single_task) for name in names]


def _first_alone(own: Sequence[tuple[str, bool]], others: Sequence[Sequence[tuple[str, bool]]]) -> str:
    """Return the shortest label that no other line could have."""
    return next((label for label in own if not any(label in other for other in others)), own[-1])[0]


def _belongs(run: FinishedRun, group: Sequence[FinishedRun]) -> bool:
    first = group[0].recipe
    alike = first.adaptation == run.recipe.adaptation and first.backbone == run.recipe.backbone
    taken = {task for other in group for task in other.recipe.tasks}
    alone = all(len(other.recipe.tasks) == 1 for other in (run, *group))
    return alike and alone and taken.isdisjoint(run.recipe.tasks)


def _check_same(asked: Recipe, found: Recipe) -> None:
    """Refuse the figures of a run that another recipe made.

    Raises:
        UserError: the recipes differ in more than that.
    """
    one, other = (recipe.model_dump(mode="json", exclude=_INDIFFERENT) for recipe in (asked, found))
    different = sorted(key for key in one if one[key] != other[key])
    if different:
        raise UserError(
            f"{asked.folder} holds a run of another recipe (another {', '.join(different)}): choose another folder "
            "with --runs or --set output=FOLDER, or remove that one."
        )


def _read(recipe: Recipe) -> FinishedRun:
    columns = [read_steps(stage_folder(recipe, tasks)) for tasks in recipe.stages]
    spec = ModelSpec.read(recipe.folder / "model")
    return FinishedRun(
        recipe=recipe,
        counts=_count(recipe, spec.tasks),
        outcomes=read_outcomes(recipe.folder / PREDICTIONS_FILE),
        epochs=sum(int(max(steps["epoch"])) + 1 for steps in columns if steps),
        steps=sum(int(max(steps["step"])) for steps in columns if steps),
        minutes=sum(_seconds(steps) for steps in columns if steps) / 60,
        metrics=spec.metrics,
    )


def _seconds(steps: dict[str, list[float]]) -> float:
    """Return the time of all steps from a log of means."""
    counts = np.diff([0.0, *steps["step"]])
    return float(counts @ (np.array(steps["data_seconds"]) + np.array(steps["step_seconds"])))


def _count(recipe: Recipe, tasks: Sequence[str]) -> Counts:
    backbone = recipe.backbone
    adaptation = Adaptation.from_dict(recipe.adaptation)
    in_years = recipe.age_in_years
    return count(backbone.name, adaptation, tasks, backbone.image_size, in_years, **backbone.architecture)


def _drawn(recipe: Recipe, task: str) -> int:
    """Return how many samples with a label of a task the first epoch of a run sampled."""
    path = stage_folder(recipe, recipe.tasks) / DISTRIBUTION_FILE
    rows = [row for row in read_table(path, ("task", "drawn")) if row["task"] == task]
    return int(sum(numbers(path, row, ("drawn",))[0] for row in rows))


def recipe_of(folder: Path) -> Recipe:
    """Return the recipe of a run.

    Raises:
        UserError: the folder is not that of a run, or its recipe can't be read.
    """
    path = folder / RECIPE_FILE
    try:
        return Recipe.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} is not the folder of a run: it has no {RECIPE_FILE}.") from error
    except (OSError, ValueError) as error:  # among them pydantic's, and of bytes that are not UTF-8
        raise UserError(f"{path} can't be read as the recipe of a run: {error}.") from error
