"""The plan of a run: its stages, checked as a whole before anything is computed or written."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from facial_attributes_training.data.datasets import EpochBatches
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.sampling import (
    capped,
    draw_independently,
    draw_rows,
    row_probabilities,
    sessa_sampling,
)
from facial_attributes_training.data.streaming import acceptance
from facial_attributes_training.data.subsets import fold_numbers, selection_half
from facial_attributes_training.fit.fingerprint import fingerprint, with_frozen
from facial_attributes_training.fit.regression import training_ages
from facial_attributes_training.fit.run_data import Samples
from facial_attributes_training.fit.run_folder import fold_folder, stage_folder
from facial_attributes_training.recipe.schema import Recipe
from numpy.typing import NDArray
from torch import nn

from facial_attributes_ros.attributes import EMOTION, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.expression import EXPRESSION
from facial_attributes_ros.models.regression import AgeRegression

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """The data and tasks of one stage.

    Attributes:
        tasks: to learn.
        train_manifest: the training samples, with the labels of the tasks alone.
        validation_manifest: the validation samples that choose the epoch.
        chosen: bool (all validation samples,): which these are.
        sampling_weights: float64 (samples,) with sum 1: of the training samples.
        accepted: float64 (samples,): probability that a sample of a stream is accepted; None without a stream.
        epoch_rows: samples of an epoch.
        folder: for checkpoints and logs.
        fingerprint: of what a resumed run must have in common with the stopped one.
        train_expressions, validation_expressions: float32 (samples, expressions): targets of these samples, as in
            `expressions`; None if they are not learned.
        independent_draws: samples are drawn independently of one another, as Sessa's code does, not class by class.
        keeps_last: whether the weights of the last epoch count, not those of the epoch with the lowest loss.
    """

    tasks: tuple[str, ...]
    train_manifest: Manifest
    validation_manifest: Manifest
    chosen: NDArray[np.bool_]
    sampling_weights: NDArray[np.float64]
    accepted: NDArray[np.float64] | None
    epoch_rows: int
    folder: Path
    fingerprint: str
    train_expressions: NDArray[np.float32] | None = None
    validation_expressions: NDArray[np.float32] | None = None
    independent_draws: bool = False
    keeps_last: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is learned: the tasks, and the visible expressions if there are targets."""
        return self.tasks if self.train_expressions is None else (*self.tasks, EXPRESSION)

    def draw(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return int64 (epoch_rows,): the samples of an epoch in their order."""
        if self.independent_draws:
            return draw_independently(self.sampling_weights, self.epoch_rows, seed, epoch)
        return draw_rows(self.sampling_weights, self.epoch_rows, seed, epoch, self.train_manifest.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A run before its images are read.

    Attributes:
        rows: training, validation and perhaps test samples, by these names.
        half: bool (validation samples,): those that choose the epoch and fit the calibration.
        stages: in their order.
        ages: the scale of an age learned in years.
        folds: the stages of a cross-validation, each on all parts but the one that it is validated on; none without.
    """

    rows: Mapping[str, Samples]
    half: NDArray[np.bool_]
    stages: tuple[Stage, ...]
    ages: AgeRegression | None
    folds: tuple[Stage, ...] = ()

    def for_model(self, model: nn.Module) -> Self:
        """Return the plan with the model's frozen weights in the fingerprints."""

        def frozen(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
            return tuple(replace(stage, fingerprint=with_frozen(stage.fingerprint, model)) for stage in stages)

        return replace(self, stages=frozen(self.stages), folds=frozen(self.folds))


def make_plan(recipe: Recipe, rows: Mapping[str, Samples], processes: int, ages: AgeRegression | None = None) -> Plan:
    """Plan the stages of a run; quickly, without the model.

    Args:
        recipe: the run.
        rows: training, validation and perhaps test samples, by these names.
        processes: number of processes that compute every step.
        ages: the scale on which the model that the run continues learned ages in years.

    Raises:
        UserError: a manifest lacks labels or a column, or its samples can't be divided among the processes.
    """
    data = recipe.data
    validation = rows["validation"].manifest
    half = selection_half(validation, bool(data.test or data.folds))
    if not (data.test or data.folds) and half.all():
        _LOGGER.warning(
            "Every data set of the validation samples has a single image, or images of a single person, so none can be "
            "held out for the metrics: all of them choose the epoch and fit the calibration. Set data.test for metrics."
        )
    stages = tuple(_stage(recipe, tasks, rows, half) for tasks in recipe.stages)
    folds = tuple(_folds(recipe, stages[0], validation, data.folds)) if data.folds else ()
    for stage in (*stages, *folds):
        _check_division(recipe, stage, processes)
    if ages is None and recipe.age_in_years:
        ages = training_ages(rows["training"].manifest)
    return Plan(rows, half, stages, ages, folds)


def _folds(recipe: Recipe, stage: Stage, samples: Manifest, count: int) -> Iterator[Stage]:
    """Yield the stage on all parts of the samples but one each, which validates it."""
    numbers = fold_numbers(samples, count)
    for number in range(count):
        held = numbers == number
        weights = np.where(held, 0.0, stage.sampling_weights)
        if not weights.sum() or not (held & stage.chosen).any():
            raise UserError(f"there are too few labelled samples for {count} folds: label more, or set data.folds=2.")
        chosen = held & stage.chosen
        within = chosen[stage.chosen]
        expressions = stage.validation_expressions
        yield replace(
            stage,
            validation_manifest=samples.take(chosen),
            validation_expressions=None if expressions is None else expressions[within],
            chosen=chosen,
            sampling_weights=weights / weights.sum(),
            epoch_rows=max(round(stage.epoch_rows * float((~held).mean())), 1),
            folder=fold_folder(recipe, number),
            fingerprint=hashlib.sha256(f"{stage.fingerprint} {number}".encode()).hexdigest(),
        )


def _stage(recipe: Recipe, tasks: tuple[str, ...], rows: Mapping[str, Samples], half: NDArray[np.bool_]) -> Stage:
    training, validation, targets = rows["training"], rows["validation"].manifest, rows["validation"].expressions
    labels = {task: training.manifest.labels[task] for task in tasks}
    chosen = half & np.any([validation.labels[task] != MISSING for task in tasks], axis=0)
    sampler = recipe.sampler
    manifest = replace(training.manifest, labels=labels)
    weights, epoch_rows = _sampling(recipe, manifest, training.weights)
    accepted = None
    if training.streamed:
        accepted = acceptance(weights, sampler.stream_share)
        epoch_rows, weights = max(int(accepted.sum()), 1), accepted / accepted.sum()
    return Stage(
        tasks=tasks,
        train_manifest=manifest,
        validation_manifest=validation.take(chosen),
        chosen=chosen,
        sampling_weights=weights,
        accepted=accepted,
        epoch_rows=sampler.epoch_rows or epoch_rows,
        folder=stage_folder(recipe, tasks),
        fingerprint=fingerprint(recipe, tasks, rows, chosen),
        train_expressions=training.expressions,
        validation_expressions=None if targets is None else targets[chosen],
        independent_draws=sampler.name == "sessa",
        keeps_last=recipe.data.folds is not None,
    )


def _sampling(recipe: Recipe, manifest: Manifest, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return the sampling weight of every sample of a stage, (samples,) with sum 1, and the samples of an epoch."""
    sampler, labels = recipe.sampler, manifest.labels
    several = len(labels) > 1
    if sampler.name == "sessa":
        drawn, epoch_rows = sessa_sampling(labels, recipe.seed)
        if not several:  # a single task is learned from its own samples alone
            labelled = next(iter(labels.values())) != MISSING
            drawn, epoch_rows = np.where(labelled, drawn, 0), int(labelled.sum())
        drawn = drawn * weights
        return drawn / drawn.sum(), epoch_rows
    # A mapping by task names, which a type checker does not accept as one by str.
    balance = sampler.balance if isinstance(sampler.balance, float) else {str(k): v for k, v in sampler.balance.items()}
    drawn = row_probabilities(
        labels,
        balance,
        sampler.emotion_rows if several else None,
        weights,
        _groups(manifest, sampler.within),
        sampler.emotion_share if several else None,
    )
    epoch_rows = sampler.epoch_rows or int((drawn > 0).sum())
    if sampler.most_draws is not None:
        drawn = capped(drawn, sampler.most_draws / epoch_rows, labels.get(EMOTION))
    return drawn, epoch_rows


def _groups(manifest: Manifest, names: str | tuple[str, ...] | None) -> NDArray[np.str_] | None:
    """Return str (samples,): the values of the columns, joined; None without columns."""
    if names is None:
        return None
    columns = {"source": manifest.sources, **manifest.extra}
    chosen = (names,) if isinstance(names, str) else names
    if missing := [name for name in chosen if name not in columns]:
        raise UserError(
            f"the training manifests have no column {missing[0]!r} for sampler.within; they have {', '.join(columns)}."
        )
    joined = columns[chosen[0]]
    for name in chosen[1:]:
        joined = np.char.add(np.char.add(joined, "/"), columns[name])
    return joined


def _check_division(recipe: Recipe, stage: Stage, processes: int) -> None:
    """Check that every process gets samples of every part of every step, as many as batch normalisation needs.

    Raises:
        UserError: it does not.
    """
    size, parts = recipe.batch_size, recipe.accumulate
    if size % (parts * processes):
        raise UserError(
            f"batch_size {size} can't be divided among {processes} processes in {parts} parts each: use a multiple of "
            "their product."
        )
    # A stream fills every batch.
    rows = size if stage.accepted is not None else stage.epoch_rows
    smallest = EpochBatches(np.zeros(rows, np.int64), 0, size, parts, processes=processes).smallest
    if not smallest:
        raise UserError(
            f"an epoch of {rows} sample(s) can't be divided among {processes} processes: raise sampler.epoch_rows, or "
            "start fewer processes."
        )
    if smallest < 2 and Adaptation.from_dict(recipe.adaptation).batch_norm:
        raise UserError(
            "a process would compute a single sample at a time, which batch normalisation can't learn from: raise "
            "batch_size or sampler.epoch_rows, lower accumulate, start fewer processes, or set "
            "adaptation.batch_norm=false."
        )
