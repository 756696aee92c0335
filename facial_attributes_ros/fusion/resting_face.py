"""The offset of each tracked person's resting face, filtered together with the emotion.

A network calls some people sad whenever they are at rest. What stays is the person; what changes is the expression. So
the centred log probabilities z of one view are taken to be

    z = mean of the emotion + h b + noise,    b ~ N(0, B),    h = 1 at rest and the coupling otherwise,

a mixed-effects model with the person's offset b, whose constants are measured on labelled people
(`models/resting_face.py`). Emotions follow the hidden Markov model of `belief.TaskBelief`. The filter alternates one
step of each, in closed form: the likelihood of every emotion with the offset integrated out, and then the best linear
unbiased prediction of the offset (Henderson 1975; as in speaker adaptation, Gauvain and Lee 1994) from the residuals of
all views, each counted for an emotion by that emotion's posterior probability (assumed density filtering).

Two limits keep it honest. Observations of other expressions never reveal more of the face at rest than the coupling
allows. And the offset is bounded: a face that has never been seen to change may as well be sad, so that little is
taken away from it; one that returns to the same look after other expressions is at rest in it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from facial_attributes_ros.attributes import EMOTION, LABELS
from facial_attributes_ros.fusion.effective_sample_size import Array, log_softmax
from facial_attributes_ros.fusion.rows import Rows
from facial_attributes_ros.models.resting_face import RestingFaceFacts

_NEUTRAL: Final = LABELS[EMOTION].index("neutral")

_TEMPERING: Final = 0.6
"""Power of the likelihood of a view: the views of one expression share errors that no offset of the person explains."""

EXPRESSION_FRACTION: Final = 0.5
"""Correlation time of what views say about the offset, as a fraction of the mean duration of an emotion: the views of
one expression resemble each other."""

_OUTLIERS: Final = 0.01
"""Outlier rate, as in `belief`."""

_LEAST: Final = 1e-12
"""Smallest probability whose logarithm is taken, and smallest correlation, so that nothing is divided by 0."""

_BOUND: Final = (0.7, 2.5)
"""Largest length of an offset in standard deviations of one direction: while the face has not been seen to change, and
once it has. Some people's offsets are longer, but with more room, weak expressions are taken for the resting face."""

_CHANGED: Final = 0.05
"""Fraction of observations in other expressions at which half of the difference between these bounds is allowed."""

_FEW: Final = 2.0
"""Effective samples that are added before that fraction is taken, so that a glimpse of another expression is little."""


@dataclass(frozen=True, slots=True, eq=False)
class OffsetModel:
    """The constants of the mixed-effects model, for calibrated log probabilities.

    Attributes:
        means: (emotions, emotions) mean centred log probabilities of each emotion, which are the rows.
        total: variance around the mean of the emotion, in one direction.
        between: variance of the offset at rest between people, in one direction; less than `total`.
        coupling: (emotions,) how much of the offset is found in each emotion: 1 for neutral.
    """

    means: Array
    total: float
    between: float
    coupling: Array

    @classmethod
    def of(cls, facts: RestingFaceFacts, temperature: float) -> Self:
        """Return the constants from a model's facts and the temperature that its emotion logits are divided by."""
        coupling = np.full(len(LABELS[EMOTION]), facts.coupling)
        coupling[_NEUTRAL] = 1.0
        total = facts.variance / temperature**2
        between = max(facts.intraclass_correlation, _LEAST) * total
        return cls(facts.mean_array() / temperature, total, between, coupling)


@dataclass(slots=True, eq=False)
class RestingFaces(Rows):
    """What is known of the resting faces of all tracks.

    Attributes:
        model: the constants.
        counts: (N, emotions) effective samples of each emotion.
        at_rest: (N, emotions) sum of the residuals of neutral views.
        otherwise: (N, emotions) sum of the residuals of other views.
    """

    model: OffsetModel
    counts: Array
    at_rest: Array
    otherwise: Array

    @classmethod
    def blank(cls, model: OffsetModel, count: int) -> Self:
        """Return the resting faces of a number of people of whom nothing is known."""
        return cls(model, *(np.zeros((count, len(model.means))) for _ in range(3)))

    @property
    def variance(self) -> Array:
        """(N,) posterior variances of the offsets in one direction, from `model.between` down to 0."""
        precision, _ = self._precision()
        return 1 / precision

    @property
    def known(self) -> Array:
        """(N,) how well the resting faces are known: 0 for a newcomer, towards 1 for a face often seen at rest."""
        return 1 - self.variance / self.model.between

    @property
    def offset(self) -> Array:
        """(N, emotions) the expected offsets at rest in centred log probabilities, within the bound."""
        precision, per_other = self._precision()
        noise = self.model.total - self.model.between
        mean = (self.at_rest / noise + per_other[:, None] * self.otherwise) / precision[:, None]
        length = np.linalg.norm(mean, axis=1) / np.sqrt(self.model.between)
        return np.asarray(mean * np.minimum(1.0, self._bound() / np.maximum(length, 1e-9))[:, None])

    def log_likelihood(self, probabilities: NDArray[np.floating]) -> Array:
        """Return (N, emotions) log likelihoods of the emotions with the offsets integrated out, up to a constant.

        Args:
            probabilities: (N, emotions) calibrated predictions for one view of each face.
        """
        model, offset = self.model, self.offset
        residuals = centred(probabilities)[:, None] - model.means - model.coupling[:, None] * offset[:, None]
        known = model.between - self.variance
        variance = model.total - model.coupling**2 * known[:, None]
        dimensions = residuals.shape[-1] - 1
        likelihood = -(residuals**2).sum(axis=-1) / variance / 2 - dimensions * np.log(variance) / 2
        classes = likelihood.shape[1]
        posterior = np.exp(log_softmax(_TEMPERING * likelihood))
        return np.asarray(np.log((1 - _OUTLIERS) * posterior + _OUTLIERS / classes))

    def update(self, probabilities: NDArray[np.floating], posterior: Array, samples: Array, kept: Array) -> None:
        """Add one view of each face to the residuals.

        Args:
            probabilities: (N, emotions) calibrated predictions.
            posterior: (N, emotions) probabilities of the emotions given this view and all before it.
            samples: (N,) effective samples that the view adds.
            kept: (N,) factor by which older views lose their weight.
        """
        counts = samples[:, None] * posterior
        residuals = centred(probabilities)[:, None] - self.model.means
        weighted = counts[..., None] * residuals
        self.counts = kept[:, None] * self.counts + counts
        self.at_rest = kept[:, None] * self.at_rest + weighted[:, _NEUTRAL]
        self.otherwise = kept[:, None] * self.otherwise + weighted.sum(axis=1) - weighted[:, _NEUTRAL]

    def _precision(self) -> tuple[Array, Array]:
        """Return (N,) posterior precisions of the offsets, and what the sum of other residuals is multiplied by.

        The part of another expression that does not follow the offset is the same in all its views, so their number
        reduces its noise but not that part.
        """
        between, total, coupling = self.model.between, self.model.total, float(self.model.coupling.min())
        neutral, others = self.counts[:, _NEUTRAL], self.counts.sum(axis=1) - self.counts[:, _NEUTRAL]
        own = (1 - coupling**2) * between
        per_other = coupling / (total - between + others * own)
        return 1 / between + neutral / (total - between) + coupling * others * per_other, per_other

    def _bound(self) -> Array:
        """Return (N,) largest lengths of the offsets, in standard deviations of one direction."""
        others = np.delete(self.counts, _NEUTRAL, axis=1)
        changed = (others.sum(axis=1) - others.max(axis=1)) / (self.counts.sum(axis=1) + _FEW)
        return np.asarray(_BOUND[0] + (_BOUND[1] - _BOUND[0]) * changed / (changed + _CHANGED))


def centred(probabilities: NDArray[np.floating]) -> Array:
    """Return (N, classes) logarithms of probabilities, shifted so that each row sums to 0."""
    logarithms = np.log(np.maximum(np.asarray(probabilities, np.float64), _LEAST))
    return np.asarray(logarithms - logarithms.mean(axis=1, keepdims=True))
