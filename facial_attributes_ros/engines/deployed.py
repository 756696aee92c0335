"""The network as it is deployed: images in, logits out, with the colour handling inside."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.spec import ModelSpec


class DeployedModel(nn.Module):
    """A merged model that takes crops as OpenCV holds them.

    Args:
        model: in evaluation mode, adapters merged.
        spec: with the mean and the standard deviation of the channels.
        tasks: which logits `forward` returns, in this order.

    Attributes:
        dtype: precision of the network; colours are always normalised in float32.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: MultiTaskModel, spec: ModelSpec, tasks: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.tasks = tuple(tasks)
        self.dtype = torch.float32
        mean, std = (torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (spec.mean, spec.std))
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", mean / std, persistent=False)

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Convert the network to a half type, with channels last, as tensor cores want it."""
        self.dtype = dtype
        self.model.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return the logits float32 (N, classes) of every task for crops uint8 (N, S, S, 3), BGR."""
        # Converted first, since the only operation of TensorRT on bytes is a conversion.
        return self.from_planes(crops.float().permute(0, 3, 1, 2))

    def from_planes(self, planes: Tensor, tasks: Sequence[str] | None = None) -> tuple[Tensor, ...]:
        """Return the same for (N, 3, S, S), BGR, 0 to 255, of any type; of some tasks only if they are given."""
        tasks = self.tasks if tasks is None else tasks
        logits = self.model(self._normalised(planes), tasks)
        return tuple(logits[task].float() for task in tasks)

    def shared_features(self, planes: Tensor) -> tuple[Tensor]:
        """Return the features (N, D) for the heads of all tasks, in a model without task streams."""
        return (self.model.backbone(self._normalised(planes)),)

    def head(self, features: Tensor, task: str) -> tuple[Tensor]:
        """Return the logits float32 (N, classes) of one task for features (N, D)."""
        return (self.model.forward_features(features, (task,))[task].float(),)

    def _normalised(self, planes: Tensor) -> Tensor:
        # No index by a list, which would be copied to the device while a graph is recorded.
        rgb = planes.float().flip(1)
        return (rgb * self.scale - self.shift).to(self.dtype)
