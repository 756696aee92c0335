"""A model that can be understood at a glance, and images for it."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.data.manifest import Manifest, Row, write_manifest
from facial_attributes_training.recipe.schema import Recipe
from numpy.typing import ArrayLike, NDArray

from facial_attributes_ros.attributes import AGE, GENDER, LABELS
from facial_attributes_ros.engines.base import Crops, Logits
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.spec import ModelSpec

SIDE = 16
AGE_SHADES = 25
"""Images of one age group are this much brighter than those of the group before."""


class ShadeEngine:
    """Reads the age group from the brightness of a crop, and takes blue ones for male and others for female."""

    name, device = "shades", "cpu"
    spec = ModelSpec("shades", BackboneReference("none"), SIDE, (0.5,) * 3, (0.5,) * 3, tasks=(AGE, GENDER))

    def logits(self, crops: Crops, tasks: Iterable[str] | None = None) -> Logits:
        shades = crops[..., 1].mean(axis=(1, 2))
        groups = np.arange(len(LABELS[AGE])) * AGE_SHADES + AGE_SHADES / 2
        blue = crops[..., 0].mean(axis=(1, 2)) > 128
        gender = np.where(blue[:, None], [2.0, 0.0], [0.0, 2.0])
        return {
            AGE: (-np.abs(shades[:, None] - groups) / 5).astype(np.float32),
            GENDER: gender.astype(np.float32),
        }

    def from_frame(
        self,
        image: NDArray[np.uint8],
        boxes: ArrayLike,
        tasks: Iterable[str] | None = None,
        landmarks: ArrayLike | None = None,
    ) -> Logits:
        raise NotImplementedError

    def warm_up(self, batch_sizes: Iterable[int] = (1,), tasks: Iterable[str] | None = None) -> None:
        pass


@pytest.fixture
def engine() -> ShadeEngine:
    return ShadeEngine()


@pytest.fixture
def faces(tmp_path: Path) -> Manifest:
    """200 images in two data sets; the engine is right about four of five ages and about every gender."""
    random = np.random.default_rng(0)
    rows = []
    for index in range(200):
        group, male = int(random.integers(len(LABELS[AGE]))), bool(random.integers(2))
        seen = min(group + 1, len(LABELS[AGE]) - 1) if index % 5 == 0 else group
        picture = np.zeros((24, 24, 3), np.uint8)
        picture[4:20, 4:20] = (255 if male else 0, AGE_SHADES * seen + AGE_SHADES // 2, 0)
        path = tmp_path / f"{index}.png"
        cv2.imwrite(str(path), picture)
        rows.append(
            Row(
                str(path),
                "val",
                "years" if index % 2 else "groups",
                {AGE: LABELS[AGE][group], GENDER: "male" if male else "female"},
                age_years=ShadeEngine.spec.age_centroids[group] if index % 2 else None,
                box=(4, 4, 16, 16),
                extra={"camera": "left" if index % 5 == 0 else "right", "identity": str(index)},
            )
        )
    return Manifest.from_rows(rows)


TINY = {
    "name": "timm:vit_tiny_patch16_224",
    "weights": None,
    "image_size": 32,
    "architecture": {"embed_dim": 16, "depth": 2, "num_heads": 2},
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return the manifest of a few made-up images."""
    return _make_faces(tmp_path / "faces", 24)


@pytest.fixture
def validation_manifest(tmp_path: Path) -> Path:
    """Return the manifest of other images, with other labels in other places, and of another number."""
    return _make_faces(tmp_path / "validation", 20, first=3)


@pytest.fixture
def make_recipe(manifest: Path, validation_manifest: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """Return a function from a run's name and changed fields to its recipe."""
    return lambda name, **changes: _make_recipe(manifest, validation_manifest, tmp_path / name, **changes)


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    from facial_attributes_training.fit.run import train
    from facial_attributes_training.reports.progress import RunReport
    from facial_attributes_training.reports.run import write_reports

    folder = tmp_path_factory.mktemp("finished")
    manifests = _make_faces(folder / "faces", 24), _make_faces(folder / "validation", 20, first=3)
    recipe = _make_recipe(*manifests, folder / "run")
    train(recipe, make_report=RunReport, write_report=write_reports)
    return recipe


@pytest.fixture
def finished(_finished: Recipe, tmp_path: Path) -> Recipe:
    """Return the recipe of a finished run with its reports, in a folder of its own.

    It is trained once for all tests that only look at a run, or at what may be done with one.
    """
    return copied(_finished, tmp_path / "run")


def copied(recipe: Recipe, folder: Path) -> Recipe:
    """Copy a run to another folder and return its recipe there."""
    shutil.copytree(recipe.folder, folder)
    return recipe.model_copy(update={"output": folder})


def _make_faces(folder: Path, count: int, first: int = 0) -> Path:
    """Write images whose brightness tells the gender, and their manifest; every sample has one or two labels."""
    random = np.random.default_rng(first)
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        gender = index % 2
        picture = random.integers(0, 120, (40, 40, 3)) + 130 * gender
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), picture.astype(np.uint8))
        labels = {"gender": LABELS["gender"][gender], "emotion": LABELS["emotion"][index % 7]}
        kept = {task: label for task, label in labels.items() if task == "gender" or index % 3}
        rows.append(Row(str(path), "train", "made-up", kept, box=(4.0, 4.0, 32.0, 32.0)))
    manifest = folder / "manifest.csv"
    write_manifest(manifest, Manifest.from_rows(rows))
    return manifest


def _make_recipe(manifest: Path, validation: Path, output: Path, **changes: object) -> Recipe:
    """Return a recipe for a run of a second or two."""
    values: dict[str, object] = {
        "name": "tiny",
        "output": str(output),
        "backbone": TINY,
        "adaptation": {"name": "ft-1"},
        "tasks": ["gender", "emotion"],
        "data": {"train": [{"manifest": str(manifest)}], "validation": [{"manifest": str(validation)}]},
        "epochs": 2,
        "batch_size": 8,
        "optimiser": {"lr": 1e-3},
    }
    return Recipe.model_validate(values | changes)
