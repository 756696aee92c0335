"""A small model on disk with random weights, and a cache of its own for the engines built from it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.checkpoint import save_model
from facial_attributes_ros.models.expression import EXPRESSIONS
from facial_attributes_ros.models.registry import build_network
from facial_attributes_ros.models.regression import AgeRegression
from facial_attributes_ros.models.spec import LANDMARKS, ModelSpec

SIZE = 32


def write_random_model(folder: Path, adaptation: Adaptation, ages: AgeRegression | None = None, **changes: Any) -> Path:
    """Save a tiny ViT with random weights everywhere, adapters included, and return its folder.

    Further fields of its description may be given.
    """
    spec = ModelSpec(
        name="tiny",
        backbone=BackboneReference("timm:vit_tiny_patch16_224"),
        image_size=SIZE,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        adaptation=adaptation.to_dict(),
        crop_margin=0.2,
        age_regression=ages,
        **changes,
    )
    torch.manual_seed(3)
    network = build_network(spec)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1 and ("heads" in name or "readout" in name or "lora_B" in name or ".up." in name):
            torch.nn.init.normal_(parameter, std=0.1)
    save_model(folder, replace(spec, backbone=replace(spec.backbone, weights="included")), network.state_dict())
    return folder


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of this run's engines."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def engine_cache(engine_folder: Path) -> Iterator[Path]:
    """Keep the user's cache out of it, and this cache out of the tests of other folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACIAL_ATTRIBUTES_CACHE", str(engine_folder))
        yield engine_folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose adapters are merged when it is loaded."""
    return write_random_model(tmp_path_factory.mktemp("tiny"), Adaptation.named("lora", rank=4, alpha=4.0))


@pytest.fixture(scope="session")
def years_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose age is one number, in years."""
    ages = AgeRegression(mean=35.0, std=15.0, deviation=6.0)
    return write_random_model(tmp_path_factory.mktemp("years"), Adaptation.named("lp"), ages)


@pytest.fixture(scope="session")
def expressive_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with visible expressions, a last layer of emotion that reads them, and crops by landmarks."""
    folder = tmp_path_factory.mktemp("expressive")
    changes = {"expressions": EXPRESSIONS, "readout": True, "crop": LANDMARKS}
    return write_random_model(folder, Adaptation.named("lp"), **changes)


@pytest.fixture(scope="session")
def task_specific_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder in which every task has a stream of its own."""
    return write_random_model(tmp_path_factory.mktemp("streams"), Adaptation.named("mtlora", rank=4, alpha=4.0))
