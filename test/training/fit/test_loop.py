import csv
from pathlib import Path

import pytest
import torch
from facial_attributes_training.fit.checkpointing import load_checkpoint, save_checkpoint
from facial_attributes_training.fit.loop import StepReport
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.run_folder import LAST
from facial_attributes_training.fit.time_limit import OutOfTimeError
from facial_attributes_training.recipe.schema import Recipe
from safetensors.torch import load_file

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.spec import ModelSpec

AUGMENTED = {
    "augmentation": {},
    "checkpoint_minutes": 0,
    "adaptation": {"name": "lora", "rank": 2, "alpha": 2, "dropout": 0.1},
}


class StopAfter(StepReport):
    """Ends the run as a kill would, between two steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, *_args: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_run_ends_with_a_model_folder(finished):
    folder = finished.folder / "model"
    spec = ModelSpec.read(folder)
    assert spec.tasks == ("gender", "emotion")
    assert spec.metrics["made-up"]["gender"]["rows"] == 10
    assert "backbone.trunk.cls_token" in weights(folder)


def test_a_stopped_run_resumes_bit_for_bit(make_recipe, subtests):
    whole = make_recipe("whole", **AUGMENTED)
    train(whole)
    for after in (1, 4):
        with subtests.test(after=after):
            recipe = make_recipe(f"stopped-{after}", **AUGMENTED)
            with pytest.raises(KeyboardInterrupt):
                train(recipe, make_report=lambda _tasks, _folder, steps=after: StopAfter(steps))
            resumed = train(recipe, resume=True)
            assert_equal(weights(whole.folder / "model"), weights(resumed))
            ends = [torch.load(run.folder / "stage" / LAST, weights_only=True) for run in (whole, recipe)]
            assert ends[0]["progress"]["history"] == ends[1]["progress"]["history"]
    with subtests.test("stopped after every step"):
        assert_equal(weights(whole.folder / "model"), weights(train_in_parts(make_recipe("parts", **AUGMENTED))))


def test_a_run_of_several_stages_in_short_parts_ends_bit_for_bit_as_a_whole_one(make_recipe):
    whole = train(make_recipe("whole", one_after_another=True))
    assert_equal(weights(whole), weights(train_in_parts(make_recipe("parts", one_after_another=True))))


def train_in_parts(recipe: Recipe) -> Path:
    """Train step by step, and return the model's folder."""
    recipe = recipe.model_copy(update={"checkpoint_minutes": 60})
    stops, folder = 0, None
    while folder is None:
        try:
            folder = train(recipe, resume=True, minutes=1e-9)
        except OutOfTimeError:
            stops += 1
    # Every part does one step, whatever time is left.
    last = sorted(recipe.folder.glob("*/last.pt"))
    assert stops >= sum(torch.load(path, weights_only=True)["progress"]["steps"] for path in last)
    return folder


def test_a_run_is_not_overwritten_without_being_asked(finished):
    with pytest.raises(UserError, match="--resume"):
        train(finished)


@pytest.mark.parametrize("change", [{"epochs": 3}, {"epochs": 1, "one_after_another": True}])
def test_resuming_with_another_recipe_is_refused(finished, change):
    before = (finished.folder / "recipe.json").read_bytes()
    with pytest.raises(UserError, match="another recipe"):
        train(finished.model_copy(update=change), resume=True)
    assert (finished.folder / "recipe.json").read_bytes() == before


def test_a_corrupt_image_is_skipped(tmp_path, caplog, make_recipe):
    (tmp_path / "faces" / "3.png").write_bytes(b"not a picture")
    folder = train(make_recipe("run"))
    assert "3.png" in caplog.text
    assert all(value.isfinite().all() for value in weights(folder).values())


def test_a_loss_that_is_not_finite_stops_with_the_samples(tmp_path, make_recipe):
    recipe = make_recipe("run", optimiser={"lr": 1e30, "clip": None})
    with pytest.raises(UserError, match="broken-batch"):
        train(recipe)
    with (tmp_path / "run" / "stage" / "0-broken-batch.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8


def test_a_full_disk_is_reported_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / LAST
    save_checkpoint(path, {"fingerprint": "test", "value": torch.ones(3)})

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="no space left"):
        save_checkpoint(path, {"fingerprint": "test", "value": torch.zeros(3)})
    assert torch.equal(load_checkpoint(path, "test")["value"], torch.ones(3))


def test_accumulating_parts_of_a_step_changes_nothing(tmp_path, make_recipe):
    plain = {"adaptation": {"name": "ft-1", "batch_norm": False}, "head_dropout": 0.0}
    whole = train(make_recipe("whole", **plain))
    parts = train(make_recipe("parts", accumulate=4, **plain))
    first, second = weights(whole), weights(parts)
    for name, value in first.items():
        torch.testing.assert_close(value.float(), second[name].float(), rtol=2e-3, atol=2e-3)


def test_an_epoch_of_one_sample_can_be_trained_on(make_recipe):
    plain = {"adaptation": {"name": "ft-1", "batch_norm": False}, "epochs": 1, "accumulate": 4}
    assert train(make_recipe("run", sampler={"epoch_rows": 1}, **plain)).is_dir()
