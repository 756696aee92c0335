"""Checkpoints: the whole state of a run, written atomically and read without executing code."""

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
    """Progress of a stage.

    Attributes:
        epoch: the current epoch, from 0.
        step: number of finished steps of that epoch.
        steps: number of finished steps of all epochs.
        best: lowest validation loss so far.
        best_epoch: its epoch, -1 before the first validation.
        totals: summed loss and number of labelled samples per task of the epoch so far.
        skipped: samples skipped because their image could not be read.
        history: metrics of every epoch.
        finished: whether the stage is finished.
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
    """Restore the random generators to the states that `random_states` returned."""
    random.setstate(states["python"])
    name, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), int(position), int(has_gauss), gauss))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; the previous one is replaced only when the new one is complete.

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
        fingerprint: expected one; a checkpoint with another is refused. None accepts any.

    Raises:
        UserError: it can't be read, or belongs to another run.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can make the unpickler raise anything
        raise UserError(f"the checkpoint {path} can't be read ({error}); remove its folder to start again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a checkpoint of a run of this package.")
    if fingerprint is not None and content.get("fingerprint") != fingerprint:
        raise UserError(
            f"the checkpoint {path} was made with another recipe or other data; give the same ones, or another output."
        )
    return content
