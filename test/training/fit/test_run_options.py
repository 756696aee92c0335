"""Options of a recipe that change how a run goes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from facial_attributes_training.data.crops import CropReader, normalised
from facial_attributes_training.fit import run
from facial_attributes_training.fit.network import build_network
from facial_attributes_training.fit.plan import make_plan
from facial_attributes_training.fit.preflight import inspect_recipe
from facial_attributes_training.fit.processes import join_processes
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.run_data import with_inputs
from facial_attributes_training.fit.run_folder import LAST
from facial_attributes_training.fit.stages import seed_all
from facial_attributes_training.fit.time_limit import OutOfTimeError

from facial_attributes_ros.models.backbones import base as backbones

STILL = {"adaptation": "lp", "epochs": 1, "head_dropout": 0.0, "optimiser": {"lr": 1e-30}, "sampler": {"balance": 0.0}}
"""A run that learns nothing, so that its losses are those of the network at the start."""


def checkpoint(recipe):
    return torch.load(recipe.folder / "stage" / LAST, weights_only=True)


def train_in_two_parts(recipe):
    """Train with a stop after the first step."""
    with pytest.raises(OutOfTimeError):
        train(recipe, minutes=1e-9)
    return train(recipe, resume=True)


def assert_same(first, second):
    """Assert that two runs have ended with the same weights and losses, bit for bit."""
    ends = [checkpoint(recipe) for recipe in (first, second)]
    assert ends[0]["progress"]["history"] == ends[1]["progress"]["history"]
    for name, value in ends[0]["model"].items():
        assert torch.equal(value, ends[1]["model"][name]), name


def test_a_run_stops_early_where_nothing_gets_better(make_recipe):
    recipe = make_recipe("run", **STILL | {"epochs": 9}, early_stopping=2)
    train(recipe)
    progress = checkpoint(recipe)["progress"]
    assert progress["finished"]
    assert (len(progress["history"]), progress["best_epoch"]) == (3, 0)


def test_epochs_take_augmented_variants_from_the_cache_in_turn(make_recipe, tmp_path):
    cache = {"folder": str(tmp_path / "cache"), "variants": 3}
    recipe = make_recipe("run", cache=cache, augmentation={"flip": 1.0})
    backbone, rows = build_network(recipe).eval().backbone, inspect_recipe(recipe).rows
    training, validation = (
        with_inputs(recipe, rows[name], backbone, 1, name == "training", None).inputs
        for name in ("training", "validation")
    )

    def value(inputs, epoch, place):
        return inputs[(5, epoch, place)].value

    variants = [value(training, 0, place) for place in range(3)]
    with torch.inference_mode():
        crop = CropReader(rows["training"].manifest, 32, 0.0).crop(5)[None]
        plain = backbone.prefix(normalised(crop, backbone.preprocess.mean, backbone.preprocess.std), 1)[0]
    torch.testing.assert_close(variants[0].float(), plain, atol=2e-3, rtol=2e-3)
    assert not any(torch.equal(variants[a], variants[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    for epoch in range(3):
        for place in range(3):
            assert torch.equal(value(training, epoch, place), variants[(epoch + place) % 3])
            assert torch.equal(value(validation, epoch, place), value(validation, 0, 0))


def test_a_run_on_cached_variants_that_is_stopped_resumes_bit_for_bit(make_recipe, tmp_path):
    changes = {"cache": {"folder": str(tmp_path / "cache"), "variants": 2}, "augmentation": {}}
    whole, parts = (make_recipe(name, **changes) for name in ("whole", "parts"))
    train(whole)
    # Two variants of the training samples, and the validation samples as they are.
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 3
    train_in_two_parts(parts)
    assert_same(whole, parts)


def test_gradient_checkpointing_changes_nothing_in_a_run_but_what_is_kept(make_recipe, monkeypatch):
    recomputed, plain = [], backbones.checkpoint

    def counted(*arguments, **options):
        recomputed.append(arguments)
        return plain(*arguments, **options)

    monkeypatch.setattr(backbones, "checkpoint", counted)
    changes = {"adaptation": {"name": "lora", "rank": 2, "alpha": 2, "dropout": 0.2}, "epochs": 1}
    recipes = [make_recipe(f"{on}", gradient_checkpointing=on, **changes) for on in (False, True)]
    train(recipes[0])
    assert not recomputed
    train(recipes[1])
    assert len(recomputed) == 2 * 3, "both blocks in every step, and none in validation"
    assert_same(*recipes)


@pytest.mark.parametrize("weights", ["none", "inverse"])
def test_the_losses_of_a_run_are_weighted_by_the_classes_of_its_training_samples(make_recipe, manifest, weights):
    # 8 women and 16 men in training, 10 and 10 in validation.
    text = manifest.read_text()
    manifest.write_text(text.replace(",female,", ",male,", 4))
    recipe = make_recipe("run", losses={"class_weights": weights}, **STILL)
    train(recipe)
    (epoch,) = checkpoint(recipe)["progress"]["history"]

    seed_all(recipe.seed)
    model = build_network(recipe).eval()
    # One half of the validation samples chooses the epoch.
    (stage,) = make_plan(recipe, inspect_recipe(recipe).rows, 1).stages
    training, validation = stage.train_manifest, stage.validation_manifest
    reader, preprocess = CropReader(validation, 32, 0.0), model.backbone.preprocess
    crops = torch.stack([reader.crop(row) for row in range(len(validation))])
    with torch.inference_mode():
        logits = model(normalised(crops, preprocess.mean, preprocess.std))["gender"]
    truth = torch.from_numpy(validation.labels["gender"])
    counts = np.bincount(training.labels["gender"])
    assert sorted(counts.tolist()) == [8, 16]
    factors = torch.from_numpy(24 / (2 * counts)).float() if weights == "inverse" else torch.ones(2)
    losses = F.cross_entropy(logits, truth, reduction="none") * factors[truth]
    assert epoch["loss_gender"] == pytest.approx(float(losses.mean()), rel=1e-4)


def test_a_run_in_half_precision_that_is_stopped_resumes_bit_for_bit(make_recipe):
    whole, parts, full = (
        make_recipe(name, precision=precision, augmentation={})
        for name, precision in (("whole", "bfloat16"), ("parts", "bfloat16"), ("full", "float32"))
    )
    train(whole)
    train_in_two_parts(parts)
    assert_same(whole, parts)
    train(full)
    first, second = (checkpoint(recipe)["progress"]["history"][-1]["loss"] for recipe in (whole, full))
    assert first != second
    assert first == pytest.approx(second, rel=0.05)


def test_the_scale_of_half_precision_resumes_where_it_stopped(make_recipe, monkeypatch):
    def with_scaler(precision):
        accelerator = join_processes(precision)
        # Only GPUs have one in a run; it is doubled after every second step.
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        return accelerator

    monkeypatch.setattr(run, "join_processes", with_scaler)
    whole, parts = make_recipe("whole", head_dropout=0.0), make_recipe("parts", head_dropout=0.0)
    train(whole)
    train_in_two_parts(parts)
    scalers = [checkpoint(recipe)["scaler"] for recipe in (whole, parts)]
    assert scalers[0] == scalers[1]
    assert scalers[0]["scale"] == 8.0 * 2**3, "six steps"
    assert_same(whole, parts)


FINGERPRINTS = {
    "92fcb02e8847fae43118d0ef2d43adc920589aa64297b10011007868e7ff96b2": {},
    "17f8f2d0a813e0bec1c9e8f505aa2a717d5f139d099046d0a66caf45112f9a0b": {"sampler": "reference"},
    "8159b0a12c79011f3dd74a486e877a2d5211e59a60c0ce20452c61c15be752fd": {"augmentation": {}},
}
"""Of stages as version 0.1.0 has them, without the frozen weights."""


@pytest.mark.parametrize(("fingerprint", "changes"), FINGERPRINTS.items())
def test_a_run_of_an_earlier_version_can_be_resumed(make_recipe, fingerprint, changes):
    recipe = make_recipe("run", **changes)
    (stage,) = make_plan(recipe, inspect_recipe(recipe).rows, 1).stages
    assert stage.fingerprint == fingerprint
