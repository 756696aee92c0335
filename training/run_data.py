"""The rows of a run: read from manifests, with what the loop reads of each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from facial_attributes_training.crops import CropReader
from facial_attributes_training.datasets import CachedFeatures, Crops, Draw, Sample
from facial_attributes_training.features import FeatureOptions, Progress, cached_features
from facial_attributes_training.manifest import Manifest, read_manifest
from facial_attributes_training.recipe import DataSetRecipe, Recipe
from facial_attributes_training.sampling import spread_subset
from numpy.typing import NDArray
from torch.utils.data import Dataset

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones import Backbone

_LOGGER = logging.getLogger(__name__)


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


class Subset(Dataset[Sample]):
    """Some rows of a dataset under new numbers."""

    def __init__(self, data: Dataset[Sample], rows: NDArray[np.int64]) -> None:
        self.data, self.rows = data, rows

    def __getitem__(self, draw: Draw) -> Sample:
        row, epoch, place = draw
        found = self.data[(int(self.rows[row]), epoch, place)]
        return Sample(row, found.value, found.error)


def read_rows(
    recipe: Recipe,
    sets: Sequence[DataSetRecipe],
    backbone: Backbone,
    depth: int | None,
    training: bool,
    progress: Progress | None,
) -> Rows:
    """Read a recipe's training or validation rows, and compute the features of the frozen part if they are cached.

    Args:
        recipe: the run.
        sets: the data sets to read.
        backbone: frozen up to `depth`, in evaluation mode, on the device to compute on.
        depth: as in `network.frozen_depth`.
        training: validation rows are never augmented.
        progress: told how far the features are.

    Raises:
        UserError: a manifest, an archive or the cache is in the way.
    """
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
