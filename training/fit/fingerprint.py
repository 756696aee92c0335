"""What a run depends on, as one hash: a checkpoint is gone on from only where the hash is the same.

In it is whatever changes what is learned or measured: the recipe, the frozen weights, and of every row its labels, age,
box, source, sampling weight and place. Not in it is what changes neither: where the data, the cached features and the
run lie, the ports of servers, how much is saved, read ahead or computed twice, and how the model is named and stored.
Nor are the contents of pictures in it: mending a broken one is a reason to go on.
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


def fingerprint(recipe: Recipe, tasks: Sequence[str], rows: Mapping[str, Samples], chosen: NDArray[np.bool_]) -> str:
    """Return the hash of a stage but for the frozen weights, see `with_frozen`.

    Args:
        recipe: the run.
        tasks: of the stage.
        rows: by what they are for.
        chosen: bool (validation rows,): those that choose the epoch.
    """
    digest = hashlib.sha256(json.dumps([_fields(recipe, rows["training"]), tasks]).encode())
    for name, samples in rows.items():
        digest.update(f"{name} {len(samples.manifest)}".encode())
        for column in _columns(recipe, samples):
            digest.update(_bytes(column))
    digest.update(chosen.tobytes())
    return digest.hexdigest()


def with_frozen(stage: str, model: nn.Module) -> str:
    """Return a stage's hash with the tensors that training leaves; those that it changes are in the checkpoint."""
    digest, trained = hashlib.sha256(stage.encode()), trained_tensors(model)
    for name, value in sorted(model.state_dict().items()):
        if name not in trained:
            digest.update(name.encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _fields(recipe: Recipe, training: Samples) -> dict[str, Any]:
    left_out: dict[str, Any] = dict.fromkeys(_INDIFFERENT, True)
    # The rows themselves are hashed, and the frozen weights.
    data = {"train", "validation", "test", "rows", "expressions"}
    left_out |= {"data": data, "backbone": {"weights"}, "cache": {"folder"}}
    if not training.streamed:
        # The readers of a stream share its shards, so the order of its rows hangs on their number.
        left_out |= {"workers": True, "sampler": {"stream_share"}}
    return recipe.model_dump(mode="json", exclude=left_out) | {"streamed": training.streamed}


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
    """Return a column's content; texts without the width that numpy keeps them in."""
    if column.dtype.kind == "U":
        return "\0".join(column.tolist()).encode(errors="surrogateescape")
    return np.ascontiguousarray(column).tobytes()
