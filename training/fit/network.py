"""The network of a recipe, and the part of it that runs in every step."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from facial_attributes_training.data.crops import normalised
from facial_attributes_training.fit.checkpointing import load_checkpoint
from facial_attributes_training.fit.parent import continued_network
from facial_attributes_training.recipe.schema import Recipe
from torch import Tensor

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model, trained_tensors
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.checkpoint import load_into
from facial_attributes_ros.models.multitask import MultiTaskModel

Forward = Callable[[Tensor, Sequence[str]], dict[str, Tensor]]
"""Maps a batch's inputs and the wanted tasks to logits (N, classes) per task."""
Features = Tensor | Mapping[str, Tensor]
"""Features (N, D) of all tasks, or per task."""
FeatureForward = Callable[[Tensor, Sequence[str]], Features]
"""Maps a batch's inputs and the wanted tasks to features."""


def build_network(recipe: Recipe) -> MultiTaskModel:
    """Build the network of a recipe with its adaptation: new heads on its backbone, or the model that it continues.

    Raises:
        UserError: the backbone, its weights or the starting model are missing or don't fit.
    """
    if recipe.backbone.parent is not None:
        model = continued_network(recipe)
    else:
        model = build_model(
            build_starting_backbone(recipe),
            Adaptation.from_dict(recipe.adaptation),
            recipe.tasks,
            recipe.age_in_years,
            recipe.data.expressions is not None,
        )
    if recipe.backbone.from_checkpoint:
        start_from_checkpoint(model, Path(str(recipe.backbone.start)))
    for head in model.heads.values():
        head.dropout.p = recipe.head_dropout  # type: ignore[union-attr]
    model.backbone.gradient_checkpointing = recipe.gradient_checkpointing
    return model


def build_starting_backbone(recipe: Recipe) -> Backbone:
    """Build the recipe's backbone with its weights before any training."""
    wanted = recipe.backbone
    return build_backbone(wanted.name, wanted.weights, wanted.image_size, **wanted.architecture)


def start_from_checkpoint(model: MultiTaskModel, path: Path) -> None:
    """Copy the weights of a stopped run's checkpoint into a model of the same adaptation, in place.

    Raises:
        UserError: there is no such checkpoint, or it does not fit.
    """
    if not path.is_file():
        raise UserError(f"backbone.start {path}: there is no such checkpoint; a run's is OUTPUT/stage/last.pt.")
    found = load_checkpoint(path).get("model")
    if not isinstance(found, dict):
        raise UserError(f"backbone.start {path} is not a checkpoint of a run of this package.")
    tensors = {name.removeprefix("model."): value for name, value in found.items() if name.startswith("model.")}
    state, trained = model.state_dict(), trained_tensors(model)
    unfit = [name for name, value in tensors.items() if name not in trained or value.shape != state[name].shape]
    if unfit:
        raise UserError(
            f"the checkpoint {path} has {unfit[0]}, which this recipe does not train in this shape: use the "
            "adaptation, the image size and the tasks of its run."
        )
    load_into(model, tensors, expected=tensors.keys())


def frozen_depth(model: MultiTaskModel) -> int | None:
    """Return the number of leading frozen blocks; None if the whole backbone is frozen."""
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


def features_from_inputs(model: MultiTaskModel, recipe: Recipe, depth: int | None) -> FeatureForward:
    """Return the function from a batch's inputs (crops, tokens or features) to the features of the tasks' heads."""
    preprocess = model.backbone.preprocess

    def from_crops(inputs: Tensor, tasks: Sequence[str]) -> Features:
        return model.features(normalised(inputs, preprocess.mean, preprocess.std), tasks)

    def from_tokens(inputs: Tensor, tasks: Sequence[str]) -> Features:
        return model.suffix(inputs.float(), depth or 0, tasks)

    def from_features(inputs: Tensor, _tasks: Sequence[str]) -> Features:
        return inputs.float()

    if recipe.cache is None:
        return from_crops
    return from_features if depth is None else from_tokens


def forward_from_inputs(model: MultiTaskModel, recipe: Recipe, depth: int | None) -> Forward:
    """Return the function from a batch's inputs to the tasks' logits."""
    features = features_from_inputs(model, recipe, depth)
    return lambda inputs, tasks: model.forward_features(features(inputs, tasks), tasks)
