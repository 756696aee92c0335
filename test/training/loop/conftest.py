"""Small runs on made-up pictures."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.manifest import Manifest, Row, write_manifest
from facial_attributes_training.recipe import Recipe

from facial_attributes_ros.attributes import LABELS

TINY = {
    "name": "timm:vit_tiny_patch16_224",
    "weights": None,
    "image_size": 32,
    "architecture": {"embed_dim": 16, "depth": 2, "num_heads": 2},
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return the manifest of a few made-up pictures."""
    return _make_faces(tmp_path / "faces", 24)


@pytest.fixture
def validation_manifest(tmp_path: Path) -> Path:
    """Return the manifest of other pictures, with other labels in other places, and of another number."""
    return _make_faces(tmp_path / "validation", 20, first=3)


@pytest.fixture
def make_recipe(manifest: Path, validation_manifest: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """Return a function from a run's name and changed fields to its recipe."""
    return lambda name, **changes: _make_recipe(manifest, validation_manifest, tmp_path / name, **changes)


def _make_faces(folder: Path, count: int, first: int = 0) -> Path:
    """Write pictures whose brightness tells the gender, and their manifest; every row has one or two labels."""
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
