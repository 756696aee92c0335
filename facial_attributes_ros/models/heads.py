"""Heads on top of the backbone's features."""

from collections.abc import Iterable

from torch import Tensor, nn

from facial_attributes_ros.attributes import AGE, LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.expression import EXPRESSION, EXPRESSIONS


class TaskHead(nn.Module):
    """BatchNorm1d, Dropout, Linear(d, d), GELU, Linear(d, outputs): features (N, dim) to numbers (N, outputs).

    Args:
        dim: length of the feature vectors.
        outputs: number of classes, or 1 for an age in years.
        hidden: whether the head has a hidden layer (a deep head) or is linear.
        batch_norm: whether features are batch-normalised first; they are not in linear probing.
        dropout: fraction of features dropped in training.
    """

    def __init__(
        self, dim: int, outputs: int, hidden: bool = True, batch_norm: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Sequential(nn.Linear(dim, dim), nn.GELU()) if hidden else nn.Identity()
        self.classifier = nn.Linear(dim, outputs)

    @property
    def feature_dim(self) -> int:
        """Length of the feature vectors that the head takes."""
        return self.classifier.in_features

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits or the standardised age (N, outputs) of features (N, dim)."""
        logits: Tensor = self.classifier(self.hidden(self.dropout(self.norm(features))))
        return logits


def build_heads(
    dim: int,
    tasks: Iterable[str] = TASKS,
    hidden: bool = True,
    batch_norm: bool = True,
    dropout: float = 0.5,
    age_in_years: bool = False,
    expression: bool = False,
) -> dict[str, nn.Module]:
    """Return one fresh head per task for features of length `dim`.

    With `age_in_years` the head of age has one output, see `models.regression`; otherwise one per age group. With
    `expression` there is a linear head of visible expressions as well, see `models.expression`: what a face shows is
    nearly linear in features that were trained to predict emotions.

    Raises:
        UserError: a task is unknown.
    """
    tasks = tuple(tasks)
    if unknown := [task for task in tasks if task not in LABELS]:
        raise UserError(f"there is no task {unknown[0]!r}; the tasks are {', '.join(TASKS)}.")
    sizes = {task: 1 if task == AGE and age_in_years else len(LABELS[task]) for task in tasks}
    heads: dict[str, nn.Module] = {
        task: TaskHead(dim, size, hidden, batch_norm, dropout) for task, size in sizes.items()
    }
    if expression:
        heads[EXPRESSION] = TaskHead(dim, len(EXPRESSIONS), False, batch_norm, dropout)
    return heads
