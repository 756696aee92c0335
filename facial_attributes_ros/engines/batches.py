"""Batches that fit into a device's memory: smaller ones from the moment that it runs out, instead of a failure."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from facial_attributes_ros.errors import UserError

_MESSAGES: Final = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "Failed to allocate memory")
_LOGGER = logging.getLogger(__name__)
Part = TypeVar("Part")


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of PyTorch, ONNX Runtime or Python means that memory has run out."""
    return isinstance(error, MemoryError) or any(message in str(error) for message in _MESSAGES)


class FittingBatches:
    """Runs a function over so many faces in batches, which shrink for good when memory runs out.

    Args:
        sizes: of batches, ascending; the last is the largest to begin with.
        device: for messages.
        freed: called after memory ran out, to give back what is not needed; told the new largest batch.

    Attributes:
        most: faces in a batch at most.
    """

    def __init__(self, sizes: Sequence[int], device: str, freed: Callable[[int], None] = lambda _: None) -> None:
        self.most = sizes[-1]
        self._sizes, self._device, self._freed = sizes, device, freed

    def run(self, count: int, function: Callable[[slice], Part]) -> list[Part]:
        """Return what the function gives for the faces from 0 to `count`, in their order.

        Args:
            count: number of faces.
            function: works on the faces that a slice names.

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
        _LOGGER.warning("%s is out of memory; from now on at most %d faces a batch.", self._device, self.most)
