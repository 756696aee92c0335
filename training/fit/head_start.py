"""The initial head of visible expressions: a least-squares fit on the features of the starting weights."""

from typing import cast

import numpy as np
import torch
from facial_attributes_training.data.datasets import collate
from facial_attributes_training.data.sampling import spread_subset
from facial_attributes_training.fit.network import Forward
from facial_attributes_training.fit.run_data import RunData
from numpy.typing import NDArray
from torch import Tensor

from facial_attributes_ros.models.expression import EXPRESSION
from facial_attributes_ros.models.heads import TaskHead
from facial_attributes_ros.models.multitask import MultiTaskModel

ROWS = 1536
"""Number of samples in the regression; more change little, and cost as much as training on them."""
_BATCH = 64
_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)


@torch.no_grad()
def solve_expression_head(
    model: MultiTaskModel, forward: Forward, rows: RunData, targets: NDArray[np.float32], count: int = ROWS
) -> None:
    """Set the head to normalise the features and its last layer to the ridge regression of the targets, in place.

    From a random start it would need the first thousands of samples to learn the means alone, while its gradient
    disturbs the backbone. The penalty is chosen on every fourth sample. Training normalises by each batch, so the
    regression has to be on normalised features as well. A head whose normalisation has seen batches stays: it was
    trained already.

    Args:
        model: on its device, left in evaluation mode.
        forward: from inputs to outputs.
        rows: the training samples.
        targets: float32 (samples, expressions), NaN where a sample has none.
        count: number of samples to use, evenly spread.
    """
    head = cast(TaskHead, model.heads[EXPRESSION])
    if isinstance(head.norm, torch.nn.BatchNorm1d) and head.norm.num_batches_tracked:
        return
    known = np.flatnonzero(np.isfinite(targets).all(axis=1))
    chosen = known[spread_subset(len(known), count)]
    model.eval()
    features: list[Tensor] = []
    hook = head.norm.register_forward_pre_hook(lambda _module, inputs: features.append(inputs[0].float()))
    usable = []
    for start in range(0, len(chosen), _BATCH):
        batch = collate(
            [rows.inputs[int(row), 0, start + place] for place, row in enumerate(chosen[start : start + _BATCH])]
        )
        forward(batch.inputs.to(next(model.parameters()).device), (EXPRESSION,))
        usable.append(batch.usable)
    hook.remove()
    readable = np.concatenate(usable)
    inputs = torch.cat(features)[torch.from_numpy(readable)]
    if isinstance(head.norm, torch.nn.BatchNorm1d):
        head.norm.running_mean, head.norm.running_var = inputs.mean(dim=0), inputs.var(dim=0)
    hidden = head.hidden(head.norm(inputs)).double().cpu()
    weight, bias = _ridge(hidden, torch.from_numpy(targets[chosen][readable]).double())
    head.classifier.weight.copy_(weight)
    head.classifier.bias.copy_(bias)


def _ridge(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight (outputs, inputs) and bias (outputs,) with the penalty that does best on every fourth sample."""
    held_out = torch.arange(len(inputs)) % 4 == 0

    def error(penalty: float) -> float:
        weight, bias = _solve(inputs[~held_out], targets[~held_out], penalty)
        return float((inputs[held_out] @ weight.T + bias - targets[held_out]).square().mean())

    return _solve(inputs, targets, min(_PENALTIES, key=error))


def _solve(inputs: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return the ridge regression; the penalty is in units of the inputs' mean variance."""
    mean, centre = inputs.mean(0), targets.mean(0)
    centred = inputs - mean
    square = centred.T @ centred
    square += penalty * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    weight = torch.linalg.solve(square, centred.T @ (targets - centre)).T
    return weight, centre - weight @ mean
