"""How well two labellers agree about the faces that both have labelled: Cohen's kappa with its interval."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from facial_attributes_training.data.manifest import Manifest
from facial_attributes_training.measure.metrics import Estimate, bootstrap_confusion, confusion_matrix
from facial_attributes_training.prepare.faces import SAME_FACE
from numpy.typing import NDArray

from facial_attributes_ros.attributes import AGE, LABELS, MISSING, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.boxes import overlaps

_SHOWN_PAIRS = 3


@dataclass(frozen=True, slots=True)
class TaskAgreement:
    """The agreement of two labellers in one task.

    Attributes:
        task: which.
        both: number of faces that both have labelled.
        only_one: number of faces that only the first, and only the second has labelled.
        same: fraction of the faces of both with the same label, with its Wilson interval.
        kappa: Cohen's kappa with its bootstrap interval over the faces; NaN where both gave a single label to all.
        weighted: the same with quadratic weights, for age groups, which are in order; None for the other tasks.
        years: mean absolute difference of the ages in years where both know them, NaN where there are none.
        confused: the labels that were confused most often, with their number, in either direction.
    """

    task: str
    both: int
    only_one: tuple[int, int]
    same: Estimate
    kappa: Estimate
    weighted: Estimate | None
    years: float
    confused: tuple[tuple[str, str, int], ...]


def cohens_kappa(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return float64 (...): the agreement beyond chance (J. Cohen, 1960), of matrices (..., classes, classes).

    It is 1 if all labels agree, 0 if they agree as often as by chance, and NaN if both use one label only.

    >>> float(cohens_kappa(np.array([[20, 5], [10, 15]])).round(3))
    0.4
    """
    classes = confusion.shape[-1]
    return _kappa(confusion, 1.0 - np.eye(classes))


def quadratic_kappa(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return float64 (...): Cohen's kappa with weights that are the squared distance of the classes (J. Cohen, 1968).

    Args:
        confusion: (..., classes, classes), of classes in order.
    """
    places = np.arange(confusion.shape[-1])
    return _kappa(confusion, (places[:, None] - places) ** 2.0)


def _kappa(confusion: NDArray[np.integer], weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return one minus the weighted disagreement over that of independent labellers."""
    joint = confusion / confusion.sum(axis=(-2, -1), keepdims=True)
    chance = joint.sum(axis=-1)[..., :, None] * joint.sum(axis=-2)[..., None, :]
    observed, expected = (joint * weights).sum(axis=(-2, -1)), (chance * weights).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, np.nan))


def labeller_agreement(one: Manifest, other: Manifest) -> list[TaskAgreement]:
    """Return the agreement of two labellers in every task that both have labelled.

    Samples belong together if they are of the same image and their boxes are of the same face.

    Raises:
        UserError: they have no face in common.
    """
    mine, theirs = matching_faces(one, other)
    if not len(mine):
        raise UserError(
            "The two files have no face in common: label the same images, and keep the images where they are."
        )
    found = [_task_agreement(task, one, other, mine, theirs) for task in TASKS]
    return [each for each in found if each is not None]


def matching_faces(one: Manifest, other: Manifest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return int64 (pairs,) twice: the samples of two manifests that are of the same face."""
    places: dict[str, list[int]] = {}
    for row, path in enumerate(other.paths.tolist()):
        places.setdefault(os.path.realpath(path), []).append(row)
    pairs = []
    for row, path in enumerate(one.paths.tolist()):
        there = places.get(os.path.realpath(path), [])
        same = [number for number in there if _same_face(one, row, other, number)]
        if same:
            there.remove(same[0])
            pairs.append((row, same[0]))
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _same_face(one: Manifest, row: int, other: Manifest, number: int) -> bool:
    """Return whether two samples of one image are of the same face; one without a box stands for the whole image."""
    if not (one.has_box[row] and other.has_box[number]):
        return True
    return bool(overlaps(one.boxes[[row]], other.boxes[[number]])[0, 0] >= SAME_FACE)


def _task_agreement(
    task: str, one: Manifest, other: Manifest, mine: NDArray[np.int64], theirs: NDArray[np.int64]
) -> TaskAgreement | None:
    first, second = one.labels[task][mine], other.labels[task][theirs]
    said = first != MISSING, second != MISSING
    both = said[0] & said[1]
    if not both.any():
        return None
    confusion = confusion_matrix(first[both], second[both], len(LABELS[task]))
    count = int(both.sum())
    years = np.abs(one.age_years[mine] - other.age_years[theirs]) if task == AGE else np.array([])
    return TaskAgreement(
        task=task,
        both=count,
        only_one=(int((said[0] & ~said[1]).sum()), int((said[1] & ~said[0]).sum())),
        same=Estimate.of_proportion(int(np.trace(confusion)), count),
        kappa=bootstrap_confusion(confusion, cohens_kappa),
        weighted=bootstrap_confusion(confusion, quadratic_kappa) if task == AGE else None,
        years=float(np.nanmean(years)) if np.isfinite(years).any() else float("nan"),
        confused=_confused(task, confusion),
    )


def _confused(task: str, confusion: NDArray[np.int64]) -> tuple[tuple[str, str, int], ...]:
    labels, counts = LABELS[task], confusion + confusion.T
    pairs = Counter(
        {
            (labels[row], labels[column]): int(counts[row, column])
            for row in range(len(labels))
            for column in range(row)
            if counts[row, column]
        }
    )
    return tuple((*pair, count) for pair, count in pairs.most_common(_SHOWN_PAIRS))


def agreement_rows(found: Sequence[TaskAgreement]) -> list[tuple[str, ...]]:
    """Return the cells of a table: task, faces of both, same label, kappa, weighted kappa, confused."""
    from facial_attributes_ros.text import with_interval

    def cell(value: Estimate | None, *, percent: bool = False) -> str:
        if value is None or np.isnan(value.value):
            return "-"
        return with_interval(value.value, value.low, value.high, 0 if percent else 2, percent=percent)

    return [
        (
            each.task,
            str(each.both),
            cell(each.same, percent=True),
            cell(each.kappa),
            cell(each.weighted),
            ", ".join(f"{one} / {other} {count}" for one, other, count in each.confused) or "-",
        )
        for each in found
    ]
