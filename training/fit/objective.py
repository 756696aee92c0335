"""The objective of a training step."""

from collections.abc import Callable

from facial_attributes_training.fit.losses import CombinedLoss
from torch import Tensor, nn


class Objective(nn.Module):
    """Maps a batch's inputs to the summed loss of every task; one module, so that gradients are synchronised once.

    Args:
        forward_logits: inputs and tasks to logits per task.
        model: with the parameters to train.
        loss: computes and combines the tasks' losses.
    """

    def __init__(self, forward_logits: Callable[[Tensor], dict[str, Tensor]], model: nn.Module, loss: CombinedLoss):
        super().__init__()
        self.forward_logits, self.model, self.loss = forward_logits, model, loss

    def forward(self, inputs: Tensor, labels: dict[str, Tensor], counts: Tensor, part: float) -> tuple[Tensor, Tensor]:
        """Return the loss to minimise and the summed loss of every task, (tasks,)."""
        sums = self.loss.sums(self.forward_logits(inputs), labels)
        return self.loss(sums, counts, part), sums.detach()
