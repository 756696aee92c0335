"""A model and the one that it continues, side by side: the tables, and the sentence on whether to use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from facial_attributes_training.fit.run_folder import PARENT_FILE
from facial_attributes_training.measure.against_parent import ALLOWED_LOSS, FEWEST, NEW
from facial_attributes_training.measure.fitted import FEW_ROWS
from facial_attributes_training.reports.tables import Json, table

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import read_json
from facial_attributes_ros.text import with_interval

_COLUMNS: Final = ("images", "task", "faces", "accuracy, %", "gained, points", "NLL", "Brier", "ECE, %", "coverage, %",
                   "precision, %")  # fmt: skip
_SAME: Final = 1e-4
"""Largest difference of a probability that is rounding."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What a report says of a model and its parent.

    Attributes:
        verdict: whether to use the model, in one sentence.
        remarks: further sentences.
        figures: the table, in Markdown.
    """

    verdict: str
    remarks: tuple[str, ...]
    figures: str


def side_by_side(folder: Path) -> SideBySide | None:
    """Return what to say of a run's model and its parent, None if the run continued no model or is not finished.

    Raises:
        UserError: the run's file is damaged.
    """
    path = folder / PARENT_FILE
    if not path.is_file():
        return None
    found: dict[str, Any] = read_json(path)
    try:
        changes = found["changes"]
        return SideBySide(
            verdict(changes, found["parent"]), tuple(_remarks(changes, found["kept"], found["lost"])), _table(changes)
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} can't be read ({error}): train again.") from error


def verdict(changes: Sequence[Json], parent: str) -> str:
    """Return whether to use a model instead of its parent, in one sentence.

    Args:
        changes: as `measure.against_parent.Change` becomes in JSON.
        parent: name, version and hash of the parent.
    """
    new = [change for change in changes if change["samples"] == NEW and change["learned"]]
    if not new:
        return f"Keep {parent}: nothing shows that the new model is better, since no labelled image was measured."
    worse = [change for change in new if change["accuracy"]["high"] < 0 or change["nll"]["low"] > 0]
    if worse:
        return f"Do not use this model, keep {parent}: on the new images {_and(map(_said, worse))}."
    elsewhere = [change for change in changes if change["samples"] != NEW and _is_lost(change)]
    better = [change for change in new if change["accuracy"]["low"] > 0 or change["nll"]["high"] < 0]
    if not better:
        return (
            f"Keep {parent} for now: on the new images {_and(map(_said, new))}, which may be chance; label more images "
            "and train again."
        )
    gained = f"on the new images {_and(map(_said, better))}"
    if elsewhere:
        return (
            f"Use this model on the camera of the new images only: {gained}, but on {_and(map(_lost, elsewhere))}; "
            f"elsewhere keep {parent}."
        )
    return f"Use this model instead of {parent}: {gained}."


def _is_lost(change: Json) -> bool:
    return bool(change["rows"] >= FEWEST and change["accuracy"]["value"] < -ALLOWED_LOSS)


def _said(change: Json) -> str:
    before, after = (100 * change[model]["accuracy"] for model in ("parent", "model"))
    gained = change["accuracy"]
    interval = with_interval(gained["value"], gained["low"], gained["high"], percent=True, sign=True)
    return (
        f"{change['task']} is right in {after:.1f} % of {change['rows']} faces instead of {before:.1f} % ({interval})"
    )


def _lost(change: Json) -> str:
    return f"{change['samples']} {change['task']} loses {-100 * change['accuracy']['value']:.1f} points"


def _and(parts: "Sequence[str] | map[str]") -> str:
    return " and ".join(parts)


def _remarks(changes: Sequence[Json], kept: Sequence[Json], lost: Sequence[str]) -> list[str]:
    found = [
        f"Only {change['rows']} labelled faces were measured for {change['task']}; with fewer than {FEW_ROWS} the "
        "figures are rough, and confidences may become lower than the parent's, but not higher."
        for change in changes
        if change["samples"] == NEW and change["learned"] and change["rows"] < FEW_ROWS
    ]
    if all(change["samples"] == NEW for change in changes):
        found.append(
            "What the model loses on images of other cameras was not measured: name images like the parent's in "
            "data.reference."
        )
    for entry in kept:
        unchanged = "gives the same numbers as before" if entry["largest"] < _SAME else _followed(entry)
        found.append(f"{entry['task'].capitalize()} was not learned and {unchanged}.")
    return found + list(lost)


def _followed(entry: Json) -> str:
    return (
        f"has the parent's label in {100 * entry['same']:.1f} % of {entry['rows']} new faces (a probability changed by "
        f"{entry['largest']:.2f} at most)"
    )


def _table(changes: Sequence[Json]) -> str:
    rows = []
    for change in changes:
        gained = change["accuracy"]
        accuracy, *others = both_figures(change)
        rows.append(
            (
                change["samples"],
                change["task"] + ("" if change["learned"] else " (kept)"),
                str(change["rows"]),
                accuracy,
                with_interval(gained["value"], gained["low"], gained["high"], percent=True, sign=True),
                *others,
            )
        )
    return table(_COLUMNS, rows)


def both_figures(change: Json) -> list[str]:
    """Return accuracy, NLL, Brier score, calibration error, coverage and precision of both models, as cells."""
    forms = {"accuracy": (100, 1), "nll": (1, 3), "brier": (1, 3)}
    forms |= dict.fromkeys(("calibration_error", "coverage", "precision"), (100, 1))
    return [_both(change, name, *form) for name, form in forms.items()]


def _both(change: Mapping[str, Any], name: str, scale: float, digits: int) -> str:
    """Return a figure of the parent and of the model."""
    values = (change[model][name] for model in ("parent", "model"))
    return " → ".join("none" if value is None else f"{scale * value:.{digits}f}" for value in values)
