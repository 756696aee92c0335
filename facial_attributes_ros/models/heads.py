"""Classification heads on top of the backbone's features."""

from collections.abc import Iterable

from torch import Tensor, nn

from facial_attributes_ros.attributes import LABELS, TASKS
from facial_attributes_ros.errors import UserError


class TaskHead(nn.Module):
    """BatchNorm1d, Dropout, Linear(d, d), GELU, Linear(d, classes): features (N, dim) to logits (N, classes).

    Args:
        dim: length of the feature vectors.
        classes: number of classes.
        hidden: whether the hidden layer is there (a deep head) or the head is linear.
        batch_norm: whether features are batch-normalised first; linear probing goes without.
        dropout: share of features dropped in training.
    """

    def __init__(
        self, dim: int, classes: int, hidden: bool = True, batch_norm: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Sequential(nn.Linear(dim, dim), nn.GELU()) if hidden else nn.Identity()
        self.classifier = nn.Linear(dim, classes)

    @property
    def feature_dim(self) -> int:
        """Length of the feature vectors that the head takes."""
        return self.classifier.in_features

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits (N, classes) of features (N, dim)."""
        logits: Tensor = self.classifier(self.hidden(self.dropout(self.norm(features))))
        return logits


def build_heads(
    dim: int, tasks: Iterable[str] = TASKS, hidden: bool = True, batch_norm: bool = True, dropout: float = 0.5
) -> dict[str, nn.Module]:
    """Return one fresh head per task for features of length `dim`.

    Raises:
        UserError: a task is unknown.
    """
    tasks = tuple(tasks)
    if unknown := [task for task in tasks if task not in LABELS]:
        raise UserError(f"there is no task {unknown[0]!r}; the tasks are {', '.join(TASKS)}.")
    return {task: TaskHead(dim, len(LABELS[task]), hidden, batch_norm, dropout) for task in tasks}
