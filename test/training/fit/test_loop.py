import csv
from pathlib import Path

import pytest
import torch
from facial_attributes_training.fit.checkpointing import load_checkpoint, save_checkpoint
from facial_attributes_training.fit.loop import StepReport
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.run_folder import LAST
from facial_attributes_training.fit.time_limit import OutOfTimeError
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


def test_a_run_ends_with_a_model_folder(tmp_path, make_recipe):
    folder = train(make_recipe("run"))
    spec = ModelSpec.read(folder)
    assert spec.tasks == ("gender", "emotion")
    assert spec.metrics["made-up"]["gender"]["rows"] == 10
    assert "backbone.trunk.cls_token" in weights(folder)


@pytest.mark.parametrize("after", [1, 4])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, after, make_recipe):
    whole = train(make_recipe("whole", **AUGMENTED))
    recipe = make_recipe("stopped", **AUGMENTED)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, make_report=lambda _tasks, _folder: StopAfter(after))
    resumed = train(recipe, resume=True)
    assert_equal(weights(whole), weights(resumed))
    ends = [torch.load(tmp_path / run / "stage" / LAST, weights_only=True) for run in ("whole", "stopped")]
    assert ends[0]["progress"]["history"] == ends[1]["progress"]["history"]


@pytest.mark.parametrize(
    "changes", [AUGMENTED, {"one_after_another": True, "cache": None}], ids=["mid-epoch", "stages"]
)
def test_a_run_in_short_parts_ends_bit_for_bit_as_a_whole_one(tmp_path, changes, make_recipe):
    whole = train(make_recipe("whole", **changes))
    recipe = make_recipe("parts", **changes | {"checkpoint_minutes": 60})
    stops, folder = 0, None
    while folder is None:
        try:
            folder = train(recipe, resume=True, minutes=1e-9)
        except OutOfTimeError:
            stops += 1
    # Every part does one step, whatever time is left.
    last = sorted((tmp_path / "parts").glob("*/last.pt"))
    assert stops >= sum(torch.load(path, weights_only=True)["progress"]["steps"] for path in last)
    assert_equal(weights(whole), weights(folder))


def test_a_run_is_not_overwritten_without_being_asked(tmp_path, make_recipe):
    recipe = make_recipe("run", epochs=1)
    train(recipe)
    with pytest.raises(UserError, match="--resume"):
        train(recipe)


@pytest.mark.parametrize("change", [{"epochs": 3}, {"epochs": 1, "one_after_another": True}])
def test_resuming_with_another_recipe_is_refused(tmp_path, make_recipe, change):
    train(make_recipe("run", epochs=1))
    before = (tmp_path / "run" / "recipe.json").read_bytes()
    with pytest.raises(UserError, match="another recipe"):
        train(make_recipe("run", **change), resume=True)
    assert (tmp_path / "run" / "recipe.json").read_bytes() == before


def test_a_corrupt_picture_is_passed_over(tmp_path, caplog, make_recipe):
    (tmp_path / "faces" / "3.png").write_bytes(b"not a picture")
    folder = train(make_recipe("run"))
    assert "3.png" in caplog.text
    assert all(value.isfinite().all() for value in weights(folder).values())


def test_a_loss_that_is_not_finite_stops_with_the_rows(tmp_path, make_recipe):
    recipe = make_recipe("run", optimiser={"lr": 1e30, "clip": None})
    with pytest.raises(UserError, match="broken-batch"):
        train(recipe)
    with (tmp_path / "run" / "stage" / "0-broken-batch.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8


def test_a_full_disk_is_told_and_keeps_the_checkpoint(tmp_path, monkeypatch):
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


def test_an_epoch_of_one_row_can_be_trained_on(make_recipe):
    plain = {"adaptation": {"name": "ft-1", "batch_norm": False}, "epochs": 1, "accumulate": 4}
    assert train(make_recipe("run", sampler={"epoch_rows": 1}, **plain)).is_dir()
