"""The fingerprint of a run, one hash: a checkpoint is resumed only if its fingerprint is the same.

It contains whatever changes what is learned or measured: the recipe, the frozen weights, and of every sample its
labels, age, box, source, sampling weight and place. It does not contain what changes neither: the folders of the data,
the cached features and the run, the ports of servers, how often checkpoints are saved, what is read ahead or computed
twice, and how the model is named and stored. Nor does it contain the images: a repaired image is a reason to resume.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from facial_attributes_training.fit.run_data import Samples
from facial_attributes_training.recipe.schema import Recipe
from numpy.typing import NDArray
from torch import nn

from facial_attributes_ros.attributes import AGE
from facial_attributes_ros.models.adaptations.ladder import trained_tensors
from facial_attributes_ros.models.spec import LANDMARKS

_INDIFFERENT = ("output", "name", "licence", "version", "checkpoint_minutes", "gradient_checkpointing", "stored_rank")

_LATER: Mapping[str, Mapping[str, Any]] = {
    "data": {"crop": "box", "folds": None},
    "sampler": {"most_draws": None},
    "losses": {"expression": 1.0},
    "augmentation": {"margins": None, "mirrored_border": 0.0},
}
"""Fields that sections got later, and the values at which they have no effect: runs from before can be resumed."""


def fingerprint(recipe: Recipe, tasks: Sequence[str], rows: Mapping[str, Samples], chosen: NDArray[np.bool_]) -> str:
    """Return the hash of a stage without the frozen weights, see `with_frozen`.

    Args:
        recipe: the run.
        tasks: of the stage.
        rows: samples by use.
        chosen: bool (validation samples,): those that choose the epoch.
    """
    digest = hashlib.sha256(json.dumps([_fields(recipe, rows["training"]), tasks]).encode())
    for name, samples in rows.items():
        digest.update(f"{name} {len(samples.manifest)}".encode())
        for column in _columns(recipe, samples):
            digest.update(_bytes(column))
    digest.update(chosen.tobytes())
    return digest.hexdigest()


def with_frozen(stage: str, model: nn.Module) -> str:
    """Return a stage's hash with the frozen tensors; the trained ones are in the checkpoint."""
    digest, trained = hashlib.sha256(stage.encode()), trained_tensors(model)
    for name, value in sorted(model.state_dict().items()):
        if name not in trained:
            digest.update(name.encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _fields(recipe: Recipe, training: Samples) -> dict[str, Any]:
    excluded: dict[str, Any] = dict.fromkeys(_INDIFFERENT, True)
    # The samples themselves are hashed, and the frozen weights.
    data = {"train", "validation", "test", "reference", "rows", "expressions"}
    excluded |= {"data": data, "backbone": {"weights"}, "cache": {"folder"}}
    if recipe.backbone.parent is None:
        excluded["keep"] = True
    if not training.streamed:
        # The readers of a stream divide its shards, so the order of its samples depends on their number.
        excluded |= {"workers": True, "sampler": {"stream_share"}}
    values = recipe.model_dump(mode="json", exclude=excluded) | {"streamed": training.streamed}
    return {name: _without_later(name, value) for name, value in values.items()}


def _without_later(name: str, value: Any) -> Any:
    """Return a field as it was before a section had some of its fields, where these have no effect."""
    if not isinstance(value, dict):
        return value
    later = _LATER.get(name, {})
    kept = {key: entry for key, entry in value.items() if key not in later or entry != later[key]}
    return kept | {"name": "reference"} if kept.get("name") == "sessa" else kept


def _columns(recipe: Recipe, samples: Samples) -> Iterable[NDArray[Any]]:
    manifest = samples.manifest
    yield from (samples.names, manifest.sources, manifest.boxes, samples.weights)
    if recipe.data.crop == LANDMARKS:
        yield manifest.landmarks
    if samples.expressions is not None:
        yield samples.expressions
    yield from (manifest.labels[task] for task in recipe.tasks)
    if AGE in recipe.tasks:
        yield manifest.age_years
    within = recipe.sampler.within or ()
    yield from (manifest.extra[name] for name in np.atleast_1d(within).tolist() if name in manifest.extra)


def _bytes(column: NDArray[Any]) -> bytes:
    """Return a column's content; texts without numpy's padding."""
    if column.dtype.kind == "U":
        return "\0".join(column.tolist()).encode(errors="surrogateescape")
    return np.ascontiguousarray(column).tobytes()
