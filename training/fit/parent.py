"""The model that a run continues: what the run takes over from it, and its network with a new adaptation."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.recipe.schema import BackboneRecipe, Recipe
from numpy.typing import NDArray
from torch import Tensor, nn

from facial_attributes_ros.attributes import AGE, EMOTION, LABELS, MISSING, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.difference import own_difference
from facial_attributes_ros.models.adaptations.ladder import Adaptation, apply
from facial_attributes_ros.models.backbones.reference import is_hub_reference
from facial_attributes_ros.models.expression import EXPRESSION
from facial_attributes_ros.models.heads import build_heads
from facial_attributes_ros.models.multitask import MultiTaskModel
from facial_attributes_ros.models.registry import load_model, model_folder
from facial_attributes_ros.models.spec import ModelSpec

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Parent:
    """A trained model that a run continues.

    Attributes:
        spec: its description, with its present hash.
        difference: its tensors as one difference from its starting weights.
        state: of its network, adapters merged.
    """

    spec: ModelSpec
    difference: dict[str, Tensor]
    state: dict[str, Tensor]

    @classmethod
    def read(cls, start: str) -> Self:
        """Read a model by its name or folder.

        Raises:
            UserError: there is no such model, or it is damaged.
        """
        folder = model_folder(start)
        state = {name: value.clone() for name, value in load_model(folder)[0].state_dict().items()}
        return cls(ModelSpec.identified(folder), own_difference(folder), state)


def parent_spec(recipe: Recipe) -> ModelSpec | None:
    """Return the description of the model that a run continues, None if it continues none.

    Raises:
        UserError: there is no such model, or its description is wrong.
    """
    return None if recipe.backbone.parent is None else ModelSpec.read(model_folder(recipe.backbone.parent))


def with_parent(recipe: Recipe, training: Manifest) -> Recipe:
    """Return a recipe with everything that it leaves to the model that it continues, and the tasks that it learns.

    Args:
        recipe: of any run; unchanged if it continues no model.
        training: the training samples.

    Raises:
        UserError: the recipe and the model contradict each other, or no sample has a label to learn.
    """
    spec = parent_spec(recipe)
    if spec is None:
        return recipe
    data = {"crop": spec.crop, "crop_margin": spec.crop_margin}
    data = {name: value for name, value in data.items() if name not in recipe.data.model_fields_set}
    tasks = tuple(task for task in recipe.tasks if (training.labels[task] != MISSING).any())
    if not tasks:
        raise UserError(
            f"no training sample has a label of {' or '.join(recipe.tasks)}, so there is nothing to learn: label "
            "images, or add them to tasks."
        )
    in_years = "groups" if spec.age_regression is None else "years"
    if AGE in tasks and AGE in spec.tasks and "age_as" in recipe.model_fields_set and recipe.age_as != in_years:
        raise UserError(f"backbone.start {recipe.backbone.start} learned age as {in_years}: set age_as={in_years}.")
    own = Adaptation.from_dict(spec.adaptation)
    heads = {"batch_norm": own.batch_norm, "hidden": own.hidden}
    return recipe.model_copy(
        update={
            "backbone": _backbone(recipe.backbone, spec),
            "data": recipe.data.model_copy(update=data),
            "tasks": tasks,
            "age_as": in_years if AGE in spec.tasks else recipe.age_as,
            "adaptation": Adaptation.from_dict(recipe.adaptation | heads).to_dict(),
        }
    )


def _backbone(given: BackboneRecipe, spec: ModelSpec) -> BackboneRecipe:
    """Return the backbone of the parent.

    Raises:
        UserError: the recipe states another one.
    """
    own = spec.backbone
    weights = own.weights
    if weights == "included":
        weights = None
    elif weights not in (None, "asset") and not is_hub_reference(weights):
        folder = model_folder(str(given.start))
        weights = str((folder / Path(str(weights)).expanduser()).resolve())
    values: dict[str, Any] = {
        "name": own.name,
        "weights": weights,
        "image_size": spec.image_size,
        "architecture": own.architecture,
    }
    for name, value in values.items():
        stated = getattr(given, name)
        if name == "weights" and stated is not None and Path(str(stated)).is_file():
            stated = str(Path(str(stated)).resolve())
        if name in given.model_fields_set and stated not in (value, None):
            raise UserError(
                f"backbone.start {given.start} has {name} {value}, not {stated}: remove backbone.{name} from the "
                "recipe, since a run that continues a model keeps its backbone."
            )
    return given.model_copy(update=values)


def continued_network(recipe: Recipe) -> MultiTaskModel:
    """Load the model that a recipe continues, with heads for new tasks, and apply the recipe's adaptation.

    Before it is trained, it predicts what its parent does. Heads of the parent keep the statistics of their batch
    normalisation: those of a few images of one camera would change what the head says of all others.

    Args:
        recipe: as `with_parent` returned it.

    Raises:
        UserError: the model is missing or damaged, or the adaptation does not suit it.
    """
    start = str(recipe.backbone.start)
    model, spec = load_model(start)
    model.requires_grad_(False)
    known = spec.all_outputs
    new = tuple(task for task in recipe.tasks if task not in known)
    if new and model.streams is not None:
        raise UserError(f"{start} has a stream per task, and none of {new[0]}, so it can't learn that.")
    expression = recipe.data.expressions is not None and EXPRESSION not in model.heads
    adaptation = Adaptation.from_dict(recipe.adaptation)
    if new or expression:
        form = (adaptation.hidden, adaptation.batch_norm)
        fresh = build_heads(model.feature_dim, new, *form, age_in_years=recipe.age_in_years, expression=expression)
        heads = {**model.heads, **fresh}
        model.heads = nn.ModuleDict({name: heads[name] for name in (*TASKS, EXPRESSION) if name in heads})
    apply(model, adaptation)
    if model.readout is not None:
        model.readout.requires_grad_(EMOTION in recipe.tasks)
    train_heads(model, recipe.tasks, known, recipe.data.expressions is not None)
    _LOGGER.info("The run continues %s; it learns %s.", spec.title, " and ".join(recipe.tasks))
    return model


def train_heads(model: MultiTaskModel, tasks: Sequence[str], known: Sequence[str], expression: bool = False) -> None:
    """Set which heads are trained: those of the tasks, without the batch normalisation of known ones."""
    for name, head in model.heads.items():
        head.requires_grad_(name in tasks or (name == EXPRESSION and expression))
        if name in known:
            head.norm.requires_grad_(False)


def stored_adaptation(adaptation: Adaptation, parent: Adaptation) -> Adaptation:
    """Return the adaptation of a model's description that a run of this adaptation made from a parent."""
    if parent.task_specific:
        adaptation = replace(adaptation, task_specific=True, rank=parent.rank, alpha=parent.alpha)
    return replace(adaptation, merged=True)


def learned_classes(labels: NDArray[np.int64], task: str) -> NDArray[np.bool_]:
    """Return bool (classes,): which classes of a task have samples."""
    return np.isin(np.arange(len(LABELS[task])), labels)
