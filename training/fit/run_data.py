"""The samples of a run: read from manifests, with their inputs for the training loop."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from facial_attributes_training.data.archive import file_of, is_remote, split_member
from facial_attributes_training.data.crops import CropReader
from facial_attributes_training.data.datasets import CachedFeatures, Crops, Draw, Sample
from facial_attributes_training.data.expressions import expression_targets
from facial_attributes_training.data.features import FeatureOptions, Progress, cached_features
from facial_attributes_training.data.manifest import Manifest, read_manifest
from facial_attributes_training.data.sampling import spread_subset
from facial_attributes_training.data.stream_inputs import StreamedCrops
from facial_attributes_training.fit.regression import without_age_groups
from facial_attributes_training.recipe.data import DataSetRecipe
from facial_attributes_training.recipe.schema import Recipe
from numpy.typing import NDArray
from torch.utils.data import Dataset

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.spec import LANDMARKS

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples of a run, from its manifests.

    Attributes:
        manifest: the samples.
        weights: float64 (samples,): of the data sets.
        names: str (samples,): the images' paths relative to the common folder or address of their data set.
        sets: the samples of every data set.
        expressions: float32 (samples, expressions): targets as in `expressions`; None if they are not learned.
    """

    manifest: Manifest
    weights: NDArray[np.float64]
    names: NDArray[np.str_]
    sets: tuple[Manifest, ...]
    expressions: NDArray[np.float32] | None = None

    @property
    def streamed(self) -> bool:
        """Whether images are on another machine."""
        return any(map(is_remote, self.manifest.paths.tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """Samples of a run with their inputs.

    Attributes:
        manifest: the samples.
        weights: float64 (samples,): of the data sets.
        inputs: for the training loop; `StreamedCrops` for a stream.
    """

    manifest: Manifest
    weights: NDArray[np.float64]
    inputs: Dataset[Sample]


class Subset(Dataset[Sample]):
    """Some samples of a dataset with new indices."""

    def __init__(self, data: Dataset[Sample], rows: NDArray[np.int64]) -> None:
        self.data, self.rows = data, rows

    def __getitem__(self, draw: Draw) -> Sample:
        row, epoch, place = draw
        found = self.data[(int(self.rows[row]), epoch, place)]
        return Sample(row, found.value, found.error, found.mirrored)


def read_samples(recipe: Recipe, sets: Sequence[DataSetRecipe]) -> Samples:
    """Read a recipe's training, validation or test samples, without their images.

    Raises:
        UserError: a manifest can't be read or has no such samples.
    """
    parts = _taken(recipe, sets)
    placed = tuple(_placed(part, wanted) for part, wanted in zip(parts, sets, strict=True))
    weights = np.concatenate([np.full(len(part), s.weight) for part, s in zip(parts, sets, strict=True)])
    names = np.concatenate([_names(part.paths.tolist()) for part in parts])
    manifest, teacher = Manifest.concatenate(placed), recipe.data.expressions
    if recipe.data.crop == LANDMARKS and not manifest.has_landmarks:
        raise UserError(f"{sets[0].manifest} has no landmarks for data.crop=landmarks to follow: prepare it again.")
    expressions = None if teacher is None else expression_targets(teacher, manifest.paths.tolist())
    return Samples(manifest, weights, names, placed, expressions)


def _taken(recipe: Recipe, sets: Sequence[DataSetRecipe]) -> list[Manifest]:
    parts = [_data_set(wanted) for wanted in sets]
    ends = np.cumsum([len(part) for part in parts])
    chosen = spread_subset(int(ends[-1]), recipe.data.rows)
    numbers = [chosen[(chosen >= end - len(part)) & (chosen < end)] for part, end in zip(parts, ends, strict=True)]
    taken = [part.take(rows - end + len(part)) for part, end, rows in zip(parts, ends, numbers, strict=True)]
    return [without_age_groups(part) for part in taken] if recipe.age_in_years else taken


def read_rows(
    recipe: Recipe,
    sets: Sequence[DataSetRecipe],
    backbone: Backbone,
    depth: int | None,
    training: bool,
    progress: Progress | None,
) -> RunData:
    """Return what `read_samples` and `with_inputs` do."""
    return with_inputs(recipe, read_samples(recipe, sets), backbone, depth, training, progress)


def with_inputs(
    recipe: Recipe,
    samples: Samples,
    backbone: Backbone,
    depth: int | None,
    training: bool,
    progress: Progress | None,
) -> RunData:
    """Return samples with their inputs, and compute the features of the frozen part if they are cached.

    Args:
        recipe: the run.
        samples: without inputs.
        backbone: frozen up to `depth`, in evaluation mode, on the device to compute on.
        depth: as in `network.frozen_depth`.
        training: whether to augment; validation samples are never augmented.
        progress: called with the number of images whose features are computed, and of all.

    Raises:
        UserError: an archive, a server or the cache can't be read.
    """
    manifest, weights = samples.manifest, samples.weights
    margin, augmentation = recipe.data.crop_margin, recipe.augmentation if training else None
    if samples.streamed:
        if not training or recipe.cache:
            raise UserError(
                f"images on another machine, such as {manifest.paths[0]}, can be used for training only, without a "
                "cache: copy the validation images here, and set cache=null."
            )
        crops = StreamedCrops(
            manifest, backbone.preprocess.image_size, margin, augmentation, recipe.seed, recipe.data.crop
        )
        crops.stream.probe()
        return RunData(manifest, weights, crops)
    if not any(Path(file_of(path)).is_file() for path in manifest.paths.tolist()):
        raise UserError(f"none of the {len(manifest)} images exists, such as {manifest.paths[0]}: get the data.")
    if recipe.cache is None:
        reader = CropReader(manifest, backbone.preprocess.image_size, margin, kind=recipe.data.crop)
        reader.images.index(manifest.paths)
        return RunData(manifest, weights, Crops(reader, augmentation, recipe.seed))
    if depth == 0:
        raise UserError("no leading block is frozen here, so there is nothing to cache: set cache=null.")
    variants = [
        cached_features(
            backbone,
            manifest,
            FeatureOptions(depth, margin, variant, recipe.seed, augmentation, recipe.data.crop),
            recipe.cache.folder,
            progress,
        )
        for variant in range(recipe.cache.variants if training else 1)
    ]
    if broken := variants[0].broken():
        _LOGGER.warning("%d of %d images can't be read and are skipped.", len(broken), len(manifest))
    return RunData(manifest, weights, CachedFeatures(variants))


def _data_set(wanted: DataSetRecipe) -> Manifest:
    manifest = read_manifest(wanted.manifest)
    if wanted.splits:
        manifest = manifest.split(*wanted.splits)
    if wanted.sources:
        manifest = manifest.take(np.isin(manifest.sources, wanted.sources))
    if not len(manifest):
        parts = {"splits": wanted.splits, "sources": wanted.sources}
        chosen = " and ".join(f"{name} {', '.join(values)}" for name, values in parts.items() if values)
        raise UserError(f"{wanted.manifest} has no samples{chosen and f' of the {chosen}'}.")
    return manifest


def _placed(manifest: Manifest, wanted: DataSetRecipe) -> Manifest:
    """Return a data set's samples with the address of their shards, if it has one."""
    if not wanted.address:
        return manifest
    folder = wanted.manifest.parent.resolve()
    return replace(manifest, paths=np.array([_at(wanted.address, path, folder) for path in manifest.paths.tolist()]))


def _names(paths: Sequence[str]) -> NDArray[np.str_]:
    """Return str (samples,): paths relative to their common folder; of addresses without the server."""
    local = [f"/{path.partition('://')[2].partition('/')[2]}" if is_remote(path) else path for path in paths]
    if not local:
        return np.array([], np.str_)
    above = os.path.commonpath({os.path.dirname(path.partition("#")[0]) for path in local})  # noqa: PTH120
    return np.array([path[len(above) :].lstrip("/") for path in local], np.str_)


def _at(address: str, path: str, folder: Path) -> str:
    """Return the address of an image in a shard on a web server that serves a folder."""
    parts = split_member(path)
    if parts is None or is_remote(path):
        return path
    return f"{address.rstrip('/')}/{quote(os.path.relpath(parts[0], folder))}#{parts[1]}"
