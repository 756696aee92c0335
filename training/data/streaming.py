"""Pictures from tar shards that are read from front to back, such as shards on a web server larger than one's disk.

Shards can't be read in any order, so rows are not drawn but accepted: every row of a passing shard is taken with a
chance proportional to its weight. The manifest says what is in the shards, as `https://host/shard.tar#member`. The
layout is WebDataset's; the reading is the standard library's, since webdataset opens addresses through a shell.
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
"""So many times in a row a shard may break off at the same place."""
PAUSE = 1.0
"""Seconds to wait after the first failure; every further one doubles them."""

Passing = tuple[int, bytes]
"""Row of the manifest and its encoded picture."""

_LOG = logging.getLogger(__name__)
_SCHEMES = ("http", "https", "file")
_WORTH_ANOTHER_TRY = (408, 425, 429)
_TIMEOUT = 30.0
_BISECTIONS = 60
_ROUNDS = 1_000_000
"""More rounds than an epoch ever takes."""
_EMPTY_ROUNDS = 20


def acceptance(weights: ArrayLike, share: float) -> NDArray[np.float64]:
    """Return float64 (rows,): the chance of every row to be taken when it passes.

    Chances are proportional to the weights as far as none is above 1, and their mean is the share, or as near as rows
    of no weight allow.

    Args:
        weights: (rows,) from 0 on, such as inverse class frequencies.
        share: of the rows to take on average, above 0 and at most 1; lower means a better balance.

    Raises:
        ValueError: a weight is negative, all are 0, or the share is out of its range.
    """
    values = np.asarray(weights, np.float64)
    if not 0 < share <= 1 or (values < 0).any() or not values.any():
        raise ValueError("weights must not be negative, nor all be 0, and the share must be above 0 and at most 1")
    low, high = 0.0, 1 / values[values > 0].min()
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(values * middle, 1).mean() < share else (low, middle)
    return np.asarray(np.minimum(values * high, 1))


class ShardStream:
    """The accepted pictures of one round through the shards after another, the same for the same seed.

    Args:
        manifest: the rows; every path names a member of a tar shard.
        chances: (rows,) of being taken, as `acceptance` gives them; None takes all.
        seed: of shard order, acceptance and mixing.
        buffer: number of pictures, as they are encoded, that are held to mix those of neighbouring shards; more mixes
            better and takes memory.

    Raises:
        UserError: a path is not in a shard, or its address is of a kind that is not read.
    """

    def __init__(self, manifest: Manifest, chances: ArrayLike | None = None, seed: int = 0, buffer: int = 2000) -> None:
        self._seed, self._buffer = seed, max(buffer, 1)
        self._chances = np.ones(len(manifest)) if chances is None else np.asarray(chances, np.float64)
        self._shards: dict[str, dict[str, list[int]]] = {}
        for row, path in enumerate(manifest.paths.tolist()):
            parts = split_member(path)
            if parts is None:
                raise UserError(f"only pictures in tar shards can be streamed; {path} is not in one.")
            self._shards.setdefault(parts[0], {}).setdefault(parts[1], []).append(row)
        for shard in self._shards:
            if is_remote(shard) and shard.partition("://")[0] not in _SCHEMES:
                raise UserError(f"{shard} can't be streamed; addresses may begin with {', '.join(_SCHEMES)}.")

    def probe(self) -> None:
        """Read the first picture of the first shard.

        Raises:
            UserError: it can't be read, however often it is tried.
        """
        for _ in _members(next(iter(self._shards))):
            break

    def round(self, number: int, reader: int = 0, readers: int = 1) -> Iterator[Passing]:
        """Yield row and encoded picture of everything accepted, mixed.

        Readers share the shards; where there are more readers than shards, all read every shard and share the rows.

        Args:
            number: of the round; another gives another order and other accepted rows.
            reader: which of the readers this is, from 0 on.
            readers: how many there are, as workers and machines.

        Raises:
            UserError: a shard can't be read to its end, however often it is tried.
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
        """Yield what `round` yields, round after round; every epoch has rounds of its own.

        Raises:
            UserError: round after round holds nothing for this reader, or as `round` raises it.
        """
        empty = 0
        for number in itertools.count(epoch * _ROUNDS):
            empty += 1
            for entry in self.round(number, reader, readers):
                empty = 0
                yield entry
            if empty == _EMPTY_ROUNDS:
                raise UserError(
                    f"none of the rows of the manifest is in its shards, such as {next(iter(self._shards))}; "
                    "check the paths, or use fewer workers if there are only a few rows."
                )

    def _accepted(self, shard: str, number: int, part: int, parts: int) -> Iterator[Passing]:
        members = self._shards[shard]
        for name, data in _members(shard):
            for row in members.get(name, ()):
                if row % parts == part and self._chance(row, number) < self._chances[row]:
                    yield row, data

    def _chance(self, row: int, number: int) -> float:
        """Return a number from 0 to below 1 that depends on seed, round and row alone, whoever reads the shard."""
        text = f"{self._seed} {number} {row}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") / 2**48


def _members(shard: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file in a shard; a broken connection is opened anew behind what was read."""
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
                # A connection that breaks off between two members looks like the end; only its length tells.
                if getattr(file, "length", 0):
                    raise tarfile.ReadError("the connection broke off")
            return
        except (OSError, tarfile.TarError, http.client.HTTPException) as error:
            # Only what fails without getting any further counts.
            failures = 1 if done > before else failures + 1
            if failures == ATTEMPTS or _is_final(error):
                raise UserError(f"the shard {shard} can't be read to its end: {error}.") from error
            pause = PAUSE * 2 ** (failures - 1)
            _LOG.warning("Reading %s once more in %g s, since it broke off: %s", shard, pause, error)
            time.sleep(pause)


def _is_final(error: Exception) -> bool:
    """Return whether trying again is no use: what is asked for is not there, or may not be had."""
    if isinstance(error, urllib.error.HTTPError):
        return 400 <= error.code < 500 and error.code not in _WORTH_ANOTHER_TRY
    return isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)


def _open(shard: str) -> IO[bytes]:
    if not is_remote(shard):
        return open(shard, "rb")  # noqa: PTH123 - the caller closes it
    return urllib.request.urlopen(shard, timeout=_TIMEOUT)  # type: ignore[no-any-return]  # noqa: S310 - schemes are checked
