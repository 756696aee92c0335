"""Learning-rate schedule: warm-up, then plateau, cosine or constant."""

import math
from typing import Any

from facial_attributes_training.recipe.schema import ScheduleRecipe
from torch.optim import Optimizer


class Schedule:
    """Sets the learning rates of an optimiser's groups, each in proportion to its initial one.

    Args:
        optimizer: whose groups' initial rates are the highest.
        recipe: of the schedule.
        epochs: length of the run, for the cosine.
    """

    def __init__(self, optimizer: Optimizer, recipe: ScheduleRecipe, epochs: int) -> None:
        self.optimizer, self.recipe, self.epochs = optimizer, recipe, epochs
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.best, self.waited, self.drop = math.inf, 0, 1.0

    def factor(self, epoch: float) -> float:
        """Return the factor on the highest rate at a time in epochs, which may be fractional."""
        warmup = self.recipe.warmup_epochs
        if epoch < warmup:
            return max(epoch / warmup, 1e-3)
        if self.recipe.name == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min((epoch - warmup) / max(self.epochs - warmup, 1e-9), 1)))
        return self.drop

    def before_step(self, epoch: float) -> None:
        """Set the rates for the step that begins at a time in epochs, which may be fractional."""
        factor = self.factor(epoch)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def after_epoch(self, loss: float) -> None:
        """Record a validation loss; on a plateau the rates drop."""
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.recipe.name == "plateau" and self.waited > self.recipe.patience:
            self.drop, self.waited = self.drop * self.recipe.factor, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` restores."""
        return {"rates": self.rates, "best": self.best, "waited": self.waited, "drop": self.drop}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.rates, self.best = list(state["rates"]), float(state["best"])
        self.waited, self.drop = int(state["waited"]), float(state["drop"])
