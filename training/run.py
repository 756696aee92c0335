"""A whole training run: data, model, stages, calibration, and the model folder at the end."""

import hashlib
import json
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from facial_attributes_training.calibration import fit_temperatures
from facial_attributes_training.crops import CropReader, normalised
from facial_attributes_training.datasets import CachedFeatures, Crops, Sample, collate
from facial_attributes_training.evaluation import calibration_half
from facial_attributes_training.features import FeatureOptions, cached_features
from facial_attributes_training.features import Progress as FeatureProgress
from facial_attributes_training.loop import Objective, Stage, StepReport, Trainer
from facial_attributes_training.losses import CombinedLoss
from facial_attributes_training.manifest import Manifest, read_manifest
from facial_attributes_training.recipe import DataSetRecipe, Recipe
from facial_attributes_training.results import age_centroids, figures, gender_threshold
from facial_attributes_training.sampling import (
    class_counts,
    distribution_table,
    draw_rows,
    row_probabilities,
    spread_subset,
)
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from facial_attributes_ros.attributes import AGE, GENDER, LABELS, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.models.adaptation import Adaptation, build_model, trained_tensors
from facial_attributes_ros.models.backbones import Backbone, build_backbone
from facial_attributes_ros.models.checkpoint import save_model
from facial_attributes_ros.models.loraplus import parameter_groups
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.spec import BackboneReference, ModelSpec

_LOGGER = logging.getLogger(__name__)
_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}

ReportFactory = Callable[[tuple[str, ...], Path], StepReport]
"""Makes the report of a stage from its tasks and its folder."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a run and their inputs.

    Attributes:
        manifest: the rows.
        weights: float64 (rows,): of the data sets.
        inputs: what the loop reads.
    """

    manifest: Manifest
    weights: NDArray[np.float64]
    inputs: Dataset[Sample]


def train(
    recipe: Recipe,
    resume: bool = False,
    make_report: ReportFactory = lambda _tasks, _folder: StepReport(),
    feature_progress: FeatureProgress | None = None,
) -> Path:
    """Train as a recipe says and return the folder of the finished model.

    Args:
        recipe: the run.
        resume: go on from the last checkpoint, if there is one.
        make_report: makes what is told of each stage.
        feature_progress: told how far the features are.

    Raises:
        UserError: the data, the recipe, the disk or the loss are in the way; the message says what to do.
    """
    accelerator = Accelerator(mixed_precision=_PRECISIONS[recipe.precision])
    _start_folder(recipe, resume, accelerator)
    _seed(recipe.seed)
    model = build_network(recipe)
    adaptation = Adaptation.from_dict(recipe.adaptation)
    depth = frozen_depth(model)
    train_rows = _rows(recipe, recipe.data.train, model.backbone, depth, True, feature_progress)
    validation_rows = _rows(recipe, recipe.data.validation, model.backbone, depth, False, feature_progress)
    forward = _forward(model, recipe, depth)
    half = calibration_half(len(validation_rows.manifest))
    for tasks in recipe.stages:
        stage = _stage(recipe, tasks, train_rows, validation_rows, half)
        _write_distribution(stage, recipe.seed)
        model.to(accelerator.device)
        _train_only(model, tasks, recipe)
        counts = {task: torch.from_numpy(n) for task, n in class_counts(stage.train_manifest.labels).items()}
        objective = Objective(
            lambda inputs, tasks=tasks: forward(inputs, tasks), model, CombinedLoss(tasks, recipe.losses, counts)
        )
        groups = parameter_groups(
            model, adaptation, recipe.optimiser.lr, recipe.optimiser.weight_decay, recipe.optimiser.backbone_rate
        )
        report = make_report(tasks, stage.folder)
        Trainer(recipe, stage, objective, groups, accelerator, report).fit(resume)
    _train_only(model, recipe.tasks, recipe)
    folder = recipe.folder / "model"
    if accelerator.is_main_process:
        _finish(folder, recipe, model, forward, train_rows, validation_rows, half, accelerator.device)
    accelerator.wait_for_everyone()
    return folder


def build_network(recipe: Recipe) -> MultiTaskModel:
    """Build the recipe's backbone with its starting weights, fresh heads, and its adaptation."""
    wanted = recipe.backbone
    backbone = build_backbone(wanted.name, wanted.weights, wanted.image_size, **wanted.architecture)
    model = build_model(backbone, Adaptation.from_dict(recipe.adaptation), recipe.tasks)
    for head in model.heads.values():
        head.dropout.p = recipe.head_dropout  # type: ignore[union-attr, assignment]
    backbone.gradient_checkpointing = recipe.gradient_checkpointing
    return model


def frozen_depth(model: MultiTaskModel) -> int | None:
    """Return how many leading blocks nothing is trained in; None if that goes for the whole backbone."""
    backbone = model.backbone
    if model.streams is None and not any(parameter.requires_grad for parameter in backbone.parameters()):
        return None
    inside = {id(parameter) for block in backbone.blocks for parameter in block.parameters()}
    behind = {id(p) for part in (*backbone.final_norm, backbone.pool) if part is not None for p in part.parameters()}
    if any(p.requires_grad and id(p) not in inside | behind for p in backbone.parameters()):
        return 0
    last = len(backbone.blocks) - (model.streams is not None)
    trained = [any(parameter.requires_grad for parameter in block.parameters()) for block in backbone.blocks]
    return min([index for index, touched in enumerate(trained) if touched] + [last])


def _start_folder(recipe: Recipe, resume: bool, accelerator: Accelerator) -> None:
    path = recipe.folder / "recipe.json"
    if path.exists() and not resume:
        raise UserError(
            f"{recipe.folder} holds a run already: give --resume to go on with it, or --set output=FOLDER for another."
        )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        with disk_errors(path), atomic_target(path) as temporary:
            temporary.write_text(recipe.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for what libraries draw from the global generator
    torch.manual_seed(seed)


def _rows(
    recipe: Recipe,
    sets: Sequence[DataSetRecipe],
    backbone: Backbone,
    depth: int | None,
    training: bool,
    progress: FeatureProgress | None,
) -> Rows:
    parts = [_data_set(wanted) for wanted in sets]
    manifest = Manifest.concatenate(parts)
    weights = np.concatenate([np.full(len(part), s.weight) for part, s in zip(parts, sets, strict=True)])
    chosen = spread_subset(len(manifest), recipe.data.rows)
    manifest, weights = manifest.take(chosen), weights[chosen]
    margin, augmentation = recipe.data.crop_margin, recipe.augmentation if training else None
    if recipe.cache is None:
        reader = CropReader(manifest, backbone.preprocess.image_size, margin)
        reader.pictures.index(manifest.paths)
        return Rows(manifest, weights, Crops(reader, augmentation, recipe.seed))
    if depth == 0:
        raise UserError("nothing before the first block is frozen here, so there is nothing to cache: set cache=null.")
    variants = [
        cached_features(
            backbone,
            manifest,
            FeatureOptions(depth, margin, variant, recipe.seed, augmentation),
            recipe.cache.folder,
            progress,
        )
        for variant in range(recipe.cache.variants if training else 1)
    ]
    if broken := variants[0].broken():
        _LOGGER.warning("%d of %d pictures can't be read and are passed over.", len(broken), len(manifest))
    return Rows(manifest, weights, CachedFeatures(variants))


def _data_set(wanted: DataSetRecipe) -> Manifest:
    manifest = read_manifest(wanted.manifest)
    if wanted.splits:
        manifest = manifest.split(*wanted.splits)
    if wanted.sources:
        manifest = manifest.take(np.isin(manifest.sources, wanted.sources))
    if not len(manifest):
        raise UserError(f"{wanted.manifest} has no rows of the sources {', '.join(wanted.sources)}.")
    return manifest


def _forward(
    model: MultiTaskModel, recipe: Recipe, depth: int | None
) -> Callable[[Tensor, Sequence[str]], dict[str, Tensor]]:
    """Return the way from a batch's inputs (crops, tokens or features) to the tasks' logits."""
    preprocess = model.backbone.preprocess

    def from_crops(inputs: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return model(normalised(inputs, preprocess.mean, preprocess.std), tasks)  # type: ignore[no-any-return]

    def from_tokens(inputs: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return model.forward_features(model.suffix(inputs.float(), depth or 0, tasks), tasks)

    def from_features(inputs: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return model.forward_features(inputs.float(), tasks)

    if recipe.cache is None:
        return from_crops
    return from_features if depth is None else from_tokens


def _stage(recipe: Recipe, tasks: tuple[str, ...], train: Rows, validation: Rows, half: NDArray[np.bool_]) -> Stage:
    labels = {task: train.manifest.labels[task] for task in tasks}
    known = [bool((labels[task] != MISSING).any()) for task in tasks]
    if not all(known):
        raise UserError(f"no training row has a label of {tasks[known.index(False)]}; leave it out of tasks.")
    chosen = half & np.any([validation.manifest.labels[task] != MISSING for task in tasks], axis=0)
    if not chosen.any():
        raise UserError(f"no validation row has a label of {', '.join(tasks)}, so no epoch can be chosen.")
    sampler = recipe.sampler
    share = sampler.emotion_share if len(tasks) > 1 else None
    manifest = Manifest(**{**_columns(train.manifest), "labels": labels})
    chances = row_probabilities(labels, sampler.balance, share, train.weights)
    text = json.dumps([recipe.model_dump(mode="json", exclude={"output", "workers", "checkpoint_minutes"}), tasks])
    digest = hashlib.sha256(text.encode())
    for column in (train.manifest.paths, validation.manifest.paths, *labels.values()):
        digest.update(np.ascontiguousarray(column).tobytes())
    return Stage(
        tasks=tasks,
        train=train.inputs,
        validation=_Subset(validation.inputs, np.flatnonzero(chosen)),
        train_manifest=manifest,
        validation_manifest=validation.manifest.take(chosen),
        chances=chances,
        epoch_rows=sampler.epoch_rows or int((chances > 0).sum()),
        folder=recipe.folder / "-".join(tasks) if recipe.one_after_another else recipe.folder / "stage",
        purpose=digest.hexdigest(),
    )


def _columns(manifest: Manifest) -> dict[str, object]:
    return {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}


class _Subset(Dataset[Sample]):
    """Some rows of a dataset under new numbers."""

    def __init__(self, data: Dataset[Sample], rows: NDArray[np.int64]) -> None:
        self.data, self.rows = data, rows

    def __getitem__(self, draw: tuple[int, int, int]) -> Sample:
        row, epoch, place = draw
        found = self.data[(int(self.rows[row]), epoch, place)]
        return Sample(row, found.value, found.error)


def _train_only(model: MultiTaskModel, tasks: Sequence[str], recipe: Recipe) -> None:
    if recipe.one_after_another:
        for task, head in model.heads.items():
            head.requires_grad_(task in tasks)


def _write_distribution(stage: Stage, seed: int) -> None:
    labels = stage.train_manifest.labels
    table = distribution_table(labels, draw_rows(stage.chances, stage.epoch_rows, seed, 0))
    path = stage.folder / "distribution.csv"
    with disk_errors(path), atomic_target(path) as temporary:
        lines = [",".join(table[0])] + [",".join(f"{value}" for value in row.values()) for row in table]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


@torch.inference_mode()
def _logits(
    model: MultiTaskModel,
    forward: Callable[[Tensor, Sequence[str]], dict[str, Tensor]],
    rows: Rows,
    device: torch.device,
) -> tuple[dict[str, NDArray[np.float32]], Manifest]:
    """Return float32 (rows, classes) per task of the readable rows, and these rows."""
    model.eval()
    parts, kept = [], []
    for start in range(0, len(rows.manifest), 256):
        numbers = range(start, min(start + 256, len(rows.manifest)))
        batch = collate([rows.inputs[(row, 0, 0)] for row in numbers])
        logits = forward(batch.inputs.to(device), model.tasks)
        parts.append({task: values.float().cpu().numpy()[batch.usable] for task, values in logits.items()})
        kept += batch.rows[batch.usable].tolist()
    return {task: np.concatenate([part[task] for part in parts]) for task in model.tasks}, rows.manifest.take(kept)


def _finish(
    folder: Path,
    recipe: Recipe,
    model: MultiTaskModel,
    forward: Callable[[Tensor, Sequence[str]], dict[str, Tensor]],
    train: Rows,
    validation: Rows,
    half: NDArray[np.bool_],
    device: torch.device,
) -> None:
    logits, manifest = _logits(model, forward, validation, device)
    if len(manifest) != len(half):
        half = calibration_half(len(manifest))
    fitting = {task: np.where(half, manifest.labels[task], MISSING) for task in model.tasks}
    temperatures = fit_temperatures(logits, fitting)
    thresholds = dict.fromkeys(model.tasks, 0.0)
    if GENDER in model.tasks:
        thresholds[GENDER] = gender_threshold(logits[GENDER] / temperatures[GENDER], fitting[GENDER])
    preprocess = model.backbone.preprocess
    spec = ModelSpec(
        name=recipe.name,
        backbone=BackboneReference(recipe.backbone.name, recipe.backbone.weights),
        image_size=preprocess.image_size,
        mean=preprocess.mean,
        std=preprocess.std,
        interpolation=preprocess.interpolation,
        tasks=model.tasks,
        adaptation=Adaptation.from_dict(recipe.adaptation).to_dict(),
        crop_margin=recipe.data.crop_margin,
        age_centroids=age_centroids(train.manifest) if AGE in model.tasks else ModelSpec.age_centroids,
        temperatures=temperatures,
        thresholds=thresholds,
        licence=recipe.licence,
    )
    measured = figures(logits, manifest, spec, ~half)
    spec = ModelSpec(**{name: getattr(spec, name) for name in spec.__dataclass_fields__} | {"metrics": measured})
    save_model(folder, spec, trained_tensors(model))
