"""Made-up faces to label, without a detector and a model."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.labelling.answers import AnswerBook
from facial_attributes_training.labelling.candidates import Candidate
from facial_attributes_training.labelling.scanning import ScannedFile
from facial_attributes_training.labelling.session import Labelling, Plan
from facial_attributes_training.prepare.perceptual_hash import describe

from facial_attributes_ros.attributes import LABELS, TASKS, Detection, face_dict


def make_face(box=(10.0, 10.0, 40.0, 40.0), **peaks: float):
    """Return the JSON form of a face; per task, the probability of its first label."""
    probabilities = {}
    for task, labels in LABELS.items():
        peak = peaks.get(task, 0.5)
        probabilities[task] = [peak, *[(1 - peak) / (len(labels) - 1)] * (len(labels) - 1)]
    x, y, width, height = box
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * (width, height) + (x, y)
    detection = Detection(np.array(box, np.float32), 0.9, points.astype(np.float32))
    return face_dict(
        face_id="face1",
        detection=detection,
        age=30.0,
        age_stddev=5.0,
        labels=dict.fromkeys(LABELS),
        probabilities=probabilities,
        observations=1,
    )


def make_look(seed: int) -> str:
    return describe(np.random.default_rng(seed).integers(0, 255, (64, 64, 3)).astype(np.uint8))


class Scene:
    """A folder of images and a video with faces, and the labelling of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.time = folder, folder / "labels", 0.0
        self.files = []
        for number in range(8):
            path = folder / f"{number}.png"
            cv2.imwrite(str(path), np.full((80, 80, 3), 20 * number, np.uint8))
            face = make_face(emotion=0.2 + 0.1 * number)
            self.files.append(ScannedFile(str(path), (1, 1), "", [Candidate(str(path), face, 0.9, make_look(number))]))
        self.files.append(ScannedFile(str(folder / "broken.jpg"), (1, 1), "broken.jpg is cut short."))

    def add_video(self, frames: int = 6) -> Path:
        path = self.folder / "people.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
        for number in range(frames):
            writer.write(np.full((120, 160, 3), 30 * number, np.uint8))
        writer.release()
        faces = [
            Candidate(str(path), make_face((100, 50, 40, 40)), 0.9, make_look(50 + n), n, n / 10, f"people.avi/{n % 2}")
            for n in range(frames)
        ]
        self.files = [ScannedFile(str(path), (1, 1), "", faces)]
        return path

    def work(self, labeller: str = "a", **plan) -> Labelling:
        """Return the labelling as a new process does it."""
        plan = Plan(**{"tasks": TASKS, "held_out": 0.0, **plan})
        book = AnswerBook(self.out, labeller)
        return Labelling(self.files, plan, book, TASKS, clock=lambda: self.time)


@pytest.fixture
def scene(tmp_path) -> Scene:
    (tmp_path / "labels").mkdir()
    return Scene(tmp_path)
