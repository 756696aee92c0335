"""A teacher's estimates of the visible expressions of a manifest's faces, as targets of the network's second output."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from facial_attributes_training.data.archive import split_member
from numpy.typing import NDArray

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.expression import BLENDSHAPES, EXPRESSIONS, expression_outputs

NOT_SEEN = 255
"""Score of a face that the teacher did not find."""
_UNIT = 254
_FIELDS = ("paths", "scores", "names", "pose")


def expression_targets(path: Path, images: Sequence[str]) -> NDArray[np.float32]:
    """Return the targets of images, float32 (N, expressions), in units of `models.expression`; NaN where unknown.

    Args:
        path: an `.npz` file with `paths` (images, relative to the file), `scores` (uint8, in 1/254, 255 where there is
            no face), `names` of the scores, and `pose` (yaw, pitch, roll in degrees).
        images: paths of a manifest; `…/shard.tar#member` is found by the name of the shard and the member.

    Raises:
        UserError: the file can't be read, or has none of the images.
    """
    try:
        with np.load(path) as file:
            paths, scores, names, pose = (file[name] for name in _FIELDS)
        known = {str(name): row for row, name in enumerate(paths)}
        columns = _columns([str(name) for name in names])
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"the expressions {path} can't be read ({error}); get the file again.") from error
    folder = path.resolve().parent
    rows = np.array([known.get(_name(image, folder), -1) for image in images])
    found = np.flatnonzero(rows >= 0)
    found = found[(scores[rows[found]] != NOT_SEEN).all(axis=1) & np.isfinite(pose[rows[found], :2]).all(axis=1)]
    if not len(found):
        raise UserError(f"{path} has none of the {len(images)} images; it is of others, or in another folder.")
    values = scores[rows[found]].astype(np.float32) / _UNIT
    averaged = np.stack([values[:, pair].mean(axis=1) for pair in columns], axis=1)
    targets = np.full((len(images), len(EXPRESSIONS)), np.nan, np.float32)
    targets[found] = expression_outputs(averaged, pose[rows[found], :2].astype(np.float32))
    return targets


def _columns(names: list[str]) -> list[list[int]]:
    """Return the columns to average for every blendshape: one, or left and right.

    Raises:
        ValueError: one is missing.
    """
    return [
        [names.index(name)] if name in names else [names.index(f"{name}{side}") for side in ("Left", "Right")]
        for name in BLENDSHAPES
    ]


def _name(image: str, folder: Path) -> str:
    member = split_member(image)
    return os.path.relpath(image, folder) if member is None else f"{Path(member[0]).name}#{member[1]}"
