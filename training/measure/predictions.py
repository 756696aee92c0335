"""A model's predictions for every sample of a manifest, and their CSV."""

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
from facial_attributes_training.data.archive import ImageError, ImageReader, is_remote
from facial_attributes_training.data.manifest import LABEL_COLUMNS, Manifest, Row
from facial_attributes_training.measure.corruptions import Cut
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.faces import FoundFace, face_at, main_face
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
"""Detect the face, use the manifest's box, or use the whole image."""
Progress = Callable[[int, int], None]

_Cut = tuple[int, NDArray[np.uint8] | Excluded]
"""A sample's index in the manifest, and its crop or why there is none."""
_LOGGER = logging.getLogger(__name__)
_BATCH = 64
_READERS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A model's predictions for the samples of a manifest.

    Attributes:
        manifest: the samples that were predicted.
        logits: float32 (samples, classes) per task, not divided by any temperature; minus infinity for labels that the
            model was never trained on.
        skipped: samples that could not be predicted, and why.
        years: float64 (samples,): predicted ages in years, None if the model predicts age groups alone.
    """

    manifest: Manifest
    logits: dict[str, NDArray[np.float32]]
    skipped: list[Excluded]
    years: NDArray[np.float64] | None = None

    @classmethod
    def from_outputs(
        cls,
        manifest: Manifest,
        outputs: dict[str, NDArray[np.float32]],
        ages: AgeRegression | None = None,
        skipped: Sequence[Excluded] = (),
        untrained: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> Self:
        """Return predictions from the outputs of `Engine.logits`.

        An age in years gets its group probabilities, and labels that were never trained have probability 0.
        """
        years = None if ages is None or AGE not in outputs else ages.years(outputs[AGE][:, 0].astype(np.float64))
        logits = without_untrained(class_logits(outputs, ages), untrained)
        return cls(manifest, logits, list(skipped), years)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return the predictions of some samples, bool (samples,)."""
        logits = {task: values[rows] for task, values in self.logits.items()}
        return type(self)(self.manifest.take(rows), logits, [], None if self.years is None else self.years[rows])

    def probabilities(self, task: str, temperature: float = 1.0) -> NDArray[np.float64]:
        """Return float64 (samples, classes): the class probabilities of a task at a temperature."""
        return np.asarray(softmax(self.logits[task].astype(np.float64) / temperature, axis=1))


def predict_manifest(
    engine: Engine,
    manifest: Manifest,
    crop: CropMode = "box",
    detector: FaceDetector | None = None,
    progress: Progress | None = None,
    cut: Cut | None = None,
) -> Predictions:
    """Predict every sample's face with a model.

    Args:
        engine: the model.
        manifest: the samples.
        crop: which part of an image is the face.
        detector: detects the faces for the mode `detect`.
        progress: called after every batch with the number of finished samples and of all.
        cut: crops the faces, such as a corruption; as at run time by default.

    Raises:
        UserError: no sample can be predicted, or an archive can't be read.
    """
    if crop == "box" and engine.spec.crop == LANDMARKS and not manifest.has_landmarks:
        _LOGGER.warning(
            "The manifest has no landmarks, which the crops of model %s follow: prepare it again. Until then the crops "
            "follow the boxes, and the figures are worse than the model's.",
            engine.spec.name,
        )
    reader = ImageReader()
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
    skipped: list[Excluded] = []
    done = 0
    for batch in _batches(cutter, len(manifest), 1 if detector else _READERS):
        crops = [(row, entry) for row, entry in batch if not isinstance(entry, Excluded)]
        skipped += [entry for _, entry in batch if isinstance(entry, Excluded)]
        if crops:
            kept += [row for row, _ in crops]
            parts.append(engine.logits(np.stack([entry for _, entry in crops])))
        done += len(batch)
        if progress:
            progress(done, len(manifest))
    if not parts:
        why = f"; the first: {skipped[0].path}: {skipped[0].detail}" if skipped else ""
        raise UserError(f"none of the {len(manifest)} samples can be predicted{why}.")
    outputs = {task: np.concatenate([part[task] for part in parts]) for task in engine.spec.tasks}
    spec = engine.spec
    kept_rows = manifest.take(np.array(kept))
    return Predictions.from_outputs(kept_rows, outputs, spec.age_regression, skipped, spec.untrained_labels)


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Crops the face of one sample."""

    reader: ImageReader
    rows: list[Row]
    mode: CropMode
    detector: FaceDetector | None
    spec: ModelSpec
    cut: Cut

    def __call__(self, index: int) -> _Cut:
        row = self.rows[index]
        try:
            picture = self.reader.image(row.path)
        except ImageError as error:
            return index, Excluded.of(row, "unreadable", str(error))
        face = self._face(picture, row)
        if face is None:
            reason = "no face" if self.mode == "detect" else "no box"
            return index, Excluded.of(row, reason, "the detector finds none" if self.mode == "detect" else "not given")
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
    """Yield batches of crops; the next is cropped while the model computes the last."""
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
    """Write one line per sample: the truth, the predicted label, the probability of every class, and further columns.

    Args:
        path: of the CSV; image paths are relative to it.
        predictions: what to write.
        temperatures: per task; the probabilities are calibrated with them.
        ages: float64 (samples,): expected ages in years, None if the model does not predict ages.
        first_half: bool (samples,): the half that calibrations are fitted on, for the column `half`.

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
