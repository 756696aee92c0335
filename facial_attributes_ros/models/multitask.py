"""One backbone, one head per task."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import Self

from facial_attributes_ros.attributes import EMOTION
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.mtlora import TaskStreams
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.expression import EXPRESSION
from facial_attributes_ros.models.readout import EmotionReadout


class MultiTaskModel(nn.Module):
    """Features from one backbone, and logits from one head per task.

    Attributes:
        backbone: computes the features for all tasks.
        heads: task to head; every head maps features (N, dim) to logits (N, classes). A head
            of the name `EXPRESSION` predicts the numbers of `models.expression` instead.
        streams: the task-specific last block and pooling of MTLoRA, with which every task has features of its own; or
            None.
        readout: the last layer of emotion, or None if its logits are the head's.
    """

    def __init__(self, backbone: Backbone, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.streams: TaskStreams | None = None
        self.readout: EmotionReadout | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have a head, in their order."""
        return tuple(name for name in self.heads if name != EXPRESSION)

    @property
    def feature_dim(self) -> int:
        """Length of the heads' input features."""
        return self.backbone.feature_dim if self.streams is None else self.streams.feature_dim

    def features(self, images: Tensor, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return each task's features (N, feature_dim) for normalised images float32 (N, 3, S, S)."""
        return self.suffix(self.backbone.prefix(images, 0), 0, tasks)

    def suffix(self, tokens: Tensor, depth: int, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return each task's features for the input of block `depth`, which is the result of `Backbone.prefix`."""
        chosen = self._chosen(tasks)
        if self.streams is None:
            shared = self.backbone.suffix(tokens, depth)
            return dict.fromkeys(chosen, shared)
        last = len(self.backbone.blocks) - 1
        if depth > last:
            raise ValueError(f"the task streams begin in block {last}, so features can't start at block {depth}")
        return self.streams(self.backbone, self.backbone._run(tokens, depth, last), chosen)  # type: ignore[no-any-return]

    def forward_features(
        self, features: Tensor | Mapping[str, Tensor], tasks: Iterable[str] | None = None
    ) -> dict[str, Tensor]:
        """Return each task's logits (N, classes) for features (N, feature_dim), shared or per task."""
        outputs = {
            task: self.heads[task](features if isinstance(features, Tensor) else features[task])
            for task in self._chosen(tasks)
        }
        if self.readout is not None and EMOTION in outputs:
            outputs[EMOTION] = self.readout(outputs[EMOTION], self._expressions(features, outputs))
        return outputs

    def _expressions(self, features: Tensor | Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor | None:
        """Return the visible expressions (N, expressions) that the readout needs, None if there is no such head."""
        if EXPRESSION in outputs or EXPRESSION not in self.heads:
            return outputs.get(EXPRESSION)
        expressions: Tensor = self.heads[EXPRESSION](features if isinstance(features, Tensor) else features[EMOTION])
        return expressions

    def forward(self, images: Tensor, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return each task's logits (N, classes) for normalised images float32 (N, 3, S, S).

        Raises:
            UserError: the model has no head for a task.
        """
        chosen = self._chosen(tasks)
        return self.forward_features(self.features(images, chosen), chosen)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; frozen heads stay as they are, and frozen batch normalisation keeps its statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        for head in self.heads.values():
            if not any(p.requires_grad for p in head.parameters()):
                head.eval()
        return self

    def _chosen(self, tasks: Iterable[str] | None) -> tuple[str, ...]:
        chosen = self.tasks if tasks is None else tuple(tasks)
        if missing := [task for task in chosen if task not in self.heads]:
            raise UserError(f"the model has no head for {missing[0]!r}; it has {', '.join(self.tasks)}.")
        return chosen
