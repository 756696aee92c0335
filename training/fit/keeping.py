"""Learning without forgetting: what a run that continues a model does to keep its parent's predictions.

Besides the labels of the new images, the training target is what the parent predicts (Z. Li and D. Hoiem, 2016,
Learning without forgetting), for two kinds of faces:

- the new images themselves: outputs without labels keep their predictions, and classes without samples some of their
  probability, while the labels say what is wrong with the rest;
- the same faces as the parent's own training images might show them: their features, shifted and scaled so that every
  feature has the mean and the deviation that it had there, which the batch normalisation of the parent's heads has
  recorded. What the new camera does to features is mostly such a shift (Y. Li and others, 2018, Adaptive batch
  normalization for practical domain adaptation), so that the model learns what is special to the new images, and
  keeps the parent's predictions elsewhere, although no image from elsewhere is at hand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from facial_attributes_training.fit.network import Features, features_from_inputs
from facial_attributes_training.recipe.schema import Recipe
from torch import Tensor, nn

from facial_attributes_ros.attributes import AGE
from facial_attributes_ros.models.expression import EXPRESSION
from facial_attributes_ros.models.multitask import MultiTaskModel

DEVIATIONS: Final = {EXPRESSION: 0.15, AGE: 0.1}
"""Standard deviations of the outputs that are numbers, in which their distance from the parent's is counted: about
those of the estimates from two images of one face."""
_FEWEST: Final = 8
"""Faces of a batch from which on its features have a mean and a deviation worth the name."""
_LEAST: Final = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class TwoSteps:
    """A network in two steps: features from the inputs of a batch, outputs by name from features."""

    features: Callable[[Tensor], Features]
    outputs: Callable[[Features], dict[str, Tensor]]

    @classmethod
    def of(cls, model: MultiTaskModel, recipe: Recipe, depth: int | None, names: Sequence[str]) -> "TwoSteps":
        """Return the steps of a model for some outputs; `depth` is that of `network.forward_from_inputs`."""
        features = features_from_inputs(model, recipe, depth)
        return cls(lambda inputs: features(inputs, names), lambda values: model.forward_features(values, names))


class Keeper:
    """The distance of a model's predictions from its parent's.

    It is no module, so that the parent is neither trained nor stored.

    Args:
        model: computes the outputs of the loss and those to keep.
        parent: computes those to keep.
        names: the outputs to keep.
        home: mean and deviation float32 (features,) of the parent's training features, per output whose head knows
            them.
        among: bool (classes,) per task whose other classes are masked.
        weight: of the distance in the loss.
        in_years: whether the age is a number.
    """

    def __init__(
        self,
        model: TwoSteps,
        parent: TwoSteps,
        names: Sequence[str],
        home: Mapping[str, tuple[Tensor, Tensor]],
        among: Mapping[str, Tensor],
        weight: float = 1.0,
        in_years: bool = False,
    ) -> None:
        self.model, self.parent, self.names, self.home = model, parent, tuple(names), home
        self.among, self.weight = among, weight
        self._numbers = {EXPRESSION, *((AGE,) if in_years else ())}

    def outputs_and_loss(self, inputs: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the model's outputs for the inputs of a batch, and the weighted distance from its parent, a scalar."""
        features = self.model.features(inputs)
        outputs = self.model.outputs(features)
        with torch.no_grad():
            before = self.parent.features(inputs)
            targets = self.parent.outputs(before)
        distance = self._distance(outputs, targets, self.names)
        if len(inputs) >= _FEWEST and self.home:
            with torch.no_grad():
                targets = self.parent.outputs(self._at_home(before))
            given = self.model.outputs(self._at_home(features))
            distance = distance + self._distance(given, targets, tuple(self.home))
        return outputs, self.weight * distance

    def _at_home(self, features: Features) -> Features:
        """Return features (N, D) with the mean and the deviation of the parent's training features."""
        if isinstance(features, Tensor):
            return restyled(features, *next(iter(self.home.values())))
        known = next(iter(self.home))
        return {name: restyled(values, *self.home.get(name, self.home[known])) for name, values in features.items()}

    def _distance(self, given: Mapping[str, Tensor], targets: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
        return torch.stack([self._of(name, given[name].float(), targets[name].float()) for name in names]).sum()

    def _of(self, name: str, given: Tensor, target: Tensor) -> Tensor:
        if name in self._numbers:
            scaled = (given - target) / DEVIATIONS[name]
            return F.smooth_l1_loss(scaled, torch.zeros_like(scaled))
        if name in self.among:
            among = self.among[name].to(given.device)
            given, target = given[:, among], target[:, among]
        return divergence(target, given)


def divergence(target: Tensor, given: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence of a model's distributions from its parent's, a scalar.

    Args:
        target: float (N, classes): logits of the parent.
        given: float (N, classes): logits of the model.
    """
    found, wanted = given.log_softmax(dim=1), target.log_softmax(dim=1)
    return F.kl_div(found, wanted, reduction="batchmean", log_target=True)


def restyled(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return features (N, D) shifted and scaled to a mean and a deviation (D,) in the batch."""
    centre, spread = features.mean(dim=0), features.std(dim=0)
    return (features - centre) / (spread + _LEAST) * deviation + mean


def home_of(model: MultiTaskModel, names: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and deviation of the features that the heads of some outputs were trained on, if they know them."""
    found = {}
    for name in names:
        norm = getattr(model.heads[name], "norm", None)
        if isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None and norm.running_var is not None:
            found[name] = (norm.running_mean.clone(), (norm.running_var + norm.eps).sqrt())
    return found
