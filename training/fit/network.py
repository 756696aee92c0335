"""The network of a recipe, and the part of it that runs in every step."""

from collections.abc import Callable, Sequence
from pathlib import Path

from facial_attributes_training.data.crops import normalised
from facial_attributes_training.fit.checkpointing import load_checkpoint
from facial_attributes_training.recipe.schema import Recipe
from torch import Tensor

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model, trained_tensors
from facial_attributes_ros.models.arrays import IN, OUT
from facial_attributes_ros.models.backbones.base import Backbone
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.checkpoint import load_into, load_tensors
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.registry import load_model, model_folder
from facial_attributes_ros.models.spec import ModelSpec

Forward = Callable[[Tensor, Sequence[str]], dict[str, Tensor]]
"""Maps a batch's inputs and the wanted tasks to logits (N, classes) per task."""


def build_network(recipe: Recipe) -> MultiTaskModel:
    """Build the recipe's backbone with its starting weights, fresh heads, and its adaptation.

    Raises:
        UserError: the backbone, its weights or the starting model are missing or don't fit.
    """
    adaptation = Adaptation.from_dict(recipe.adaptation)
    model = build_model(
        build_starting_backbone(recipe),
        adaptation,
        recipe.tasks,
        recipe.age_in_years,
        recipe.data.expressions is not None,
    )
    if recipe.backbone.start is not None:
        start_from(model, recipe.backbone.start)
    for head in model.heads.values():
        head.dropout.p = recipe.head_dropout  # type: ignore[union-attr]
    model.backbone.gradient_checkpointing = recipe.gradient_checkpointing
    return model


def build_starting_backbone(recipe: Recipe) -> Backbone:
    """Build the recipe's backbone with its weights before any training."""
    wanted = recipe.backbone
    return build_backbone(wanted.name, wanted.weights, wanted.image_size, **wanted.architecture)


def start_from(model: MultiTaskModel, start: str) -> None:
    """Copy a trained model's backbone and heads into a model that trains at least as much of the backbone, in place.

    Heads of tasks that the trained model does not have stay as they are.

    Raises:
        UserError: there is no such model, it has another backbone or task streams, or it was changed where this one
            is frozen.
    """
    if start.endswith(".pt"):
        _start_from_checkpoint(model, Path(start))
        return
    folder = model_folder(start)
    spec = ModelSpec.read(folder)
    if spec.backbone.name != model.backbone.name:
        raise UserError(f"backbone.start {start} has the backbone {spec.backbone.name}, not {model.backbone.name}.")
    begun, _ = load_model(start)
    if begun.streams is not None:
        raise UserError(f"backbone.start {start} has a stream per task, which can't be trained further in one.")
    state, trained = model.state_dict(), trained_tensors(model)
    changed = {name.removesuffix(OUT).removesuffix(IN) for name in load_tensors(folder)}
    copied = {name: value for name, value in begun.state_dict().items() if name in trained}
    misshaped = [name for name, value in copied.items() if value.shape != state[name].shape]
    frozen = [name for name in changed & state.keys() - trained.keys() if not name.startswith("heads.")]
    if misshaped or frozen:
        raise UserError(
            f"backbone.start {start} does not fit at {sorted(misshaped + frozen)[0]}: use its image size, and an "
            f"adaptation that trains every part that it trained ({spec.adaptation['name']})."
        )
    load_into(model, copied, expected=copied.keys())


def _start_from_checkpoint(model: MultiTaskModel, path: Path) -> None:
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


def forward_from_inputs(model: MultiTaskModel, recipe: Recipe, depth: int | None) -> Forward:
    """Return the function from a batch's inputs (crops, tokens or features) to the tasks' logits."""
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
