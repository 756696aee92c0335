"""Convolutional backbones of torchvision, for age in years by transfer learning."""

from typing import Final

import torch
from torch import Tensor, nn
from typing_extensions import override

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones import Backbone, Preprocess

NAMES: Final = ("mobilenet_v2", "resnet18")
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class CNNBackbone(Backbone):
    """A CNN whose blocks are its stages: ResNet's layer1 to layer4, or MobileNetV2's features 1 to 18."""

    @property
    @override
    def blocks(self) -> list[nn.Module]:
        trunk = self.trunk
        if self.name == "resnet18":
            return [trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4]
        return list(trunk.features[1:])

    @override
    def stem(self, images: Tensor) -> Tensor:
        trunk = self.trunk
        if self.name == "resnet18":
            images = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(images))))
        else:
            images = trunk.features[0](images)
        return images

    @override
    def finish(self, tokens: Tensor) -> Tensor:
        return torch.flatten(nn.functional.adaptive_avg_pool2d(tokens, 1), 1)


def build(name: str, image_size: int | None) -> CNNBackbone:
    """Build a CNN of `NAMES` with random weights and without its classifier; 224 pixels by default."""
    import torchvision

    if name not in NAMES:
        raise UserError(f"there is no convolutional backbone {name!r}, only {' and '.join(NAMES)}.")
    trunk = getattr(torchvision.models, name)(weights=None)
    if name == "resnet18":
        dim, trunk.fc = trunk.fc.in_features, nn.Identity()
    else:
        dim, trunk.classifier = trunk.last_channel, nn.Identity()
    preprocess = Preprocess(image_size or 224, IMAGENET_MEAN, IMAGENET_STD, "bilinear")
    return CNNBackbone(name, trunk, preprocess, dim)
