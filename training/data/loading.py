"""Batches that worker processes read ahead, and the handling of their failures.

A worker passes its batches in shared memory (/dev/shm), without copies. A container has 64 MB of it by default; a batch
that does not fit goes through a pipe instead. A worker pickles its batches itself: the `DataLoader` does that in a
thread whose errors are printed and lost, and the main process would wait for the batch forever.
"""

import functools
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from facial_attributes_training.data.datasets import Batch, Draw, Sample, collate
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, get_worker_info

from facial_attributes_ros.errors import UserError

PREFETCHED = 4
"""Batches that a worker reads ahead."""
SHARED_MEMORY = "/dev/shm"
_KEPT_FREE = 1 / 8
"""Fraction of the shared memory that stays free for others, such as ROS nodes, GPUs, and the locks of new workers."""
_LOGGER = logging.getLogger(__name__)

Item = Batch | UserError
"""What a worker reads: a user's error is passed as an item, since raised it would come with a traceback."""


@dataclass(frozen=True, slots=True, eq=False)
class _Plain:
    """A batch without tensors, which would be pickled as handles of shared memory.

    Attributes:
        inputs: of the batch.
        rest: its other fields.
        reason: why it is not in shared memory.
    """

    inputs: NDArray[Any]
    rest: dict[str, Any]
    reason: str


class _Parcel:
    """An item pickled by `_packed`, which is unpickled as soon as it is received.

    Not later: the shared memory of a worker ends with the worker.
    """

    def __init__(self, item: Item | _Plain) -> None:
        self.content = bytes(ForkingPickler.dumps(item))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self.content,)


class _Batches(Dataset[Item]):
    """Whole batches by their draws."""

    def __init__(self, data: Dataset[Sample]) -> None:
        self.data = data

    def __getitem__(self, draws: list[Draw]) -> Item:
        try:
            return collate([self.data[draw] for draw in draws])
        except UserError as error:
            return error


def drawn_batches(data: Dataset[Sample], draws: Sampler[list[Draw]], workers: int, pinned: bool) -> Iterator[Batch]:
    """Yield the batches of a sampler.

    Args:
        data: of the samples.
        draws: of every batch.
        workers: number of reading processes; 0 reads in this one.
        pinned: whether the batches go to a GPU.

    Raises:
        UserError: an archive can't be read, or as `worker_errors` raises it.
    """
    return _received(_items(_Batches(data), workers, pinned, draws))


def streamed_batches(data: IterableDataset[Item], workers: int, pinned: bool) -> Iterator[Batch]:
    """Yield the batches of an iterable data set; arguments and errors as in `drawn_batches`."""
    return _received(_items(data, workers, pinned))


@contextmanager
def worker_errors() -> Iterator[None]:
    """Turn the end of a reading process into a one-sentence error.

    The signal of its end may arrive anywhere in the block, not only while waiting for a batch.

    Raises:
        UserError: a worker was killed.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not text.startswith("DataLoader worker"):
            raise
        raise UserError(_ended(text.splitlines()[0])) from error


def _ended(reason: object) -> str:
    return (
        f"a process that reads images has ended, perhaps killed for lack of memory ({str(reason).rstrip('. ')}): "
        "resume from the last checkpoint with --resume, and with fewer workers."
    )


def _received(items: Iterator[Any]) -> Iterator[Batch]:
    try:
        with worker_errors():
            for item in items:
                if isinstance(item, UserError):
                    raise item
                yield _with_tensors(item) if isinstance(item, _Plain) else item
    finally:
        # Workers end at once if this is the last reference, but only after seconds if a traceback keeps it.
        del items


def _with_tensors(batch: _Plain) -> Batch:
    _warn_of_pipes(batch.reason)
    return Batch(torch.from_numpy(batch.inputs), **batch.rest)


def _items(data: Dataset[Item], workers: int, pinned: bool, draws: Sampler[list[Draw]] | None = None) -> Iterator[Any]:
    workers = workers if workers and _has_room_for_locks() else 0
    loader: DataLoader[Any] = DataLoader(
        data,
        batch_size=None,
        sampler=draws,
        collate_fn=_packed,  # type: ignore[arg-type]  # takes an item, as there is no batch size
        num_workers=workers,
        pin_memory=pinned and workers > 0,
        prefetch_factor=PREFETCHED if workers else None,
        # Its own generator, so that starting workers does not change the one of dropout.
        generator=torch.Generator(),
    )
    return iter(loader)


def _has_room_for_locks() -> bool:
    """Return whether workers can be started: the locks of their queues are in shared memory, too."""
    try:
        torch.multiprocessing.Queue()
    except OSError as error:
        _LOGGER.warning("No worker process can be started (%s), so the main process reads the images.", error)
        return False
    return True


def _packed(item: Item) -> Item | _Parcel:
    """Return what a worker passes on, pickled, with the inputs in shared memory if they fit."""
    if get_worker_info() is None:
        return item
    if isinstance(item, UserError):
        return _Parcel(item)
    reason = _lack_of_room(item.inputs.nbytes)
    if not reason:
        try:
            return _Parcel(item)
        except (OSError, RuntimeError) as error:  # another worker was faster, or too many files are open
            reason = str(error)
    rest = {"rows": item.rows, "usable": item.usable, "errors": item.errors, "mirrored": item.mirrored}
    return _Parcel(_Plain(item.inputs.numpy(), rest, reason))


def _unpacked(packed: bytes) -> Any:
    try:
        return pickle.loads(packed)  # noqa: S301 - from a process of ours
    except (OSError, EOFError) as error:  # the worker has ended
        return UserError(_ended(error))


def _lack_of_room(size: int) -> str:
    """Return why a number of bytes does not fit in shared memory; empty if it fits."""
    try:
        memory = os.statvfs(SHARED_MEMORY)
    except OSError:  # this system has none by this name; the attempt will show
        return ""
    whole, free = (blocks * memory.f_frsize for blocks in (memory.f_blocks, memory.f_bavail))
    enough = free - size > _KEPT_FREE * whole
    return "" if enough else f"{SHARED_MEMORY} has {whole / 2**20:.0f} MB, too little for the prefetched batches"


@functools.cache
def _warn_of_pipes(reason: str) -> None:
    """Warn once that shared memory is not used."""
    _LOGGER.warning(
        "Batches are sent through pipes, which is slower than shared memory (%s): give the container more with "
        "--shm-size, or use fewer workers.",
        reason,
    )
