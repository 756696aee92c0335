"""Images from tar shards that are read sequentially, such as shards on a web server that do not fit on the local disk.

Sequential reading has no random access, so samples are not drawn but accepted: each sample of a shard is accepted with
a probability proportional to its sampling weight. The manifest names the members, as `https://host/shard.tar#member`.
The layout is WebDataset's; the standard library reads it, since webdataset opens addresses through a shell.
"""

import hashlib
import http.client
import itertools
import logging
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import IO

import numpy as np
from facial_attributes_training.data.archive import is_remote, split_member
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.errors import UserError

ATTEMPTS = 6
"""Number of consecutive failures of a shard at the same place before reading ends with an error."""
PAUSE = 1.0
"""Seconds to wait after the first failure; each further failure doubles them."""

Passing = tuple[int, bytes]
"""Index of a sample in the manifest, and its encoded image."""

_LOG = logging.getLogger(__name__)
_SCHEMES = ("http", "https", "file")
_RETRIED = (408, 425, 429)
_TIMEOUT = 30.0
_BISECTIONS = 60
_ROUNDS = 1_000_000
"""More rounds than any epoch takes."""
_EMPTY_ROUNDS = 20


def acceptance(weights: ArrayLike, fraction: float) -> NDArray[np.float64]:
    """Return float64 (samples,): the probability that a sample of a stream is accepted.

    Probabilities are proportional to the weights as far as none is above 1, and their mean is the wanted fraction, or
    as near as samples of weight 0 allow.

    Args:
        weights: (samples,) from 0 on, such as inverse class frequencies.
        fraction: of the samples to accept on average, above 0 and at most 1; lower means a better balance.

    Raises:
        ValueError: a weight is negative, all are 0, or the fraction is out of its range.
    """
    values = np.asarray(weights, np.float64)
    if not 0 < fraction <= 1 or (values < 0).any() or not values.any():
        raise ValueError("weights must not be negative, nor all be 0, and the fraction must be above 0 and at most 1")
    low, high = 0.0, 1 / values[values > 0].min()
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(values * middle, 1).mean() < fraction else (low, middle)
    return np.asarray(np.minimum(values * high, 1))


class ShardStream:
    """The accepted images of one pass over the shards after another, the same for the same seed.

    Args:
        manifest: the samples; every path names a member of a tar shard.
        probabilities: (samples,) of being accepted, as `acceptance` returns them; None accepts all.
        seed: of shard order, acceptance and shuffling.
        buffer: number of encoded images in the shuffle buffer; more shuffles better and takes more memory.

    Raises:
        UserError: a path is not in a shard, or its address has another scheme than http, https and file.
    """

    def __init__(
        self, manifest: Manifest, probabilities: ArrayLike | None = None, seed: int = 0, buffer: int = 2000
    ) -> None:
        self._seed, self._buffer = seed, max(buffer, 1)
        accepted = np.ones(len(manifest)) if probabilities is None else probabilities
        self._probabilities = np.asarray(accepted, np.float64)
        self._shards: dict[str, dict[str, list[int]]] = {}
        for row, path in enumerate(manifest.paths.tolist()):
            parts = split_member(path)
            if parts is None:
                raise UserError(f"only images in tar shards can be streamed; {path} is not in one.")
            self._shards.setdefault(parts[0], {}).setdefault(parts[1], []).append(row)
        for shard in self._shards:
            if is_remote(shard) and shard.partition("://")[0] not in _SCHEMES:
                raise UserError(f"{shard} can't be streamed; addresses may begin with {', '.join(_SCHEMES)}.")

    def probe(self) -> None:
        """Read the first image of the first shard.

        Raises:
            UserError: it can't be read, after several attempts.
        """
        for _ in _members(next(iter(self._shards))):
            break

    def round(self, number: int, reader: int = 0, readers: int = 1) -> Iterator[Passing]:
        """Yield index and encoded image of every accepted sample, shuffled.

        Each reader reads some of the shards; with more readers than shards, each reads all shards and takes some of the
        samples.

        Args:
            number: of the pass; another gives another order and other accepted samples.
            reader: which of the readers this is, from 0 on.
            readers: their number, workers times machines.

        Raises:
            UserError: a shard can't be read to its end, after several attempts.
        """
        order = np.random.default_rng([self._seed, number]).permutation(len(self._shards))
        shards = [list(self._shards)[index] for index in order]
        if readers > len(shards):
            part, parts = reader, readers
        else:
            shards, part, parts = shards[reader::readers], 0, 1
        mixer = np.random.default_rng([self._seed, number, reader])
        held: list[Passing] = []
        for shard in shards:
            for entry in self._accepted(shard, number, part, parts):
                held.append(entry)
                if len(held) > self._buffer:
                    place = int(mixer.integers(len(held)))
                    held[place], held[-1] = held[-1], held[place]
                    yield held.pop()
        yield from (held[index] for index in mixer.permutation(len(held)))

    def endless(self, epoch: int, reader: int = 0, readers: int = 1) -> Iterator[Passing]:
        """Yield what `round` yields, pass after pass; every epoch has passes of its own.

        Raises:
            UserError: many passes have no sample for this reader, or as `round` raises it.
        """
        empty = 0
        for number in itertools.count(epoch * _ROUNDS):
            empty += 1
            for entry in self.round(number, reader, readers):
                empty = 0
                yield entry
            if empty == _EMPTY_ROUNDS:
                raise UserError(
                    f"none of the manifest's samples is in its shards, such as {next(iter(self._shards))}; "
                    "check the paths, or use fewer workers if there are only a few samples."
                )

    def _accepted(self, shard: str, number: int, part: int, parts: int) -> Iterator[Passing]:
        members = self._shards[shard]
        for name, data in _members(shard):
            for row in members.get(name, ()):
                if row % parts == part and self._uniform(row, number) < self._probabilities[row]:
                    yield row, data

    def _uniform(self, row: int, number: int) -> float:
        """Return a number from 0 to below 1 that depends on seed, pass and sample alone, whichever reader asks."""
        text = f"{self._seed} {number} {row}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") / 2**48


def _members(shard: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file in a shard; after a broken connection it continues behind what was read."""
    done = failures = 0
    while True:
        try:
            before = done
            with closing(_open(shard)) as file, tarfile.open(fileobj=file, mode="r|") as archive:
                for index, entry in enumerate(archive):
                    data = archive.extractfile(entry) if entry.isreg() else None
                    if index < done or data is None:
                        continue
                    content = data.read()
                    if len(content) < entry.size:
                        raise tarfile.ReadError("unexpected end of data")
                    done = index + 1
                    yield entry.name, content
                file.read()
                # A connection that breaks between two members looks like the end of the file; only its length shows it.
                if getattr(file, "length", 0):
                    raise tarfile.ReadError("the connection broke")
            return
        except (OSError, tarfile.TarError, http.client.HTTPException) as error:
            # Only failures without progress count.
            failures = 1 if done > before else failures + 1
            if failures == ATTEMPTS or _is_final(error):
                raise UserError(f"the shard {shard} can't be read to its end: {error}.") from error
            pause = PAUSE * 2 ** (failures - 1)
            _LOG.warning("Reading %s again in %g s, since the connection broke: %s", shard, pause, error)
            time.sleep(pause)


def _is_final(error: Exception) -> bool:
    """Return whether another attempt is useless, since the file does not exist or access is denied."""
    if isinstance(error, urllib.error.HTTPError):
        return 400 <= error.code < 500 and error.code not in _RETRIED
    return isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)


def _open(shard: str) -> IO[bytes]:
    if not is_remote(shard):
        return open(shard, "rb")  # noqa: PTH123 - the caller closes it
    return urllib.request.urlopen(shard, timeout=_TIMEOUT)  # type: ignore[no-any-return]  # noqa: S310 - schemes are checked
