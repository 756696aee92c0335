"""What a run that passed all checks will need: images, sizes, and the time on this machine."""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from facial_attributes_training.data.archive import file_of, is_remote
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.fit.network import frozen_depth
from facial_attributes_training.fit.plan import Stage
from facial_attributes_training.fit.stages import Run
from torch import Tensor

from facial_attributes_ros.attributes import LABELS, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import trained_tensors

_IMAGES: Final = 4
"""Images whose features are timed."""
_CROP_SECONDS: Final = 0.002
"""To read, cut and augment a face."""
_OPTIMISER: Final = 1.5
"""Time of a step with its optimiser, in those of the forward and backward passes."""
_GRAPH_SECONDS: Final = 60.0
"""To write the network's graph and to measure int8."""


def needs(run: Run) -> Iterator[str]:
    """Yield sentences on what a run learns from, what it stores, and how long it takes on this machine.

    Args:
        run: of `run.checked_run`; it is not changed.

    Raises:
        UserError: none of the images of a split exists.
    """
    for name, samples in run.plan.rows.items():
        if not (name == "validation" and run.plan.folds):
            yield f"{name}: {_described(samples.manifest, run.recipe.tasks)}.{_missing(samples.manifest)}"
    trained = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in run.model.parameters())
    size = sum(tensor.nbytes for tensor in trained_tensors(run.model).values())
    yield f"trained: {trained:,} of {total:,} parameters, {size / 1e6:.0f} MB in a checkpoint."
    yield f"licence of the model: {run.known.provenance.licence.sentence.rstrip('.')}."
    yield f"time: about {max(round(_seconds(run) / 60), 1)} minutes on this machine, as busy as it is now."


def _described(manifest: Manifest, tasks: tuple[str, ...]) -> str:
    parts = []
    for task in tasks:
        known = manifest.labels[task][manifest.labels[task] != MISSING]
        counts = np.bincount(known, minlength=len(LABELS[task]))
        named = ", ".join(f"{label} {count}" for label, count in zip(LABELS[task], counts, strict=True) if count)
        parts.append(f"{task} {len(known)} ({named})" if len(known) else f"{task} 0")
    return f"{len(manifest)} samples; {'; '.join(parts)}"


def _missing(manifest: Manifest) -> str:
    """Return a sentence on the images that do not exist, empty if all do.

    Raises:
        UserError: none exists.
    """
    files = [file_of(path) for path in manifest.paths.tolist() if not is_remote(path)]
    there = {path: Path(path).is_file() for path in set(files)}
    absent = [path for path in files if not there[path]]
    if files and len(absent) == len(manifest):
        raise UserError(f"none of the {len(manifest)} images exists, such as {absent[0]}: get the data.")
    return f" {len(absent)} of its images do not exist, such as {absent[0]}." if absent else ""


def _seconds(run: Run) -> float:
    recipe, depth = run.recipe, frozen_depth(run.model)
    model = copy.deepcopy(run.model)
    side = model.backbone.preprocess.image_size
    device = next(model.parameters()).device
    images = torch.randn(_IMAGES, 3, side, side, device=device)
    with torch.no_grad():
        cached = model.backbone(images) if depth is None else model.backbone.prefix(images, depth)
        per_image = _timed(lambda: model.backbone.prefix(images, depth or len(model.backbone.blocks))) / _IMAGES
    inputs = images if recipe.cache is None else cached
    size = recipe.batch_size // recipe.accumulate
    batch = inputs.repeat(-(-size // _IMAGES), *([1] * (inputs.ndim - 1)))[:size]

    def outputs() -> dict[str, Tensor]:
        if recipe.cache is None:
            return model(batch, recipe.tasks)  # type: ignore[no-any-return]
        features = batch if depth is None else model.suffix(batch, depth, recipe.tasks)
        return model.forward_features(features, recipe.tasks)

    model.train()

    def one_step() -> None:
        loss = torch.stack([each.square().mean() for each in outputs().values()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]

    step = _timed(one_step)
    step *= recipe.accumulate * (_OPTIMISER + (1.0 if run.parent is not None else 0.0))
    stages: tuple[Stage, ...] = (*run.plan.folds, *run.plan.stages)
    steps = recipe.epochs * sum(max(stage.epoch_rows // recipe.batch_size, 1) for stage in stages)
    per_crop = 0.0 if recipe.cache else _CROP_SECONDS * recipe.batch_size / max(recipe.workers, 1)
    return steps * (step + per_crop) + _feature_seconds(run, per_image) + _GRAPH_SECONDS


def _feature_seconds(run: Run, per_image: float) -> float:
    """Return the time to compute the cached features, or to predict the samples that are measured."""
    rows = {name: len(samples.manifest) for name, samples in run.plan.rows.items()}
    variants = run.recipe.cache.variants if run.recipe.cache else 0
    measured = sum(count for name, count in rows.items() if name != "training")
    return (rows["training"] * variants + measured) * (per_image + _CROP_SECONDS)


def _timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes, the second time."""
    action()
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun
