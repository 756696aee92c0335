"""Real photographs from installed packages, the real detector, and an engine that answers what it is told."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import BackboneReference, ModelSpec
from facial_attributes_ros.vision.detectors import YuNetDetector
from facial_attributes_ros.vision.pictures import read_picture

SPEC = ModelSpec("fake", BackboneReference("none"), image_size=112, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class FakeEngine:
    """Gives every face the logits that a function of the task returns, and remembers what it was asked."""

    spec = SPEC
    name = "fake"
    device = "cpu"

    def __init__(self, answer: Callable[[str], np.ndarray] | None = None) -> None:
        self.answer = answer or (lambda task: np.arange(len(LABELS[task]), dtype=np.float32))
        self.calls: list[tuple[int, tuple[str, ...]]] = []

    def from_frame(self, image, boxes, tasks=None):
        self.calls.append((len(boxes), tuple(tasks)))
        return {task: np.stack([self.answer(task)] * len(boxes)).astype(np.float32) for task in tasks}

    def logits(self, crops, tasks=None):
        return self.from_frame(None, crops, tasks)

    def warm_up(self, batch_sizes=(1,), tasks=None):
        pass


@pytest.fixture
def fake_engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="session")
def make_engine() -> type[FakeEngine]:
    return FakeEngine


@pytest.fixture(scope="session")
def yunet() -> YuNetDetector:
    try:
        return YuNetDetector()
    except UserError as error:
        pytest.skip(f"the YuNet file cannot be had: {error}")


def package_picture(package: str, inner: str) -> np.ndarray:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return read_picture(Path(found.submodule_search_locations[0]) / inner)


@pytest.fixture(scope="session")
def six_faces() -> np.ndarray:
    return package_picture("insightface", "data/images/t1.jpg")


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    return package_picture("skimage", "data/astronaut.png")
