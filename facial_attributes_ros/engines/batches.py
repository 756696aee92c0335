"""Batches that fit into a device's memory: when it runs out, they become smaller and the call succeeds."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from facial_attributes_ros.errors import UserError

_MESSAGES: Final = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "Failed to allocate memory")
_LOGGER = logging.getLogger(__name__)
Part = TypeVar("Part")


def out_of_memory(error: BaseException) -> bool:
    """Return True if an error of PyTorch, ONNX Runtime or Python means that memory has run out."""
    return isinstance(error, MemoryError) or any(message in str(error) for message in _MESSAGES)


class FittingBatches:
    """Runs a function over faces in batches, which become smaller for good when memory runs out.

    Args:
        sizes: of batches, ascending; the last is the largest at the beginning.
        device: for messages.
        freed: called with the new largest size after memory ran out, to free memory that is not needed.

    Attributes:
        most: largest number of faces in a batch.
    """

    def __init__(self, sizes: Sequence[int], device: str, freed: Callable[[int], None] = lambda _: None) -> None:
        self.most = sizes[-1]
        self._sizes, self._device, self._freed = sizes, device, freed

    def run(self, count: int, function: Callable[[slice], Part]) -> list[Part]:
        """Return the results of the function for the faces from 0 to `count`, in their order.

        Args:
            count: number of faces.
            function: called with the slice of the faces of a batch.

        Raises:
            UserError: there is too little memory for a single face.
        """
        parts: list[Part] = []
        done = 0
        while done < count:
            batch = slice(done, min(done + self.most, count))
            failure: Exception | None = None
            try:
                parts.append(function(batch))
                done = batch.stop
            except Exception as error:  # ONNX Runtime's errors have no common base class of their own
                if not out_of_memory(error):
                    raise
                failure = error.with_traceback(None)  # its frames would hold the tensors of the batch
            if failure is not None:
                self._shrink(batch.stop - batch.start, failure)
        return parts

    def _shrink(self, failed: int, error: Exception) -> None:
        if failed <= self._sizes[0]:
            raise UserError(
                f"{self._device} has too little free memory for a single face: end other programs."
            ) from error
        self.most = max(size for size in self._sizes if size < failed)
        self._freed(self.most)
        _LOGGER.warning("%s is out of memory; from now on a batch has at most %d faces.", self._device, self.most)
