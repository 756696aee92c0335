"""Inputs of the training loop: crops or cached features of sampled samples, and their labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from facial_attributes_training.data.archive import ImageError
from facial_attributes_training.data.augment import Draws, augmented_crop
from facial_attributes_training.data.crops import CropReader
from facial_attributes_training.data.features import Features
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.recipe.augmentation import Augmentation
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from facial_attributes_ros.attributes import AGE, MISSING
from facial_attributes_ros.models.expression import EXPRESSION, YAW

Draw = tuple[int, int, int]
"""Row of the manifest, epoch, and place in the epoch: all that a sample depends on besides the seed."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A sampled sample and its input, which is blank if there is an error."""

    row: int
    value: Tensor
    error: str = ""
    mirrored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch of samples as tensors.

    Attributes:
        inputs: (N, ...): uint8 crops (N, 3, S, S), RGB, or float16 features.
        rows: int64 (N,): of the manifest.
        usable: bool (N,): False for samples whose image could not be read; they have the input of a usable one.
        errors: the reason, per unusable sample.
        mirrored: bool (N,): which inputs show the image mirrored.
    """

    inputs: Tensor
    rows: NDArray[np.int64]
    usable: NDArray[np.bool_]
    errors: list[str]
    mirrored: NDArray[np.bool_]

    def labels(
        self,
        manifest: Manifest,
        tasks: Sequence[str],
        age_in_years: bool = False,
        expressions: NDArray[np.float32] | None = None,
    ) -> dict[str, Tensor]:
        """Return (N,) per task, `MISSING` where a sample has no label; unusable samples have none.

        Class indices are int64; with `age_in_years` the age is float32, in years. With `expressions`, float32 (samples
        of the manifest, expressions), there is their float32 (N, expressions) too, NaN for unusable samples.
        """
        columns = {task: manifest.labels[task][self.rows] for task in tasks}
        if age_in_years and AGE in columns:
            columns[AGE] = np.nan_to_num(manifest.age_years[self.rows], nan=MISSING)
        labels = {task: torch.from_numpy(np.where(self.usable, column, MISSING)) for task, column in columns.items()}
        if expressions is not None:
            labels[EXPRESSION] = torch.from_numpy(self._expressions(expressions))
        return labels

    def _expressions(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        chosen = np.where(self.usable[:, None], targets[self.rows], np.float32(np.nan))
        chosen[self.mirrored, YAW] *= -1
        return chosen


class Crops(Dataset[Sample]):
    """Face crops, augmented deterministically by seed, epoch and place.

    Args:
        reader: crops the faces.
        augmentation: None for the plain crops.
        seed: of the augmentation.
    """

    def __init__(self, reader: CropReader, augmentation: Augmentation | None = None, seed: int = 0) -> None:
        self.reader, self.augmentation, self.seed = reader, augmentation, seed

    def __getitem__(self, draw: Draw) -> Sample:
        row, epoch, place = draw
        try:
            if self.augmentation is None:
                return Sample(row, self.reader.crop(row))
            draws = Draws(self.seed, epoch, place)
            crop, mirrored = augmented_crop(self.reader, row, self.augmentation, draws)
            return Sample(row, crop, mirrored=mirrored)
        except ImageError as error:
            return Sample(row, torch.zeros((3, self.reader.size, self.reader.size), dtype=torch.uint8), str(error))


class CachedFeatures(Dataset[Sample]):
    """Features from the cache; epochs use the variants in turn.

    Args:
        variants: of the same samples.
    """

    def __init__(self, variants: Sequence[Features]) -> None:
        self.variants = variants

    def __getitem__(self, draw: Draw) -> Sample:
        row, epoch, place = draw
        value = torch.from_numpy(self.variants[(epoch + place) % len(self.variants)][row].copy())
        if value.isnan().any():
            return Sample(row, torch.zeros_like(value), "its image could not be read")
        return Sample(row, value)


class EpochBatches(Sampler[list[Draw]]):
    """The batches of one epoch that this process works on.

    Args:
        rows: int64 (draws,): samples of the epoch in order, the same in every process.
        epoch: number of the epoch.
        batch_size: samples of a step over all processes; a last, smaller batch is dropped unless `keep_rest`.
        parts: number of partial batches of a step.
        rank, processes: number of this process, and of all.
        start: steps to skip, when a stopped epoch is resumed.
        keep_rest: for validation, where every sample counts.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        epoch: int,
        batch_size: int,
        parts: int = 1,
        rank: int = 0,
        processes: int = 1,
        start: int = 0,
        keep_rest: bool = False,
    ) -> None:
        self.rows, self.epoch, self.batch_size, self.parts = rows, epoch, batch_size, parts
        self.rank, self.processes, self.start, self.keep_rest = rank, processes, start, keep_rest

    @property
    def steps(self) -> int:
        """Steps of the whole epoch, skipped ones included."""
        whole, rest = divmod(len(self.rows), self.batch_size)
        return whole + bool(rest and (self.keep_rest or not whole))

    @property
    def smallest(self) -> int:
        """Fewest samples of a batch of the epoch, 0 if there are too few for all processes."""
        rows = min(self.batch_size, len(self.rows))
        return rows // self._parts_of(rows) // self.processes

    def _parts_of(self, rows: int) -> int:
        # Every process needs a sample of every part, or the others would wait for its gradients forever.
        return min(self.parts, max(rows // self.processes, 1))

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.start, self.steps):
            first = step * self.batch_size
            places = np.arange(first, min(first + self.batch_size, len(self.rows)))
            for part in np.array_split(places, self._parts_of(len(places))):
                draws = [(int(self.rows[place]), self.epoch, int(place)) for place in part[self.rank :: self.processes]]
                if draws:
                    yield draws


def collate(samples: list[Sample]) -> Batch:
    """Stack samples; an unreadable one is replaced by a readable one, without its labels.

    So the batch keeps its size in every process, and batch normalisation sees only real faces.
    """
    usable = np.array([not sample.error for sample in samples], np.bool_)
    replacement = samples[int(usable.argmax())].value
    return Batch(
        inputs=torch.stack([replacement if sample.error else sample.value for sample in samples]),
        rows=np.array([sample.row for sample in samples], np.int64),
        usable=usable,
        mirrored=np.array([sample.mirrored for sample in samples], np.bool_),
        errors=[f"sample {sample.row}: {sample.error}" for sample in samples if sample.error],
    )
