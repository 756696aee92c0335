"""Runs that continue a model: what they take over, keep and store."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from facial_attributes_training.data.manifest import Manifest, read_manifest, write_manifest
from facial_attributes_training.fit.continued import stored_tensors
from facial_attributes_training.fit.network import build_network
from facial_attributes_training.fit.parent import Parent, stored_adaptation, with_parent
from facial_attributes_training.fit.provenance import backbone_reference
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.run_folder import PARENT_FILE
from facial_attributes_training.reports.parent import verdict
from facial_attributes_training.reports.run import write_reports
from safetensors.torch import save_file

from facial_attributes_ros.attributes import EMOTION, GENDER, LABELS, MISSING
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models import provenance
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.checkpoint import save_model
from facial_attributes_ros.models.registry import load_model
from facial_attributes_ros.models.spec import ModelSpec

from ..conftest import TINY, _make_faces, _make_recipe

LORA = {"name": "lora", "rank": 2, "alpha": 3.0, "dropout": 0.0}
PLAIN = LORA | {"name": "lora-plain", "dora": False}
MTLORA = LORA | {"name": "mtlora", "task_specific": True}


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """Return a trained model of two tasks, whose backbone's weights are a file."""
    folder = tmp_path_factory.mktemp("parent")
    trunk = build_backbone(TINY["name"], None, TINY["image_size"], **TINY["architecture"]).trunk
    save_file(trunk.state_dict(), folder / "backbone.safetensors")
    faces = _make_faces(folder / "faces", 24), _make_faces(folder / "validation", 20, first=3)
    backbone = TINY | {"weights": str(folder / "backbone.safetensors")}
    data = {"train": [{"manifest": str(faces[0])}], "validation": [{"manifest": str(faces[1])}], "crop_margin": 0.1}
    recipe = _make_recipe(*faces, folder / "run", backbone=backbone, data=data, epochs=1, version="1.2.3", licence="NC")
    return train(recipe)


@pytest.fixture(scope="module")
def emotions(tmp_path_factory):
    """Return a manifest of happy and neutral faces, with no other label."""
    path = _make_faces(tmp_path_factory.mktemp("lab"), 24, first=50)
    manifest = read_manifest(path)
    labels = np.where(np.arange(24) % 2, *(LABELS[EMOTION].index(name) for name in ("happy", "neutral")))
    nothing = np.full(24, MISSING)
    write_manifest(path, replace(manifest, labels=manifest.labels | {EMOTION: labels, GENDER: nothing}))
    return path


def continued(tmp_path, start, manifest, name="child", **changes):
    values = {
        "name": name,
        "backbone": {"start": str(start)},
        "adaptation": {"name": "lp"},
        "tasks": ["gender", "emotion"],
        "data": {"train": [{"manifest": str(manifest)}], "folds": 2},
        "epochs": 1,
        "batch_size": 8,
        "optimiser": {"lr": 1e-2},
    }
    return _make_recipe(manifest, manifest, tmp_path / name, **(values | changes))


def logits(folder):
    with torch.inference_mode():
        return load_model(folder)[0](torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)))


def moved(start, recipe_of, adaptation, folder, labels):
    """Continue a model by an adaptation, change all that it trains, store it, and return its outputs before."""
    recipe = with_parent(recipe_of(start, adaptation=adaptation), labels)
    model, parent = build_network(recipe), Parent.read(str(start))
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        unchanged = model(images)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape)
        changed = model(images)
    parts = (Adaptation.from_dict(each) for each in (recipe.adaptation, parent.spec.adaptation))
    spec = replace(
        parent.spec, adaptation=stored_adaptation(*parts).to_dict(), backbone=backbone_reference(recipe, folder)
    )
    save_model(folder, spec, stored_tensors(recipe, model, parent), half=False)
    return unchanged, changed


@pytest.mark.parametrize(
    "later", [{"name": "lp"}, {"name": "ft-1"}, LORA, PLAIN, MTLORA], ids=lambda each: each["name"]
)
def test_any_adaptation_continues_any_other_and_stands_alone(tmp_path, parent, emotions, later):
    labels = read_manifest(emotions)

    def recipe_of(start, **changes):
        return continued(tmp_path, start, emotions, **changes)

    torch.manual_seed(0)
    for number, first in enumerate([{"name": "ft-1"}, LORA, MTLORA]):
        child, grandchild = tmp_path / f"{number}", tmp_path / f"{number}-{number}"
        _, given = moved(parent, recipe_of, first, child, labels)
        unchanged, changed = moved(child, recipe_of, later, grandchild, labels)
        shutil.rmtree(child)
        found = logits(grandchild)
        for task in given:
            # A run begins with what its parent predicts, and what it stores needs no parent.
            torch.testing.assert_close(unchanged[task], given[task], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(found[task], changed[task], atol=1e-4, rtol=1e-4)
        assert (changed[EMOTION] - given[EMOTION]).abs().max() > 1e-3


def test_a_frozen_backbone_leaves_other_tasks_as_they_are_and_the_record_says_so(tmp_path, parent, emotions):
    recipe = continued(tmp_path, parent, emotions, licence={"spdx": "MIT", "commercial_use": "yes"})
    folder = train(recipe, write_report=write_reports)
    assert torch.equal(logits(folder)[GENDER], logits(parent)[GENDER])
    assert not torch.equal(logits(folder)[EMOTION], logits(parent)[EMOTION])
    old, new = ModelSpec.identified(parent), ModelSpec.identified(folder)
    assert new.tasks == old.tasks
    assert (new.crop, new.crop_margin, new.image_size) == (old.crop, 0.1, old.image_size)
    assert new.parent == provenance.Parent("tiny", "1.2.3", old.sha256)
    assert new.untrained_labels == old.untrained_labels == {}
    assert (new.temperatures[GENDER], new.thresholds[GENDER]) == (old.temperatures[GENDER], old.thresholds[GENDER])
    assert new.licence.commercial_use == old.licence.commercial_use
    found = json.loads((recipe.folder / PARENT_FILE).read_text())
    assert [(each["samples"], each["task"], each["rows"]) for each in found["changes"]] == [("new images", EMOTION, 24)]
    assert (found["kept"][0]["task"], found["kept"][0]["same"], found["kept"][0]["largest"]) == (GENDER, 1.0, 0.0)
    report = (recipe.folder / "report.md").read_text()
    assert (
        report.index("| parent | tiny 1.2.3 (") < report.index("The model and its parent") < report.index("## The run")
    )
    assert "Gender was not learned and gives the same numbers as before." in report


def test_masked_classes_are_never_predicted(tmp_path, parent, emotions):
    folder = train(continued(tmp_path, parent, emotions, keep={"missing_classes": "mask"}))
    expected = tuple(label for label in LABELS[EMOTION] if label not in ("happy", "neutral"))
    assert ModelSpec.read(folder).untrained_labels == {EMOTION: expected}


def test_what_the_parent_decides_is_not_stated_otherwise(tmp_path, parent, emotions):
    with pytest.raises(UserError, match="has image_size 32, not 64: remove backbone.image_size"):
        train(continued(tmp_path, parent, emotions, backbone={"start": str(parent), "image_size": 64}))
    nothing = read_manifest(emotions)
    path = tmp_path / "nothing.csv"
    write_manifest(path, Manifest.from_rows([replace(row, labels={}) for row in nothing.rows()]))
    with pytest.raises(UserError, match="no training sample has a label of gender or emotion"):
        train(continued(tmp_path, parent, path))
    one = tmp_path / "one.csv"
    write_manifest(one, Manifest.from_rows([replace(row, labels={EMOTION: "happy"}) for row in nothing.rows()]))
    with pytest.raises(UserError, match="all training samples with a label of emotion are happy"):
        train(continued(tmp_path, parent, one))
    assert not (tmp_path / "child").exists()


def change(accuracy, samples="new images", rows=150, learned=True, nll=(-0.3, -0.1)):
    value, low, high = accuracy
    scores = {"accuracy": 0.7, "nll": 1.0, "brier": 0.4, "calibration_error": 0.1, "coverage": 0.5, "precision": None}
    return {
        "samples": samples, "task": "emotion", "learned": learned, "rows": rows, "parent": scores,
        "model": scores | {"accuracy": 0.7 + value}, "accuracy": {"value": value, "low": low, "high": high},
        "nll": {"value": sum(nll) / 2, "low": nll[0], "high": nll[1]}, "brier": {"value": 0, "low": 0, "high": 0},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([change((0.1, 0.04, 0.16))], "Use this model instead of small: on the new images emotion is right in 80.0 %"),
        ([change((0.1, 0.04, 0.16)), change((-0.05, -0.1, 0.0), "affectnet")], "on the camera of the new images only"),
        ([change((0.1, 0.04, 0.16)), change((-0.05, -0.1, 0.0), "few", rows=9)], "Use this model instead"),
        ([change((0.03, -0.04, 0.1), nll=(-0.1, 0.1))], "Keep small for now: .* may be chance"),
        ([change((-0.1, -0.2, -0.02))], "Do not use this model, keep small"),
        ([change((0.1, 0.04, 0.16), nll=(0.1, 0.3))], "Do not use this model"),
        ([change((0.1, 0.04, 0.16), learned=False)], "Keep small: nothing shows"),
    ],
)
def test_one_sentence_says_whether_to_use_a_model(changes, expected):
    with pytest.raises(UserError, match=expected):
        raise UserError(verdict(changes, "small"))
