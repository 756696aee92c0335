"""A model's answers for every row of a manifest, and the CSV that keeps them."""

import csv
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

import numpy as np
from facial_attributes_training.data.archive import PictureError, PictureReader, is_remote
from facial_attributes_training.data.manifest import LABEL_COLUMNS, Manifest, Row
from facial_attributes_training.measure.corruptions import Cut
from facial_attributes_training.prepare.faces import FoundFace, face_at, main_face
from facial_attributes_training.prepare.left_out import LeftOut
from facial_attributes_training.prepare.scan import Scanned, face_numbers
from numpy.typing import NDArray
from scipy.special import softmax

from facial_attributes_ros.attributes import AGE, LABELS, MISSING
from facial_attributes_ros.detection.base import FaceDetector
from facial_attributes_ros.engines.base import Engine, face_frames
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import atomic_target, disk_errors
from facial_attributes_ros.imaging.crop import cut_frame
from facial_attributes_ros.models.regression import AgeRegression, class_logits
from facial_attributes_ros.models.spec import LANDMARKS, ModelSpec
from facial_attributes_ros.models.untrained import without_untrained

CropMode = Literal["detect", "box", "none"]
"""Find the face anew, take the manifest's box, or take the whole picture."""
Progress = Callable[[int, int], None]

_Cut = tuple[int, NDArray[np.uint8] | LeftOut]
"""A row's place in the manifest, and its crop or why there is none."""
_LOGGER = logging.getLogger(__name__)
_BATCH = 64
_READERS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says of the rows of a manifest.

    Attributes:
        manifest: the rows that were predicted.
        logits: float32 (rows, classes) per task, not divided by any temperature; minus infinity for labels that the
            model was never trained on.
        skipped: rows that could not be predicted, and why.
        years: float64 (rows,): ages in years as the model tells them, None where it tells age groups alone.
    """

    manifest: Manifest
    logits: dict[str, NDArray[np.float32]]
    skipped: list[LeftOut]
    years: NDArray[np.float64] | None = None

    @classmethod
    def from_outputs(
        cls,
        manifest: Manifest,
        outputs: dict[str, NDArray[np.float32]],
        ages: AgeRegression | None = None,
        skipped: Sequence[LeftOut] = (),
        untrained: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> Self:
        """Return predictions from what `Engine.logits` gives.

        An age in years gets its groups, and labels that were never trained get no probability.
        """
        years = None if ages is None or AGE not in outputs else ages.years(outputs[AGE][:, 0].astype(np.float64))
        logits = without_untrained(class_logits(outputs, ages), untrained)
        return cls(manifest, logits, list(skipped), years)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return the predictions of some rows, bool (rows,)."""
        logits = {task: values[rows] for task, values in self.logits.items()}
        return type(self)(self.manifest.take(rows), logits, [], None if self.years is None else self.years[rows])

    def probabilities(self, task: str, temperature: float = 1.0) -> NDArray[np.float64]:
        """Return float64 (rows, classes): the distributions of a task at a temperature."""
        return np.asarray(softmax(self.logits[task].astype(np.float64) / temperature, axis=1))


def predict_manifest(
    engine: Engine,
    manifest: Manifest,
    crop: CropMode = "box",
    detector: FaceDetector | None = None,
    progress: Progress | None = None,
    cut: Cut | None = None,
) -> Predictions:
    """Run a model over every row's face.

    Args:
        engine: the model.
        manifest: the rows.
        crop: which part of the pictures is the face.
        detector: finds the faces for the mode `detect`.
        progress: told after every batch how many rows are done and how many there are.
        cut: cuts the faces out, such as a degradation; as at run time by default.

    Raises:
        UserError: no row can be predicted, or an archive can't be read.
    """
    if crop == "box" and engine.spec.crop == LANDMARKS and not manifest.has_landmarks:
        _LOGGER.warning(
            "The manifest has no landmarks, which the crops of model %s follow: prepare it again. Until then the crops "
            "follow the boxes, and the figures are worse than the model's.",
            engine.spec.name,
        )
    reader = PictureReader()
    reader.index(manifest.paths)
    cutter = _Cutter(
        reader=reader,
        rows=list(manifest.rows()),
        mode=crop,
        detector=detector,
        spec=engine.spec,
        cut=cut or cut_frame,
    )
    parts: list[dict[str, NDArray[np.float32]]] = []
    kept: list[int] = []
    skipped: list[LeftOut] = []
    done = 0
    for batch in _batches(cutter, len(manifest), 1 if detector else _READERS):
        crops = [(row, entry) for row, entry in batch if not isinstance(entry, LeftOut)]
        skipped += [entry for _, entry in batch if isinstance(entry, LeftOut)]
        if crops:
            kept += [row for row, _ in crops]
            parts.append(engine.logits(np.stack([entry for _, entry in crops])))
        done += len(batch)
        if progress:
            progress(done, len(manifest))
    if not parts:
        why = f"; the first: {skipped[0].path}: {skipped[0].detail}" if skipped else ""
        raise UserError(f"none of the {len(manifest)} rows can be predicted{why}.")
    outputs = {task: np.concatenate([part[task] for part in parts]) for task in engine.spec.tasks}
    spec = engine.spec
    kept_rows = manifest.take(np.array(kept))
    return Predictions.from_outputs(kept_rows, outputs, spec.age_regression, skipped, spec.untrained_labels)


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Cuts the face out of one row's picture."""

    reader: PictureReader
    rows: list[Row]
    mode: CropMode
    detector: FaceDetector | None
    spec: ModelSpec
    cut: Cut

    def __call__(self, index: int) -> _Cut:
        row = self.rows[index]
        try:
            picture = self.reader.picture(row.path)
        except PictureError as error:
            return index, LeftOut.of(row, "unreadable", str(error))
        face = self._face(picture, row)
        if face is None:
            reason = "no face" if self.mode == "detect" else "no box"
            return index, LeftOut.of(row, reason, "the detector finds none" if self.mode == "detect" else "not given")
        landmarks = None if face.landmarks is None else np.reshape(face.landmarks, (1, 5, 2))
        return index, self.cut(picture, face_frames(self.spec, [face.box], landmarks)[0], self.spec.image_size)

    def _face(self, picture: NDArray[np.uint8], row: Row) -> FoundFace | None:
        height, width = picture.shape[:2]
        if self.mode == "none":
            return FoundFace((0, 0, width, height))
        if self.mode == "box" or self.detector is None:
            return None if row.box is None else FoundFace(row.box, row.landmarks)
        faces = [face_numbers(face) for face in self.detector.detect(picture)]
        scanned = Scanned("", width, height, faces=faces)
        return main_face(scanned)[0] if row.box is None else face_at(scanned, row.box)


def _batches(cutter: _Cutter, rows: int, readers: int) -> Iterator[list[_Cut]]:
    """Yield batches of crops; the next is cut while the model works on the last."""
    starts = range(0, rows, _BATCH)
    with ThreadPoolExecutor(readers) as pool:

        def submit(start: int) -> list[Future[_Cut]]:
            return [pool.submit(cutter, row) for row in range(start, min(start + _BATCH, rows))]

        ahead = submit(0) if rows else []
        for start in starts:
            current, ahead = ahead, submit(start + _BATCH)
            yield [future.result() for future in current]


def write_predictions(
    path: Path,
    predictions: Predictions,
    temperatures: dict[str, float],
    ages: NDArray[np.float64] | None,
    first_half: NDArray[np.bool_] | None = None,
) -> None:
    """Write one line a row: the truth, the predicted label, the probability of every class, and further columns.

    Args:
        path: of the CSV; pictures are named relative to it.
        predictions: what to write.
        temperatures: per task; the probabilities are calibrated with them.
        ages: float64 (rows,): expected ages in years, None if the model does not tell ages.
        first_half: bool (rows,): which rows are of the half that calibrations are fitted on, for the column `half`.

    Raises:
        UserError: the file can't be written.
    """
    tasks = list(predictions.logits)
    spread = {task: predictions.probabilities(task, temperatures[task]) for task in tasks}
    manifest = predictions.manifest
    header = ["path", "split", "source", "age_years", "expected_age"]
    for task in tasks:
        column = LABEL_COLUMNS[task]
        header += [column, f"predicted_{column}", *(f"{task} {label}" for label in LABELS[task])]
    further = {name: column.tolist() for name, column in manifest.extra.items() if name not in header}
    if first_half is not None:
        further["half"] = np.where(first_half, "first", "second").tolist()
    folder = str(path.parent.resolve())
    with (
        disk_errors(path),
        atomic_target(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, *further])
        for index, row in enumerate(manifest.rows()):
            where = row.path if is_remote(row.path) else os.path.relpath(row.path, folder)
            cells: list[object] = [where, row.split, row.source, "" if row.age_years is None else f"{row.age_years:g}"]
            cells.append("" if ages is None else f"{ages[index]:.2f}")
            for task in tasks:
                values = spread[task][index]
                truth = manifest.labels[task][index]
                cells += ["" if truth == MISSING else LABELS[task][truth], LABELS[task][int(values.argmax())]]
                cells += [f"{value:.6g}" for value in values]
            writer.writerow([*cells, *(column[index] for column in further.values())])
