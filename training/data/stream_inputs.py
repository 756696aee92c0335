"""Inputs of the training loop from a stream: crops of the accepted samples.

An epoch has a fixed number of samples. Several readers (worker processes times machines) take turns at the batches, and
each reads some of the shards; every batch depends on seed, epoch, its number and the number of readers alone. A stopped
epoch is resumed by reading its stream from the beginning, without decoding what was trained on already.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from facial_attributes_training.data.archive import ImageReader, decode_image
from facial_attributes_training.data.crops import CropReader
from facial_attributes_training.data.datasets import Batch, Crops, Sample, collate
from facial_attributes_training.data.loading import Item, streamed_batches
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.data.streaming import Passing, ShardStream
from facial_attributes_training.recipe.augmentation import Augmentation
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import BOX


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """Which batches of an epoch this process works on.

    Attributes:
        epoch: number of the epoch.
        rows: samples of the epoch, over all processes.
        batch_size: samples of a step over all processes; a last, smaller step is dropped.
        parts: number of partial batches of a step.
        rank, processes: number of this process, and of all.
        start: steps to skip, when a stopped epoch is resumed.
    """

    epoch: int
    rows: int
    batch_size: int
    parts: int = 1
    rank: int = 0
    processes: int = 1
    start: int = 0

    @property
    def steps(self) -> int:
        """Steps of the whole epoch, skipped ones included."""
        return max(self.rows // self.batch_size, 1)

    @property
    def batches(self) -> range:
        """Numbers of this process's batches that are still to do."""
        return range(self.start * self.parts, self.steps * self.parts)

    @property
    def size(self) -> int:
        """Samples of one of this process's batches."""
        return self.batch_size // (self.parts * self.processes)


class StreamedCrops(Dataset[Sample]):
    """Face crops from a stream of shards, augmented deterministically by seed, epoch and place; without random access.

    Args:
        manifest: the samples; every path names a member of a tar shard, on this machine or another.
        size: side of the crop in pixels.
        margin: as in `facial_attributes_ros.imaging.crop`.
        augmentation: None for the plain crops.
        seed: of order, acceptance and augmentation.
        kind: of the crop, one of `models.spec.CROPS`.
        probabilities: float64 (samples,): of being accepted; None accepts all.
    """

    def __init__(
        self,
        manifest: Manifest,
        size: int,
        margin: float,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        kind: str = BOX,
        probabilities: NDArray[np.float64] | None = None,
    ) -> None:
        self.manifest, self.size, self.margin = manifest, size, margin
        self.augmentation, self.seed, self.kind = augmentation, seed, kind
        self.stream = ShardStream(manifest, probabilities, seed)

    def accepting(self, probabilities: NDArray[np.float64]) -> "StreamedCrops":
        """Return the same crops with other probabilities of being accepted, float64 (samples,)."""
        return StreamedCrops(
            self.manifest, self.size, self.margin, self.augmentation, self.seed, self.kind, probabilities
        )

    def batches(self, plan: StreamPlan, workers: int, pinned: bool) -> Iterator[Batch]:
        """Yield this process's batches of an epoch.

        Raises:
            UserError: a shard can't be read.
        """
        return streamed_batches(_Batches(self, plan), workers, pinned)


class _Batches(IterableDataset[Item]):
    """The batches of one worker of one process."""

    def __init__(self, crops: StreamedCrops, plan: StreamPlan) -> None:
        self.crops, self.plan = crops, plan

    def __iter__(self) -> Iterator[Item]:
        try:
            yield from self._read()
        except UserError as error:
            yield error

    def _read(self) -> Iterator[Batch]:
        plan, info = self.plan, get_worker_info()
        workers = info.num_workers if info else 1
        # Workers take turns from the first one on, also when a stopped epoch is resumed in the middle.
        lane = (plan.batches.start + (info.id if info else 0)) % workers
        stream = self.crops.stream.endless(plan.epoch, plan.rank * workers + lane, plan.processes * workers)
        for number in range(lane, plan.batches.stop, workers):
            entries = [next(stream) for _ in range(plan.size)]
            if number >= plan.batches.start:
                first = (number * plan.processes + plan.rank) * plan.size
                yield collate([self._sample(entry, first + place) for place, entry in enumerate(entries)])

    def _sample(self, entry: Passing, place: int) -> Sample:
        row, data = entry
        crops = self.crops
        reader = CropReader(crops.manifest, crops.size, crops.margin, _OneImage(data), crops.kind)
        return Crops(reader, crops.augmentation, crops.seed)[(row, self.plan.epoch, place)]


class _OneImage(ImageReader):
    """Returns a given image, whatever the path."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def image(self, path: str) -> NDArray[np.uint8]:
        return decode_image(self._data, path)
