"""Convolutional backbones of torchvision, for age in years by transfer learning.

MobileNetV2: Sandler et al., 2018. ResNet18: He et al., 2016.
"""

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from typing_extensions import override

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import disk_errors, locked
from facial_attributes_ros.models.backbones.architecture import CNNS
from facial_attributes_ros.models.backbones.base import Backbone, Preprocess

NAMES: Final = CNNS
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


def build(name: str, image_size: int | None, architecture: dict[str, Any]) -> CNNBackbone:
    """Build a CNN of `NAMES` with random weights and without its classifier; 224 pixels by default.

    Args:
        name: of the network.
        image_size: side of the input in pixels.
        architecture: further arguments of torchvision's constructor, such as `width_mult` of MobileNetV2; checked by
            the caller, see `models.backbones.architecture`.

    Raises:
        UserError: there is no such network.
    """
    import torchvision

    if name not in NAMES:
        raise UserError(f"there is no convolutional backbone {name!r}, only {' and '.join(NAMES)}.")
    trunk = getattr(torchvision.models, name)(weights=None, **architecture)
    if name == "resnet18":
        dim, trunk.fc = trunk.fc.in_features, nn.Identity()
    else:
        dim, trunk.classifier = trunk.last_channel, nn.Identity()
    preprocess = Preprocess(image_size or 224, IMAGENET_MEAN, IMAGENET_STD, "bilinear")
    return CNNBackbone(name, trunk, preprocess, dim)


def published_weights(name: str, which: str) -> Path:
    """Return the file of torchvision's own weights, fetched once into PyTorch's cache and checked by its hash.

    Args:
        name: of `NAMES`.
        which: torchvision's name for them, such as `IMAGENET1K_V1`.

    Raises:
        UserError: there are no such weights, or they can't be fetched.
    """
    import torchvision

    known = {entry.name: entry for entry in torchvision.models.get_model_weights(name)}
    if which not in known:
        raise UserError(f"torchvision has no weights {which!r} of {name}; give hub@NAME with {' or '.join(known)}.")
    address = str(known[which].url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    try:
        with disk_errors(path), locked(path):
            if not path.is_file():
                # torchvision's file names end in the first digits of the SHA-256.
                torch.hub.download_url_to_file(address, str(path), hash_prefix=path.stem.rpartition("-")[2])
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the weights {which} of {name} are missing: {path.name} is not in {path.parent} and could not be fetched "
            f"({error}); bring that file here and give its path as the weights."
        ) from error
    return path
