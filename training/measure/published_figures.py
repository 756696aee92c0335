"""How good what is published is: ages and their groups, the stated deviation, and which labels are named for whom."""

from dataclasses import dataclass, field

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.measure import age_spread
from facial_attributes_training.measure.fitted import Named, named
from facial_attributes_training.measure.metrics import Estimate
from facial_attributes_training.measure.published import Ages, Labels
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, GENDER, MISSING
from facial_attributes_ros.models.age_bands import BANDS, bands_of

AGE_BAND = "age_band"
"""Name of the bands of true age among the columns that labels are counted by."""

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AgeRule:
    """A way to choose the age group.

    Attributes:
        exact: proportion of samples whose group is the true one.
        near: proportion whose group is the true one or next to it.
    """

    exact: Estimate
    near: Estimate


@dataclass(frozen=True, slots=True)
class AgeBand:
    """Ages in years of the people of one band of true age.

    Attributes:
        rows: number of samples.
        bias: mean of expected minus true age in years.
        mae: mean absolute error in years.
        deviation: mean stated deviation in years.
        within: proportion of samples whose true age is within one stated deviation of the expected one.
    """

    rows: int
    bias: float
    mae: float
    deviation: float
    within: Estimate


@dataclass(frozen=True, slots=True)
class Published:
    """What is published for one task, on one data set.

    Attributes:
        named: coverage and precision of the labels by value, per column; `age_band` is the band of the true age.
        rules: for ages, the published group, which is that of the expected age, beside the most probable one.
        bands: for ages, errors and stated deviations by band of true age, for those that are known in years.
    """

    named: dict[str, dict[str, Named]]
    rules: dict[str, AgeRule] = field(default_factory=dict)
    bands: dict[str, AgeBand] = field(default_factory=dict)


def measure_published(
    manifest: Manifest, task: str, rows: Rows, labels: Labels, columns: dict[str, NDArray[np.str_]]
) -> Published:
    """Return coverage and precision by group.

    Args:
        manifest: all samples.
        task: which.
        rows: bool (samples,): to measure on; all have a label of the task.
        labels: as they are published.
        columns: str (samples,) per column to group by; empty text for none.
    """
    right = labels.index == manifest.labels[task]
    columns = columns | _band_column(manifest, task)
    found: dict[str, dict[str, Named]] = {}
    for column, values in columns.items():
        for value in sorted(set(values[rows].tolist()) - {""}):
            part = rows & (values == value)
            found.setdefault(column, {})[value] = named(labels.confidence[part], right[part], labels.least[part])
    return Published(found)


def age_rules(truth: NDArray[np.int64], ages: Ages, most_probable: NDArray[np.int64]) -> dict[str, AgeRule]:
    """Return both ways to choose an age group, for samples (samples,) with a true group."""
    choices = {"group of the expected age": ages.groups, "most probable group": most_probable}
    return {name: _age_rule(np.abs(groups - truth)) for name, groups in choices.items()}


def age_bands(true: NDArray[np.floating], ages: Ages) -> dict[str, AgeBand]:
    """Return the figures of every band of true age in years (samples,), NaN where not known."""
    known, found = ~np.isnan(true), {}
    bands = age_spread.spread_bands(true)
    for index, name in enumerate(age_spread.BANDS):
        if (part := known & (bands == index)).any():
            errors = ages.years[part] - true[part]
            inside = int((np.abs(errors) <= ages.deviations[part]).sum())
            found[name] = AgeBand(
                rows=len(errors),
                bias=float(errors.mean()),
                mae=float(np.abs(errors).mean()),
                deviation=float(ages.deviations[part].mean()),
                within=Estimate.of_proportion(inside, len(errors)),
            )
    return found


def _age_rule(steps: NDArray[np.int64]) -> AgeRule:
    count = len(steps)
    exact, near = (Estimate.of_proportion(int((steps <= most).sum()), count) for most in (0, 1))
    return AgeRule(exact, near)


def _band_column(manifest: Manifest, task: str) -> dict[str, NDArray[np.str_]]:
    groups = manifest.labels[AGE]
    if task != GENDER or (groups == MISSING).all():
        return {}
    names = np.array([*BANDS, ""])
    return {AGE_BAND: names[np.where(groups == MISSING, len(BANDS), bands_of(groups))]}
