"""Age learned as a number of years: loss, run, figures, and the model at run time."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest, write_manifest
from facial_attributes_training.fit.losses import CombinedLoss, masked_year_error
from facial_attributes_training.fit.regression import training_ages, with_measured_deviation, without_age_groups
from facial_attributes_training.fit.run import train
from facial_attributes_training.measure.evaluation import evaluate
from facial_attributes_training.measure.predictions import predict_manifest
from facial_attributes_training.recipe.schema import LossRecipe, Recipe
from facial_attributes_training.reports.comparison import write_comparison
from facial_attributes_training.reports.finished_runs import finished_run
from facial_attributes_training.reports.run import write_reports
from PIL import Image
from scipy.stats import pearsonr, spearmanr

from facial_attributes_ros.attributes import AGE, MISSING
from facial_attributes_ros.engines.base import probabilities
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.engines.torch import TorchEngine
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.regression import AgeRegression
from facial_attributes_ros.models.spec import ModelSpec

from ..conftest import TINY

AGES = AgeRegression(40.0, 20.0, 20.0)
RESNET = {"name": "resnet18", "weights": None, "image_size": 32}


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the manifest of images that are the brighter the older, in three splits; two samples have no years."""
    tmp_path = tmp_path_factory.mktemp("aged")
    random, rows = np.random.default_rng(0), []
    for index in range(48):
        years = int(random.integers(5, 80))
        path = tmp_path / f"{index}.png"
        cv2.imwrite(str(path), (random.integers(0, 40, (32, 32, 3)) + 2.5 * years).astype(np.uint8))
        rows.append(Row(str(path), ("train", "val", "test")[index % 3], "aged", age_years=years, box=(0, 0, 32, 32)))
    rows += [Row(str(tmp_path / f"{n}.png"), "train", "aged", {AGE: "20-29"}, box=(0, 0, 32, 32)) for n in range(2)]
    write_manifest(tmp_path / "aged.csv", Manifest.from_rows(rows))
    return tmp_path / "aged.csv"


@pytest.fixture(scope="module")
def folder(aged: Path) -> Path:
    """Return the model's folder of a finished run with its reports."""
    return train(recipe_of(aged), write_report=write_reports)


def recipe_of(manifest: Path, **changes: object) -> Recipe:
    sets = {
        name: [{"manifest": str(manifest), "splits": [split]}]
        for name, split in (("train", "train"), ("validation", "val"), ("test", "test"))
    }
    values: dict[str, object] = {
        "name": "years",
        "output": str(manifest.parent / "run"),
        "backbone": RESNET,
        "adaptation": {"name": "ft-1", "hidden": False, "batch_norm": False},
        "head_dropout": 0.0,
        "tasks": ["age"],
        "age_as": "years",
        "data": sets,
        "sampler": {"balance": 0},
        "losses": {"combine": "sum"},
        "optimiser": {"lr": 3e-3},
        "epochs": 3,
        "batch_size": 8,
    }
    return Recipe.model_validate(values | changes)


@pytest.mark.parametrize("squared", [True, False])
def test_the_loss_is_that_of_the_samples_with_an_age(squared):
    outputs = torch.tensor([[0.5], [3.0], [-1.0]], requires_grad=True)
    years = torch.tensor([40.0, 60.0, float(MISSING)])
    loss = masked_year_error(outputs, years, AGES, squared)
    expected = torch.tensor([0.125, 2.0 if squared else 1.5]).sum()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert outputs.grad[2] == 0
    assert masked_year_error(outputs, torch.full((3,), float(MISSING)), AGES).item() == 0


def test_years_and_classes_are_learned_together():
    loss = CombinedLoss(("age", "gender"), LossRecipe(), {"age": torch.ones(9), "gender": torch.ones(2)}, AGES)
    logits = {"age": torch.tensor([[1.0], [0.0]]), "gender": torch.tensor([[1.0, 0.0], [0.0, 1.0]])}
    sums = loss.sums(logits, {"age": torch.tensor([40.0, 40.0]), "gender": torch.tensor([0, MISSING])})
    torch.testing.assert_close(
        sums, torch.stack([torch.tensor(0.5), F.cross_entropy(logits["gender"][:1], torch.tensor([0]))])
    )


def test_the_scale_is_that_of_the_ages_trained_on(aged):
    rows = read_manifest(aged)
    ages = training_ages(rows)
    assert ages.mean == pytest.approx(np.nanmean(rows.age_years), abs=1e-3)
    assert ages.std == ages.deviation == pytest.approx(np.nanstd(rows.age_years), abs=1e-3)
    assert (without_age_groups(rows).labels[AGE] == MISSING).sum() == 2
    with pytest.raises(UserError, match="age_as=groups"):
        training_ages(rows.take(np.isnan(rows.age_years)))


def test_the_deviation_is_the_root_of_the_mean_squared_error():
    measured = with_measured_deviation(AGES, np.array([[0.0], [1.0], [9.0]], np.float32), np.array([43, 56, np.nan]))
    assert measured.deviation == pytest.approx(np.sqrt((9 + 16) / 2), abs=1e-3)


def test_a_run_leaves_a_model_its_metrics_and_plots(aged, folder):
    spec = ModelSpec.read(folder)
    rows = read_manifest(aged).split("test")
    assert spec.age_regression is not None
    assert spec.age_regression.mean == pytest.approx(np.nanmean(read_manifest(aged).split("train").age_years), abs=1e-3)
    figures = spec.metrics["aged"]["age"]
    predictions = predict_manifest(TorchEngine.load(folder), rows)
    years = evaluate(predictions, spec).results["aged"][AGE].years
    assert figures["rows"] == len(rows) == years.rows
    errors = np.abs(predictions.years - rows.age_years)
    assert figures["mae_years"] == pytest.approx(errors.mean(), abs=0.02)
    assert figures["plcc"] == pytest.approx(pearsonr(predictions.years, rows.age_years).statistic, abs=2e-3)
    assert figures["srocc"] == pytest.approx(spearmanr(predictions.years, rows.age_years).statistic, abs=5e-3)
    assert figures["plcc_95"][0] <= figures["plcc"] <= figures["plcc_95"][1]
    assert all(Image.open(folder.parent / "plots" / name).size[0] > 300 for name in ("years.png", "ages.png"))
    report = (folder.parent / "report.md").read_text()
    assert all(text in report for text in ("plots/years.png", "plots/ages.png", "learned as years", "SROCC"))
    compared = write_comparison(aged.parent / "compared", [finished_run(recipe_of(aged), train)], [], "compare")
    assert f"| years | aged | {figures['mae_years']:.3f} [" in compared.read_text()
    run = finished_run(recipe_of(aged), train)
    for name in ("srocc", "srocc_95"):  # as of a network that says the same age of everyone
        del run.metrics["aged"]["age"][name]
    assert "] |  |" in write_comparison(aged.parent / "constant", [run], [], "compare").read_text()


def test_the_engines_agree_and_give_a_distribution_over_groups(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FACIAL_ATTRIBUTES_CACHE", str(tmp_path / "cache"))
    crops = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    engines = [load_engine(folder, "cpu", engine) for engine in ("torch", "onnx")]
    first, second = (engine.logits(crops)[AGE] for engine in engines)
    assert first.shape == (3, 1)
    np.testing.assert_allclose(first, second, atol=2e-3)
    assert probabilities({AGE: first}, engines[0].spec)[AGE].shape == (3, 9)
    assert engines[0].logits(crops[:0])[AGE].shape == (0, 1)


@pytest.mark.parametrize("backbone", [TINY, RESNET, RESNET | {"name": "mobilenet_v2"}], ids=lambda of: of["name"])
def test_a_frozen_trunk_on_cached_features_learns_years_too(aged, backbone, tmp_path):
    cache = {"folder": str(tmp_path / "features")}
    recipe = recipe_of(aged, backbone=backbone, adaptation="lp", cache=cache, epochs=1, output=str(tmp_path / "run"))
    assert ModelSpec.read(train(recipe)).outputs(AGE) == 1
