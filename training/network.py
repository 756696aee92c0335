"""The network that a recipe describes, and what of it has to run in every step."""

from collections.abc import Callable, Sequence

from facial_attributes_training.crops import normalised
from facial_attributes_training.recipe import Recipe
from torch import Tensor

from facial_attributes_ros.models.adaptation import Adaptation, build_model
from facial_attributes_ros.models.backbones import build_backbone
from facial_attributes_ros.models.multitask import MultiTaskModel

Forward = Callable[[Tensor, Sequence[str]], dict[str, Tensor]]
"""From a batch's inputs and the tasks asked for to logits (N, classes) per task."""


def build_network(recipe: Recipe) -> MultiTaskModel:
    """Build the recipe's backbone with its starting weights, fresh heads, and its adaptation."""
    wanted = recipe.backbone
    backbone = build_backbone(wanted.name, wanted.weights, wanted.image_size, **wanted.architecture)
    model = build_model(backbone, Adaptation.from_dict(recipe.adaptation), recipe.tasks)
    for head in model.heads.values():
        head.dropout.p = recipe.head_dropout  # type: ignore[union-attr]
    backbone.gradient_checkpointing = recipe.gradient_checkpointing
    return model


def frozen_depth(model: MultiTaskModel) -> int | None:
    """Return how many leading blocks nothing is trained in; None if that goes for the whole backbone."""
    backbone = model.backbone
    if model.streams is None and not any(parameter.requires_grad for parameter in backbone.parameters()):
        return None
    inside = {id(parameter) for block in backbone.blocks for parameter in block.parameters()}
    behind = {id(p) for part in (*backbone.final_norm, backbone.pool) if part is not None for p in part.parameters()}
    if any(p.requires_grad and id(p) not in inside | behind for p in backbone.parameters()):
        return 0
    last = len(backbone.blocks) - (model.streams is not None)
    trained = [any(parameter.requires_grad for parameter in block.parameters()) for block in backbone.blocks]
    return min([index for index, touched in enumerate(trained) if touched] + [last])


def forward_from_inputs(model: MultiTaskModel, recipe: Recipe, depth: int | None) -> Forward:
    """Return the way from a batch's inputs (crops, tokens or features) to the tasks' logits."""
    preprocess = model.backbone.preprocess

    def from_crops(inputs: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return model(normalised(inputs, preprocess.mean, preprocess.std), tasks)  # type: ignore[no-any-return]

    def from_tokens(inputs: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return model.forward_features(model.suffix(inputs.float(), depth or 0, tasks), tasks)

    def from_features(inputs: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return model.forward_features(inputs.float(), tasks)

    if recipe.cache is None:
        return from_crops
    return from_features if depth is None else from_tokens
