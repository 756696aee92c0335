"""Losses of several tasks of which each sample knows only some."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from facial_attributes_training.fit.keeping import Keeper
from facial_attributes_training.recipe.schema import LossRecipe
from torch import Tensor, nn

from facial_attributes_ros.attributes import AGE, LABELS, MISSING
from facial_attributes_ros.models.expression import EXPRESSION
from facial_attributes_ros.models.regression import AgeRegression

EMA = 0.95
"""How much of the running mean of a loss stays at every step."""
_EXCLUDED = -1e4
"""Logit of a class that is not compared."""


def masked_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    targets: Tensor | None = None,
    among: Tensor | None = None,
) -> Tensor:
    """Return the sum of the cross-entropies of the labelled samples; 0 with a gradient if there are none.

    The caller divides by the number of labelled samples of the whole step, over all its parts and processes.

    Args:
        logits: float (N, classes).
        labels: int64 (N,), `MISSING` where a sample has none.
        weights: float (classes,), factors on the samples of each class.
        targets: float (classes, classes), target distribution of every label; the label alone by default.
        among: bool (classes,): the classes that are compared with one another, all by default; samples of others do not
            count.
    """
    known = labels != MISSING
    classes = labels.clamp(min=0)
    if among is not None:
        known = known & among[classes]
        # Not infinite, since smoothed targets give such a class a probability of 0, times that.
        logits = logits.float().masked_fill(~among, _EXCLUDED)
    losses = F.cross_entropy(logits.float(), classes if targets is None else targets[classes], reduction="none")
    if weights is not None:
        losses = losses * weights[classes]
    # Not a product with the mask: a sample without a label must not count even where its loss is infinite.
    return torch.where(known, losses, torch.zeros_like(losses)).sum()


def masked_year_error(outputs: Tensor, years: Tensor, ages: AgeRegression, squared: bool = False) -> Tensor:
    """Return the sum of the errors in standard deviations of the ages; 0 with a gradient if no sample has an age.

    Args:
        outputs: float (N, 1).
        years: float (N,), `MISSING` where a sample has none.
        ages: the scale of the targets.
        squared: half the squared error everywhere, instead of the smooth L1 loss (Girshick 2015).
    """
    given, wanted = outputs[:, 0].float(), ages.outputs(years)
    losses = (
        F.mse_loss(given, wanted, reduction="none") / 2
        if squared
        else F.smooth_l1_loss(given, wanted, reduction="none")
    )
    return torch.where(years != MISSING, losses, torch.zeros_like(losses)).sum()


def masked_expression_error(outputs: Tensor, targets: Tensor, deviations: Tensor) -> Tensor:
    """Return the sum of the samples' errors, each the mean over the expressions of a smooth L1 loss.

    Args:
        outputs: float (N, expressions).
        targets: float (N, expressions), NaN where a sample has none.
        deviations: float (expressions,): standard deviations of the targets, in which errors are counted.
    """
    known = ~targets.isnan()
    scaled = (outputs.float() - torch.where(known, targets, torch.zeros_like(targets))) / deviations
    losses = F.smooth_l1_loss(scaled, torch.zeros_like(scaled), reduction="none")
    return torch.where(known, losses, torch.zeros_like(losses)).mean(1).sum()


def known_rows(labels: Tensor) -> Tensor:
    """Return bool (N,): which samples have a label: classes or years (N,), or expressions (N, expressions)."""
    return labels >= 0 if labels.ndim == 1 else ~labels.isnan().any(1)


def smoothed_targets(classes: int, everywhere: float, neighbours: float = 0.0) -> Tensor:
    """Return float (classes, classes), samples of sum 1: the target distribution of every label.

    Args:
        classes: number of classes.
        everywhere: fraction of the probability spread over all classes (label smoothing, Szegedy et al. 2016).
        neighbours: fraction for the neighbouring classes of the label, half for each, also for one at an end.
    """
    beside = torch.diag(torch.ones(classes - 1), 1)
    beside = (beside + beside.T) * neighbours / 2
    targets = beside + torch.diag(1 - beside.sum(1))
    return (1 - everywhere) * targets + everywhere / classes


def inverse_frequencies(counts: Tensor) -> Tensor:
    """Return float (classes,): inverse class frequencies, with a mean of 1 over the samples; 0 for empty classes."""
    present = counts > 0
    weights = torch.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


class CombinedLoss(nn.Module):
    """Combines the tasks' losses.

    `uncertainty`: sum of exp(-s_t) L_t + s_t / 2 with one learned s_t a task (Kendall, Gal and Cipolla 2018).
    `running-means`: sum of L_t / m_t, where m_t is the exponential moving average of L_t.

    Args:
        tasks: whose losses are combined; the output `EXPRESSION` may be among them.
        recipe: how to compute and combine them.
        counts: samples per class of every task, for class weights.
        ages: the scale of an age learned in years; None if it is learned in groups.
        deviations: float (expressions,): of the expressions' targets; None if they are not learned.
        learned: bool (classes,) per task: classes with samples, if these are compared with one another only.
    """

    running_means: Tensor
    deviations: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        recipe: LossRecipe,
        counts: Mapping[str, Tensor],
        ages: AgeRegression | None = None,
        deviations: Tensor | None = None,
        learned: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.ages = ages
        self.tasks = tuple(tasks)
        self.recipe = recipe
        self.log_variances = nn.Parameter(torch.zeros(len(tasks)), requires_grad=recipe.combine == "uncertainty")
        self.register_buffer("running_means", torch.zeros(len(tasks)))
        self.register_buffer("deviations", deviations, persistent=False)
        for task in tasks:
            if task == EXPRESSION:
                continue
            weights = inverse_frequencies(counts[task]) if recipe.class_weights == "inverse" else None
            self.register_buffer(f"weights_{task}", weights, persistent=False)
            neighbours = recipe.neighbour_smoothing if task == AGE else 0.0
            smooth = bool(recipe.label_smoothing or neighbours)
            targets = smoothed_targets(len(LABELS[task]), recipe.label_smoothing, neighbours) if smooth else None
            if targets is not None and task in learned:
                targets = targets * learned[task] / (targets * learned[task]).sum(dim=1, keepdim=True).clamp(min=1e-12)
            self.register_buffer(f"targets_{task}", targets, persistent=False)
            self.register_buffer(f"among_{task}", learned.get(task), persistent=False)

    def sums(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> Tensor:
        """Return float (tasks,): each task's summed loss over the labelled samples."""
        return torch.stack([self._sum(task, logits[task], labels[task]) for task in self.tasks])

    def _sum(self, task: str, logits: Tensor, labels: Tensor) -> Tensor:
        if task == EXPRESSION:
            return self.recipe.expression * masked_expression_error(logits, labels, self.deviations)
        if task == AGE and self.ages is not None:
            return masked_year_error(logits, labels, self.ages, self.recipe.years == "squared")
        buffers = (getattr(self, f"{name}_{task}") for name in ("weights", "targets", "among"))
        return masked_cross_entropy(logits, labels, *buffers)

    def forward(self, sums: Tensor, counts: Tensor, part: float = 1.0) -> Tensor:
        """Return the loss to minimise, a scalar.

        Args:
            sums: float (tasks,): summed losses of one part of a step.
            counts: (tasks,): labelled samples of the whole step; a task without any does not count.
            part: this part as a fraction of the step, for terms that are added once per step.
        """
        present = counts > 0
        means = sums / counts.clamp(min=1)
        if self.recipe.combine == "uncertainty":
            terms = torch.exp(-self.log_variances) * means + self.log_variances / 2 * part
        elif self.recipe.combine == "running-means":
            terms = means / torch.where(self.running_means > 0, self.running_means, torch.ones_like(means))
        else:
            terms = means
        # An absent task keeps a zero term, so that all processes have the same graph.
        return torch.where(present, terms, terms * 0).sum()

    @torch.no_grad()
    def note(self, means: Tensor, counts: Tensor) -> None:
        """Update the running means with a step's mean losses over all processes, float (tasks,)."""
        first = self.running_means == 0
        updated = torch.where(first, means, EMA * self.running_means + (1 - EMA) * means)
        self.running_means.copy_(torch.where(counts > 0, updated, self.running_means))


class Objective(nn.Module):
    """Maps a batch's inputs to the summed loss of every task; one module, so that gradients are synchronised once.

    Args:
        forward_logits: inputs to logits per output.
        model: with the parameters to train.
        loss: computes and combines the tasks' losses.
        keeper: of a parent's predictions; None without a parent.
    """

    def __init__(
        self,
        forward_logits: Callable[[Tensor], dict[str, Tensor]],
        model: nn.Module,
        loss: CombinedLoss,
        keeper: Keeper | None = None,
    ) -> None:
        super().__init__()
        self.forward_logits, self.model, self.loss, self.keeper = forward_logits, model, loss, keeper

    def forward(self, inputs: Tensor, labels: dict[str, Tensor], counts: Tensor, part: float) -> tuple[Tensor, Tensor]:
        """Return the loss to minimise and the summed loss of every task, (tasks,)."""
        if self.keeper is None:
            sums = self.loss.sums(self.forward_logits(inputs), labels)
            return self.loss(sums, counts, part), sums.detach()
        outputs, distance = self.keeper.outputs_and_loss(inputs)
        sums = self.loss.sums(outputs, labels)
        return self.loss(sums, counts, part) + part * distance, sums.detach()
