"""Parts of a manifest that are measured, fitted or selected separately."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import PurePath

import numpy as np
from facial_attributes_training.data.archive import file_of
from facial_attributes_training.data.manifest import Manifest
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ALL = "all"
"""Name of all data sets together, where several have labels of a task."""
ORIGIN = "origin"
"""Column with the origin of an image within its source; a source of several origins is also measured by origin."""
_MAX_ORIGINS = 20
"""A source with more values of that column has something else in it, such as the address of every image."""


def data_sets(manifest: Manifest) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield name and mask bool (samples,) of every source, of its origins if it has several, and of all together.

    All together come last, and only if there are several sources.
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
    """Return int64 (samples,): a number for every pair of source and origin.

    Origins of a single image have one number together, since one image can't be halved.
    """
    pairs = list(zip(manifest.sources.tolist(), _origins(manifest).tolist(), strict=True))
    images = Counter(pair for pair, _ in set(zip(pairs, manifest.paths.tolist(), strict=True)))
    pairs = [pair if images[pair] > 1 else (pair[0], "") for pair in pairs]
    numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    return np.array([numbers[pair] for pair in pairs], np.int64)


def first_half(manifest: Manifest) -> NDArray[np.bool_]:
    """Return bool (samples,): about one half of the images of every source and origin, independent of their folder.

    All faces of an image are in the same half, and so are all images of a person, if the column `identity` is known.
    The half depends on hashes of the images' paths relative to the common folder of their source, but neither on the
    order of the samples nor on the place of that folder.
    """
    groups, paths = strata(manifest), manifest.paths
    digests = [hashlib.sha256(name.encode(errors="surrogateescape")).digest() for name in _names(manifest)]
    parts: dict[int, list[int]] = {}
    for row, part in enumerate(_inseparable(manifest).tolist()):
        parts.setdefault(part, []).append(row)
    sized = [(-len(set(paths[rows].tolist())), min(digests[row] for row in rows), rows) for rows in parts.values()]
    half, there = np.zeros(len(manifest), np.bool_), np.zeros((groups.max(initial=0) + 1, 2), np.int64)
    # The largest first, each to the smaller half: at the end the halves differ by one image, or one person's images.
    for negative, _, rows in sorted(sized):
        group = groups[rows].min()
        chosen = int(there[group, 1] < there[group, 0])
        there[group, chosen] -= negative
        half[rows] = chosen == 0
    return half


def fold_numbers(manifest: Manifest, count: int) -> NDArray[np.int64]:
    """Return int64 (samples,): the part of every sample in a cross-validation, from 0 on, with as alike labels as may.

    All faces of an image are in the same part, and so are all images of a person, unless there are fewer people than
    parts. As in `first_half`, a part depends neither on the order of the samples nor on their folder.
    """
    digests = [hashlib.sha256(name.encode(errors="surrogateescape")).digest() for name in _names(manifest)]
    together = _inseparable(manifest) if parted_by_people(manifest, count) else _numbered(manifest.paths)
    columns = np.stack([strata(manifest), *manifest.labels.values()], axis=1)
    groups = np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)
    members: dict[int, list[int]] = {}
    for row, part in enumerate(together.tolist()):
        members.setdefault(part, []).append(row)
    sized = sorted((-len(rows), min(digests[row] for row in rows), rows) for rows in members.values())
    found = np.zeros(len(manifest), np.int64)
    there, totals = np.zeros((groups.max(initial=0) + 1, count), np.int64), np.zeros(count, np.int64)
    for _, _, rows in sized:
        # The part with the fewest samples of these labels, and of these the smallest.
        own = there[groups[rows]].sum(axis=0)
        chosen = int(np.lexsort([totals, own])[0])
        found[rows] = chosen
        np.add.at(there[:, chosen], groups[rows], 1)
        totals[chosen] += len(rows)
    return found


def parted_by_people(manifest: Manifest, count: int) -> bool:
    """Return whether samples can be parted into this number of parts without a person or an image in two of them."""
    return len(np.unique(_inseparable(manifest))) >= count


def selection_half(validation: Manifest, tested: bool) -> NDArray[np.bool_]:
    """Return bool (samples,): the validation samples that choose the epoch and fit the calibration.

    Args:
        validation: all validation samples.
        tested: whether the figures are of test samples, so that all validation samples may choose.
    """
    return np.ones(len(validation), np.bool_) if tested else first_half(validation)


def _inseparable(manifest: Manifest) -> NDArray[np.int64]:
    """Return int64 (samples,): a number for every connected set of samples with common images or people."""
    images = _numbered(manifest.paths)
    people = _numbered(manifest.people) + len(manifest)
    known, nodes = manifest.people != "", 2 * len(manifest)
    # Nodes are images, followed by people; a sample with an identity links its image to a person.
    links = coo_array((np.ones(known.sum()), (images[known], people[known])), shape=(nodes, nodes))
    return np.asarray(connected_components(links, directed=False)[1][images], np.int64)


def _numbered(texts: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return int64 (samples,): a number for every different text."""
    return np.asarray(np.unique(texts, return_inverse=True)[1], np.int64)


def _origins(manifest: Manifest) -> NDArray[np.str_]:
    """Return str (samples,): the origins of the images; empty in sources of too many origins."""
    origins = manifest.extra.get(ORIGIN, np.full(len(manifest), "")).copy()
    for name in set(manifest.sources.tolist()):
        rows = manifest.sources == name
        if len(set(origins[rows].tolist())) > _MAX_ORIGINS:
            origins[rows] = ""
    return np.asarray(origins, np.str_)


def _names(manifest: Manifest) -> list[str]:
    """Return every image's path relative to the common folder of its source."""
    parts = [PurePath(path).parts for path in manifest.paths.tolist()]
    folders = [PurePath(file_of(path)).parent.parts for path in manifest.paths.tolist()]
    sources = manifest.sources.tolist()
    shared: dict[str, tuple[str, ...]] = {}
    for source, folder in zip(sources, folders, strict=True):
        steps = takewhile(lambda pair: pair[0] == pair[1], zip(shared.get(source, folder), folder, strict=False))
        shared[source] = tuple(step for step, _ in steps)
    return ["/".join(own[len(shared[source]) :]) for own, source in zip(parts, sources, strict=True)]
