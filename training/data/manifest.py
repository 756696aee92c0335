"""Manifests: CSV files of labelled samples, each with the path of an image and the labels of a face in it.

Columns are `path,split,source,age_years,age_group,gender,emotion,box_x,box_y,box_w,box_h`. Paths are relative to the
CSV; `shard.tar#member` is an image in a tar archive. Cells may be empty. The ten columns of the face's landmarks
(`LANDMARK_COLUMNS`) may be missing. Every further column is kept as text, to be grouped by; the column
`identity` is optional and has the person's identity. A CSV with `shard` and `file` instead of `path` is read as well.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from facial_attributes_training.data.archive import is_remote
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import AGE, LABELS, MISSING, TASKS, age_group_of
from facial_attributes_ros.errors import UserError

BOX_COLUMNS = ("box_x", "box_y", "box_w", "box_h")
LANDMARK_COLUMNS = tuple(
    f"{point}_{axis}" for point in ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth") for axis in "xy"
)
"""Columns of the five landmarks in pixels, in the order of `Detection.landmarks`; a manifest without them is read."""
LABEL_COLUMNS = {"age": "age_group", "gender": "gender", "emotion": "emotion"}
"""Column of every task's label."""
COLUMNS = ("path", "split", "source", "age_years", *LABEL_COLUMNS.values(), *BOX_COLUMNS)
IDENTITY = "identity"
"""Further column with the identity of the person; samples with the same text show the same person."""
MAX_AGE = 120.0
"""Ages above this many years are errors."""

_SHOWN_MISTAKES = 3
_LONGEST_CELL = 4096
"""Characters, as many as a path may have; a column takes 4 bytes for each in every sample."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample: an image and the labels of its face, a row of the CSV.

    Attributes:
        path: of the image; `shard.tar#member` for an image in a tar archive.
        split: such as train, val or test.
        source: data set of the image.
        labels: class name per task; tasks without a label are omitted.
        age_years: age in years, None where it is not known.
        box: x, y, width, height of the face in pixels, None where it is not known.
        extra: text of every further column.
        landmarks: x, y of the five landmarks in pixels, in the order of `LANDMARK_COLUMNS`, None where not known.
    """

    path: str
    split: str = ""
    source: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    age_years: float | None = None
    box: tuple[float, float, float, float] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    landmarks: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """The samples of one or several manifests as columns.

    Attributes:
        paths: str (samples,), absolute; `/folder/shard.tar#member` for an image in a tar archive.
        splits: str (samples,).
        sources: str (samples,).
        labels: int64 (samples,) per task of `TASKS`: class index, or `MISSING`.
        age_years: float32 (samples,): age in years, NaN where it is not known.
        boxes: float32 (samples, 4): x, y, width, height in pixels, NaN where it is not known.
        landmarks: float32 (samples, 5, 2): x, y in pixels as in `Detection.landmarks`, NaN where they are not known.
        extra: str (samples,) per further column, empty where a sample has none.
    """

    paths: NDArray[np.str_]
    splits: NDArray[np.str_]
    sources: NDArray[np.str_]
    labels: dict[str, NDArray[np.int64]]
    age_years: NDArray[np.float32]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    extra: dict[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def has_box(self) -> NDArray[np.bool_]:
        """Bool (samples,): whether the box of the face is known."""
        return np.asarray(~np.isnan(self.boxes).any(axis=1), np.bool_)

    @property
    def has_landmarks(self) -> bool:
        """Whether the landmarks of any face are known."""
        return bool(np.isfinite(self.landmarks).any())

    def take(self, rows: ArrayLike) -> Self:
        """Return the samples of a mask or an index array, in its order."""
        chosen = np.asarray(rows)
        if chosen.dtype != np.bool_:
            chosen = chosen.astype(np.int64)
        return type(self)(
            paths=self.paths[chosen],
            splits=self.splits[chosen],
            sources=self.sources[chosen],
            labels={task: column[chosen] for task, column in self.labels.items()},
            age_years=self.age_years[chosen],
            boxes=self.boxes[chosen],
            landmarks=self.landmarks[chosen],
            extra={name: column[chosen] for name, column in self.extra.items()},
        )

    def split(self, *names: str) -> Self:
        """Return the samples of the named splits.

        Raises:
            UserError: there is none; the message lists the splits there are.
        """
        found = self.take(np.isin(self.splits, names))
        if not len(found):
            known = ", ".join(sorted(set(self.splits.tolist()) - {""})) or "none"
            raise UserError(f"no sample belongs to split {' or '.join(names)}; the manifest has these splits: {known}.")
        return found

    def rows(self) -> Iterator[Row]:
        """Yield the samples one by one, with absolute paths."""
        has_box = self.has_box
        points = self.landmarks.reshape(len(self), len(LANDMARK_COLUMNS))
        has_landmarks = np.asarray(np.isfinite(points).all(axis=1), np.bool_)
        for index in range(len(self)):
            labels = {task: LABELS[task][c] for task in TASKS if (c := self.labels[task][index]) != MISSING}
            years = float(self.age_years[index])
            yield Row(
                path=str(self.paths[index]),
                split=str(self.splits[index]),
                source=str(self.sources[index]),
                labels=labels,
                age_years=None if np.isnan(years) else years,
                box=tuple(self.boxes[index].tolist()) if has_box[index] else None,
                landmarks=tuple(points[index].tolist()) if has_landmarks[index] else None,
                extra={name: str(column[index]) for name, column in self.extra.items() if column[index]},
            )

    @property
    def people(self) -> NDArray[np.str_]:
        """Str (samples,): identity of the person, empty where it is not known."""
        return self.extra.get(IDENTITY, np.full(len(self), "", dtype=np.str_))

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> Self:
        """Return samples as columns; an age in years without a group gets its group."""
        kept = list(rows)
        names = dict.fromkeys(name for row in kept for name in row.extra)
        years = [np.nan if row.age_years is None else row.age_years for row in kept]
        boxes = [(np.nan,) * 4 if row.box is None else row.box for row in kept]
        landmarks = [(np.nan,) * len(LANDMARK_COLUMNS) if row.landmarks is None else row.landmarks for row in kept]
        return cls(
            paths=np.array([row.path for row in kept], dtype=np.str_),
            splits=np.array([row.split for row in kept], dtype=np.str_),
            sources=np.array([row.source for row in kept], dtype=np.str_),
            labels={task: np.array([_class_index(row, task) for row in kept], np.int64) for task in TASKS},
            age_years=np.array(years, np.float32),
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            landmarks=np.array(landmarks, np.float32).reshape(-1, 5, 2),
            extra={name: np.array([row.extra.get(name, "") for row in kept], dtype=np.str_) for name in names},
        )

    @classmethod
    def concatenate(cls, manifests: Sequence[Self]) -> Self:
        """Return the samples of several manifests, concatenated; a column that one of them lacks is empty there."""
        names = dict.fromkeys(name for manifest in manifests for name in manifest.extra)
        blank = [np.full(len(manifest), "", dtype=np.str_) for manifest in manifests]
        return cls(
            paths=np.concatenate([manifest.paths for manifest in manifests]),
            splits=np.concatenate([manifest.splits for manifest in manifests]),
            sources=np.concatenate([manifest.sources for manifest in manifests]),
            labels={task: np.concatenate([manifest.labels[task] for manifest in manifests]) for task in TASKS},
            age_years=np.concatenate([manifest.age_years for manifest in manifests]),
            boxes=np.concatenate([manifest.boxes for manifest in manifests]),
            landmarks=np.concatenate([manifest.landmarks for manifest in manifests]),
            extra={
                name: np.concatenate([m.extra.get(name, empty) for m, empty in zip(manifests, blank, strict=True)])
                for name in names
            },
        )


def read_manifest(path: Path | str) -> Manifest:
    """Read a manifest CSV.

    Raises:
        UserError: the file can't be read, a column is missing or repeated, or a value is wrong; the message names the
            lines.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return Manifest.from_rows(_parse(csv.DictReader(file, strict=True), path))
    except OSError as error:
        raise UserError(f"the manifest {path} can't be read: {error.strerror}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"the manifest {path} is not a CSV file in UTF-8: {error}.") from error


def read_manifests(paths: Iterable[Path | str]) -> Manifest:
    """Read several manifests as one."""
    return Manifest.concatenate([read_manifest(path) for path in paths])


def write_manifest(path: Path | str, manifest: Manifest) -> None:
    """Write a manifest CSV atomically, with paths relative to it, in a folder that is made if need be.

    Raises:
        UserError: the file can't be written.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    folder = str(path.parent.resolve())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", newline="", encoding="utf-8") as file:
            columns = [*COLUMNS, *(LANDMARK_COLUMNS if manifest.has_landmarks else ()), *manifest.extra]
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(_cells(row, folder) for row in manifest.rows())
        partial.replace(path)
    except OSError as error:
        raise UserError(f"the manifest {path} can't be written: {error.strerror}.") from error


def _class_index(row: Row, task: str) -> int:
    label = row.labels.get(task)
    if label is not None:
        return LABELS[task].index(label)
    return age_group_of(row.age_years) if task == AGE and row.age_years is not None else MISSING


def _parse(reader: "csv.DictReader[str]", path: Path) -> list[Row]:
    columns = reader.fieldnames or ()
    _check_columns(columns, path)
    known = {*COLUMNS, *LANDMARK_COLUMNS} | (set() if "path" in columns else {"shard", "file"})
    extra = [name for name in columns if name not in known]
    folder = path.parent.resolve()
    rows, mistakes = [], []
    for cells in reader:
        try:
            rows.append(_parse_row(cells, folder, extra))
        except ValueError as error:
            mistakes.append(f"line {reader.line_num}: {error}")
    if mistakes:
        more = len(mistakes) - _SHOWN_MISTAKES
        tail = f"; and {more} more lines have errors" if more > 0 else ""
        raise UserError(f"{path}, {'; '.join(mistakes[:_SHOWN_MISTAKES])}{tail}.")
    return rows


def _check_columns(columns: Sequence[str], path: Path) -> None:
    if "path" not in columns and not {"shard", "file"} <= set(columns):
        raise UserError(f"{path} is not a manifest: its first line must name the column path (or shard and file).")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise UserError(f"{path} has the column {', '.join(twice)} more than once; rename one of them.")


def _parse_row(cells: dict[str, str], folder: Path, extra: list[str]) -> Row:
    """Return one line's sample; the folder makes its path absolute.

    Raises:
        ValueError: a value is wrong; the message is a clause without the line number.
    """
    if None in cells or None in cells.values():
        raise ValueError("it does not have as many cells as the first line")
    if any("\0" in value for value in cells.values()):
        raise ValueError("it has a zero byte, as damaged files and those in UTF-16 have")
    if any(len(value) > _LONGEST_CELL for value in cells.values()):
        raise ValueError(f"it has a cell of more than {_LONGEST_CELL} characters")
    cells = {name: value.strip() for name, value in cells.items()}
    path = cells["path"] if "path" in cells else f"{cells['shard']}#{cells['file']}"
    if not path or path.startswith("#") or path.endswith("#"):
        raise ValueError("it names no image")
    labels = {task: _label(cells[column], task) for task, column in LABEL_COLUMNS.items() if cells.get(column)}
    years = _age(cells["age_years"]) if cells.get("age_years") else None
    if years is not None and AGE in labels and LABELS[AGE][age_group_of(years)] != labels[AGE]:
        raise ValueError(f"age_years {years:g} is not in age_group {labels[AGE]}")
    return Row(
        path=path if is_remote(path) else os.path.normpath(folder / path),
        split=cells.get("split", ""),
        source=cells.get("source", ""),
        labels=labels,
        age_years=years,
        box=_box([cells.get(name, "") for name in BOX_COLUMNS]),
        landmarks=_landmarks([cells.get(name, "") for name in LANDMARK_COLUMNS]),
        extra={name: cells[name] for name in extra},
    )


def _label(text: str, task: str) -> str:
    if text not in LABELS[task]:
        raise ValueError(f"{LABEL_COLUMNS[task]} {text!r} is not one of {', '.join(LABELS[task])}")
    return text


def _age(text: str) -> float:
    years = _number(text, "age_years")
    if not 0 <= years <= MAX_AGE:
        raise ValueError(f"age_years {text} is outside 0 to {MAX_AGE:g}")
    return years


def _box(texts: list[str]) -> tuple[float, float, float, float] | None:
    if not any(texts):
        return None
    if not all(texts):
        raise ValueError("the box is only partly given")
    x, y, width, height = (_number(text, name) for text, name in zip(texts, BOX_COLUMNS, strict=True))
    if not (np.float32(width) > 0 and np.float32(height) > 0):
        raise ValueError(f"the box is {width:g} by {height:g} pixels, but must be larger than nothing")
    return x, y, width, height


def _landmarks(texts: list[str]) -> tuple[float, ...] | None:
    if not any(texts):
        return None
    if not all(texts):
        raise ValueError("the landmarks are only partly given")
    return tuple(_number(text, name) for text, name in zip(texts, LANDMARK_COLUMNS, strict=True))


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    # Boxes and ages are kept in single precision.
    if not abs(value) < np.finfo(np.float32).max:
        raise ValueError(f"{name} {text!r} is not a number")
    return value


def _cells(row: Row, folder: str) -> dict[str, str]:
    path = row.path if is_remote(row.path) else os.path.relpath(row.path, folder)
    cells = {"path": path, "split": row.split, "source": row.source}
    cells |= {LABEL_COLUMNS[task]: label for task, label in row.labels.items()}
    if row.age_years is not None:
        cells["age_years"] = f"{row.age_years:g}"
    if row.box is not None:
        cells |= {name: f"{value:.7g}" for name, value in zip(BOX_COLUMNS, row.box, strict=True)}
    if row.landmarks is not None:
        cells |= {name: f"{value:.7g}" for name, value in zip(LANDMARK_COLUMNS, row.landmarks, strict=True)}
    return cells | dict(row.extra)
