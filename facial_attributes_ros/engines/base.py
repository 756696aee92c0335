"""The interface of an engine, which runs a model, and the way from its logits to probabilities."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import TASKS, Detection
from facial_attributes_ros.imaging.crop import crop_faces, crop_frames
from facial_attributes_ros.models.regression import class_logits
from facial_attributes_ros.models.spec import LANDMARKS, ModelSpec
from facial_attributes_ros.models.untrained import untrained_classes

Crops = NDArray[np.uint8]
Logits = dict[str, NDArray[np.float32]]


class Engine(Protocol):
    """A model that is loaded and ready.

    Attributes:
        spec: the model's description.
        name: `torch`, `onnx` or `onnx-int8`.
        device: `cpu` or `cuda:0` and the like.
    """

    spec: ModelSpec
    name: str
    device: str

    def logits(self, crops: Crops, tasks: Iterable[str] | None = None) -> Logits:
        """Run the model on crops as `imaging.crop.crop_faces` cuts them.

        Args:
            crops: uint8 (N, S, S, 3), BGR, S being `spec.image_size`; N may be 0.
            tasks: that are wanted, all by default; computations for other tasks only are not made. A model with
                visible expressions gives these too, as `models.expression.EXPRESSION`.

        Returns:
            float32 (N, classes) per task, not calibrated; (N, 1) for an age in years, see `models.regression`; (N,
            expressions) for the visible expressions, see `models.expression`.

        Raises:
            ValueError: the crops have another shape or type.
            UserError: the model has not all of the tasks, or the device has too little memory for a single face.
        """

    def from_frame(
        self,
        image: NDArray[np.uint8],
        boxes: ArrayLike,
        tasks: Iterable[str] | None = None,
        landmarks: ArrayLike | None = None,
    ) -> Logits:
        """Cut faces out of a frame and run the model on them.

        Args:
            image: uint8 (H, W, 3), BGR.
            boxes: (N, 4) x, y, width, height in pixels of `image`; N may be 0.
            tasks: as in `logits`.
            landmarks: (N, 5, 2) as in `Detection.landmarks`, for a model whose crops follow them; None for boxes alone.

        Returns:
            As `logits`.
        """

    def warm_up(self, batch_sizes: Iterable[int] = (1,), tasks: Iterable[str] | None = None) -> None:
        """Run the model once per batch size, so that the first frame is as fast as the others.

        Args:
            batch_sizes: numbers of faces.
            tasks: as in `logits`; the parts of other tasks are neither loaded nor run.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """The model's predictions for N faces.

    Attributes:
        probabilities: per task, calibrated float32 (N, classes); NaN where the model gave a number that is not finite.
        usable: bool (N,): whether the predictions of a face are finite in all tasks.
    """

    probabilities: Logits
    usable: NDArray[np.bool_]

    @property
    def problem(self) -> str | None:
        """One sentence on the faces without a usable prediction, None if there is no such face."""
        unusable = int((~self.usable).sum())
        if not unusable:
            return None
        return (
            f"The model gives numbers that are not finite for {unusable} of {len(self.usable)} faces: "
            "try another engine, or get the model again."
        )


def estimate(
    engine: Engine, image: NDArray[np.uint8], detections: Sequence[Detection], tasks: Collection[str]
) -> Estimates:
    """Return the calibrated predictions for the faces of a frame.

    Args:
        engine: runs the model; it is not called if there is no face or no task.
        image: uint8 (H, W, 3), BGR.
        detections: N faces; N may be 0.
        tasks: those that are wanted.

    Raises:
        Exception: any error that `Engine.from_frame` raises.
    """
    if not detections or not tasks:
        return Estimates({}, np.full(len(detections), bool(tasks)))
    boxes = np.stack([detection.box for detection in detections])
    landmarks = np.stack([detection.landmarks for detection in detections])
    logits = engine.from_frame(image, boxes, tuple(task for task in TASKS if task in tasks), landmarks)
    usable = np.logical_and.reduce([np.isfinite(values).all(axis=1) for values in logits.values()])
    with np.errstate(all="ignore"):  # numbers that are not finite
        found = probabilities(logits, engine.spec)
    usable &= np.logical_and.reduce([np.isfinite(values).all(axis=1) for values in found.values()])
    return Estimates(found, usable)


def face_frames(spec: ModelSpec, boxes: ArrayLike, landmarks: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the squares that a model wants cut out, float64 (N, 4) as `imaging.crop.crop_frame` gives them."""
    return crop_frames(boxes, spec.crop_margin, _followed(spec, landmarks))


def face_crops(
    spec: ModelSpec, image: NDArray[np.uint8], boxes: ArrayLike, landmarks: ArrayLike | None = None
) -> Crops:
    """Return the crops of faces that a model takes; arguments as in `Engine.from_frame`."""
    return crop_faces(image, boxes, spec.image_size, spec.crop_margin, _followed(spec, landmarks))


def _followed(spec: ModelSpec, landmarks: ArrayLike | None) -> ArrayLike | None:
    """Return the landmarks that the crops of a model follow, None if they follow the boxes alone."""
    return landmarks if spec.crop == LANDMARKS else None


def probabilities(logits: Logits, spec: ModelSpec) -> Logits:
    """Return calibrated distributions: the softmax of the logits over the task's temperature (Guo et al., 2017).

    Args:
        logits: of `Engine.logits`; an age in years becomes a distribution over age groups.
        spec: holds the temperatures, the reading of an age in years, and the labels without training samples.

    Returns:
        float32 (N, classes) per task. Every row sums to 1, or is NaN if a logit is not finite. Labels without training
        samples have probability 0.
    """
    classes = class_logits(logits, spec.age_regression)
    with np.errstate(over="ignore", invalid="ignore"):  # numbers that are not finite become NaN
        return {
            task: _softmax(values / np.float32(spec.temperatures[task]), untrained_classes(task, spec.untrained_labels))
            for task, values in classes.items()
        }


def check_crops(crops: Crops, spec: ModelSpec) -> None:
    """Check the crops for `Engine.logits`.

    Raises:
        ValueError: another shape or type than uint8 (N, S, S, 3).
    """
    side = spec.image_size
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (side, side, 3):
        raise ValueError(f"crops must be uint8 (N, {side}, {side}, 3), not {crops.dtype} {crops.shape}")


def empty_logits(spec: ModelSpec, tasks: Iterable[str]) -> Logits:
    """Return the logits of an empty batch, in the form of `Engine.logits`."""
    return {task: np.empty((0, spec.outputs(task)), np.float32) for task in tasks}


def _softmax(values: NDArray[np.float32], without: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return distributions over the classes; those in `without`, bool (classes,), get probability 0."""
    # A single logit of minus infinity would otherwise leave a confident distribution.
    values = np.where(np.isfinite(values).all(axis=-1, keepdims=True), values, np.float32(np.nan))
    values = np.where(without, np.float32(-np.inf), values)
    powers = np.exp(values - values.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
