"""The beliefs about all tracked faces in all tasks: the memory of fusion, with a row a track."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import EMOTION, LABELS, Detection, FaceAttributes
from facial_attributes_ros.fusion.belief import Dynamics, TaskBelief
from facial_attributes_ros.fusion.effective_sample_size import Array, effective_samples_added
from facial_attributes_ros.fusion.publish import face_attributes
from facial_attributes_ros.fusion.resting_face import EXPRESSION_FRACTION, OffsetModel, RestingFaces
from facial_attributes_ros.fusion.rows import Index
from facial_attributes_ros.models.spec import ModelSpec
from facial_attributes_ros.options import FusionOptions


class Beliefs:
    """What is known of all tracks. A track without a row has not been estimated yet.

    Attributes:
        spec: of the model that predicts.
        options: the settings; new ones apply from the next update on.
        tasks: the belief about each task; their rows are those of `ids`.
        resting: per task, what is known of the faces at rest; empty if the model has no facts about them.
        ids: of the tracks, in the order of the rows.
        observations: (N,) number of estimates of each track.
        updated: (N) times of the last estimates, the very objects that `update` was given: a node's carry their stamp.
    """

    def __init__(self, spec: ModelSpec, options: FusionOptions | None = None) -> None:
        """Begin without any track."""
        self.spec = spec
        self.options = options or FusionOptions()
        self.tasks = {task: TaskBelief.blank(task, 0) for task in LABELS}
        self.resting: dict[str, RestingFaces] = {}
        if spec.resting_face is not None:
            model = OffsetModel.of(spec.resting_face, spec.temperatures[EMOTION])
            self.resting[EMOTION] = RestingFaces.blank(model, 0)
        self.ids: list[str] = []
        self.observations = np.zeros(0, int)
        self.updated: list[float] = []

    def keep(self, ids: Collection[str]) -> None:
        """Forget all tracks but those with these ids, their resting faces with them."""
        kept = np.array([track in ids for track in self.ids], bool)
        if kept.all():
            return
        for rows in (*self.tasks.values(), *self.resting.values()):
            rows.keep(kept)
        self.observations = self.observations[kept]
        self.updated = [time for time, stays in zip(self.updated, kept, strict=True) if stays]
        self.ids = [track for track in self.ids if track in ids]

    def update(
        self,
        ids: Sequence[str],
        estimates: Mapping[str, NDArray[np.floating]],
        stamp: float,
        weights: ArrayLike,
        thresholds: Mapping[str, float],
    ) -> None:
        """Fuse one view of each of several faces.

        Args:
            ids: of N different tracks.
            estimates: per task, (N, classes) calibrated probabilities. A face with a number that is not finite, in any
                task, is not updated.
            stamp: time of the views in seconds.
            weights: (N,) quality of the views, 0 to 1.
            thresholds: per task, the probability from which on a label is known.
        """
        quality = np.asarray(weights, np.float64)
        finite = [np.isfinite(quality), *(np.isfinite(values).all(axis=1) for values in estimates.values())]
        usable = np.flatnonzero(np.logical_and.reduce(finite))
        if not estimates or not len(usable):
            return
        rows = self._rows([ids[int(row)] for row in usable])
        for task, probabilities in estimates.items():
            self._update_task(task, rows, probabilities[usable], stamp, quality[usable], thresholds[task])
        self.observations[rows] += 1
        for row in rows:
            self.updated[int(row)] = stamp

    def uncertainty(self, ids: Sequence[str], tasks: Collection[str]) -> Array:
        """Return (N,) mean uncertainties of the tracks over the tasks that were estimated, 1 before the first."""
        known = {track: row for row, track in enumerate(self.ids)}
        return np.array([self._uncertainty(known[track], tasks) if track in known else 1.0 for track in ids])

    def resting_face_known(self, track: str) -> float:
        """Return how well a track's resting face is known, 0 to 1; 0 for a newcomer, and where it is not filtered."""
        if track not in self.ids or EMOTION not in self.resting:
            return 0.0
        return float(self.resting[EMOTION].known[self.ids.index(track)])

    def attributes(
        self, track: str, born: float, detection: Detection, tasks: Collection[str], thresholds: Mapping[str, float]
    ) -> FaceAttributes:
        """Return the published attributes of a track.

        Args:
            track: its id.
            born: time in seconds at which it began.
            detection: where the face is.
            tasks: that are wanted; the others are unknown.
            thresholds: per task, below which its label is unknown.
        """
        if track not in self.ids:
            return face_attributes(track, detection, {}, self.spec, 0, born)
        row = self.ids.index(track)
        found = {task: self.tasks[task].distribution(row, thresholds[task]) for task in tasks if task in self.tasks}
        estimated = {task: one for task, one in found.items() if math.isfinite(self.tasks[task].updated[row])}
        return face_attributes(track, detection, estimated, self.spec, int(self.observations[row]), self.updated[row])

    def _rows(self, ids: Sequence[str]) -> NDArray[np.intp]:
        """Return the rows of tracks; those that have none get one."""
        new = [track for track in ids if track not in self.ids]
        if new:
            self.ids += new
            self.observations = np.concatenate([self.observations, np.zeros(len(new), int)])
            self.updated += [-math.inf] * len(new)
            for task, belief in self.tasks.items():
                belief.append(TaskBelief.blank(task, len(new)))
            for resting in self.resting.values():
                resting.append(RestingFaces.blank(resting.model, len(new)))
        known = {track: row for row, track in enumerate(self.ids)}
        return np.array([known[track] for track in ids])

    def _update_task(
        self,
        task: str,
        rows: Index,
        probabilities: NDArray[np.floating],
        stamp: float,
        weights: Array,
        threshold: float,
    ) -> None:
        """Predict and update one task's belief, and the resting faces with it."""
        dynamics = Dynamics.of(task, self.options)
        belief = self.tasks[task].at(rows)
        if task in self.resting and self.options.resting_face:
            resting, elapsed = self.resting[task].at(rows), stamp - belief.updated
            belief.predict(stamp, dynamics)
            posterior = belief.update(resting.log_likelihood(probabilities), weights, stamp, dynamics, threshold)
            samples = weights * effective_samples_added(elapsed, EXPRESSION_FRACTION * dynamics.memory)
            resting.update(probabilities, posterior, samples, np.exp(-elapsed / self.options.resting_face_memory))
            self.resting[task].put(rows, resting)
        else:
            belief.observe(probabilities, stamp, weights, dynamics, threshold)
        self.tasks[task].put(rows, belief)

    def _uncertainty(self, row: int, tasks: Collection[str]) -> float:
        known = [self.tasks[task] for task in tasks if math.isfinite(self.tasks[task].updated[row])]
        return float(np.mean([belief.uncertainty[row] for belief in known])) if known else 1.0
