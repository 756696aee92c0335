"""Parts of a manifest that are measured, fitted on or chosen on by themselves."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath

import numpy as np
from facial_attributes_training.manifest import Manifest
from numpy.typing import NDArray

ALL = "all"
"""Name of all data sets together, where several have labels of the same task."""
ORIGIN = "origin"
"""Column that tells where a source has its pictures from; a source of several origins is also measured by origin."""
_MAX_ORIGINS = 20
"""A source with more values of that column has something else in it, such as an address of every picture."""


def data_sets(manifest: Manifest) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield name and mask bool (rows,) of every source, of its origins if it has several, and of all together.

    All together come last, and only where that says something new.
    """
    names = sorted(set(manifest.sources.tolist()))
    origins = _origins(manifest)
    for name in names:
        rows = manifest.sources == name
        title = f"{ALL} (source)" if name == ALL else name or "unnamed"
        yield title, rows
        found = sorted(set(origins[rows].tolist()) - {""})
        if len(found) > 1:
            yield from ((f"{title}-from-{origin}", rows & (origins == origin)) for origin in found)
    if len(names) > 1:
        yield ALL, np.ones(len(manifest), np.bool_)


def strata(manifest: Manifest) -> NDArray[np.int64]:
    """Return int64 (rows,): a number for every source and origin of pictures, the same for rows that share both.

    Origins of a single picture share one number, since one picture can't be halved.
    """
    pairs = list(zip(manifest.sources.tolist(), _origins(manifest).tolist(), strict=True))
    pictures = Counter(pair for pair, _ in set(zip(pairs, manifest.paths.tolist(), strict=True)))
    pairs = [pair if pictures[pair] > 1 else (pair[0], "") for pair in pairs]
    numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    return np.array([numbers[pair] for pair in pairs], np.int64)


def first_half(manifest: Manifest) -> NDArray[np.bool_]:
    """Return bool (rows,): one half of the pictures of every source and origin, the same wherever they lie.

    All faces of a picture are in the same half. Whether a picture is in it depends on a hash of its name and on the
    names of the others of its source and origin, but on neither their order nor their folder.
    """
    names = np.array([_name(str(path)) for path in manifest.paths])
    groups, half = strata(manifest), np.zeros(len(manifest), np.bool_)
    for group in np.unique(groups):
        rows = groups == group
        pictures = sorted(set(names[rows].tolist()), key=lambda name: hashlib.sha256(name.encode()).digest())
        half |= rows & np.isin(names, pictures[::2])
    return half


def _origins(manifest: Manifest) -> NDArray[np.str_]:
    """Return str (rows,): where the pictures are from; empty in sources of too many origins."""
    origins = manifest.extra.get(ORIGIN, np.full(len(manifest), "")).copy()
    for name in set(manifest.sources.tolist()):
        rows = manifest.sources == name
        if len(set(origins[rows].tolist())) > _MAX_ORIGINS:
            origins[rows] = ""
    return np.asarray(origins, np.str_)


def _name(path: str) -> str:
    """Return the picture's name without its folder; an archive's name belongs to it."""
    return PurePath(path.partition("#")[0]).name + path.partition("#")[1] + path.partition("#")[2]
