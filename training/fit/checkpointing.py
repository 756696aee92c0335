"""Checkpoints of a run: everything that its future depends on, written atomically and read without running code."""

import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        epoch: the epoch to go on with, from 0.
        step: steps of that epoch that are done.
        steps: steps done in all.
        best: lowest validation loss so far.
        best_epoch: where that was, -1 before the first validation.
        totals: summed loss and labelled rows per task of the epoch so far.
        skipped: rows passed over because their picture could not be read.
        history: figures of every epoch.
        finished: the run has come to its end.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    best: float = float("inf")
    best_epoch: int = -1
    totals: dict[str, list[float]] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    finished: bool = False

    def state(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def random_states() -> dict[str, Any]:
    """Return the states of all random generators in types that load with `weights_only`."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - libraries may draw from it
    return {
        "python": (version, tuple(numbers), gauss),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *(float(value) for value in rest)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the random generators into the states that `random_states` returned."""
    random.setstate(states["python"])
    name, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), int(position), int(has_gauss), gauss))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; the one before stays whole until the new one is.

    Raises:
        UserError: no space or no write access.
    """
    with disk_errors(path), atomic_target(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:
            # torch's zip writer reports a full disk as a RuntimeError of its own.
            raise UserError(f"the checkpoint {path} can't be written, perhaps for lack of space: {error}.") from error


def load_checkpoint(path: Path, fingerprint: str | None = None) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Args:
        path: of the file.
        fingerprint: of what the checkpoint was made for; one of anything else is refused. None takes any.

    Raises:
        UserError: it can't be read, or belongs to something else.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler that is led astray by damaged bytes raises anything
        raise UserError(f"the checkpoint {path} can't be read ({error}); remove its folder to start anew.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a checkpoint of a run of this package.")
    if fingerprint is not None and content.get("fingerprint") != fingerprint:
        raise UserError(
            f"the checkpoint {path} was made with another recipe or other data; give the same ones, or another output."
        )
    return content
