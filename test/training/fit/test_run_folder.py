"""What a run can go into and go on from, and what it leaves when it is refused."""

import shutil
from pathlib import Path

import pytest
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.time_limit import OutOfTimeError
from facial_attributes_training.recipe.schema import Recipe

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.files import locked


def begin(recipe: Recipe, resume: bool = False) -> None:
    """Train one step."""
    with pytest.raises(OutOfTimeError):
        train(recipe, resume=resume, minutes=1e-9)


@pytest.fixture
def split(manifest, make_recipe):
    """Return a function to the recipe of a run on two manifests, and the paths of both."""
    other = manifest.with_name("other.csv")
    shutil.copy(manifest, other)
    data = {"train": [{"manifest": str(manifest)}], "validation": [{"manifest": str(other)}]}
    return lambda **changes: make_recipe("run", **{"data": data} | changes), manifest, other


CHANGES = (
    ("train", ",4,4,32,32", ",0,0,9,9"),
    ("validation", ",4,4,32,32", ",0,0,9,9"),
    ("train", ",female,", ",male,"),
    ("validation", ",female,", ",male,"),
    ("train", "made-up", "other"),
    ("validation", "made-up", "other"),
    ("validation", "11.png", "12.png"),
)


def test_a_run_with_changed_samples_is_not_resumed(split, subtests):
    make, train_file, validation_file = split
    begin(make())
    for part, before, after in CHANGES:
        path = train_file if part == "train" else validation_file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 3))
        with subtests.test(part=part, before=before), pytest.raises(UserError, match="other data"):
            train(make(), resume=True)
        path.write_text(text)
    begin(make(), resume=True)


def test_the_column_that_classes_are_balanced_within_counts_and_others_do_not(split):
    make, path, _ = split

    def with_column(name, value):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([f"{lines[0]},{name}", *(f"{line},{value}" for line in lines[1:])]) + "\n")

    with_column("camera", "a")
    recipe = make(sampler={"within": "camera"})
    begin(recipe)
    with_column("remark", "none")
    begin(recipe, resume=True)
    path.write_text(path.read_text().replace(",a,none", ",b,none", 3))
    with pytest.raises(UserError, match="other data"):
        train(recipe, resume=True)


def test_what_changes_nothing_that_is_learned_may_change(split, tmp_path):
    make, manifest, _ = split
    begin(make(augmentation=None))
    moved = tmp_path / "elsewhere"
    shutil.move(manifest.parent, moved)
    data = {
        "train": [{"manifest": str(moved / "manifest.csv")}],
        "validation": [{"manifest": str(moved / "other.csv")}],
    }
    changes = {"workers": 1, "checkpoint_minutes": 1, "gradient_checkpointing": True, "data": data}
    recipe = make(**changes).model_copy(update={"name": "renamed"})
    begin(recipe, resume=True)
    assert Recipe.model_validate_json((recipe.folder / "recipe.json").read_text()) == recipe


def test_other_frozen_weights_are_not_resumed_with(make_recipe, tmp_path):
    from safetensors.torch import save_file

    from facial_attributes_ros.models.backbones.build import build_backbone

    from ..conftest import TINY

    path = tmp_path / "weights.safetensors"
    tensors = build_backbone(TINY["name"], None, TINY["image_size"], **TINY["architecture"]).trunk.state_dict()
    save_file(tensors, path)
    recipe = make_recipe("run", backbone=TINY | {"weights": str(path)})
    begin(recipe)
    path.rename(tmp_path / "same.safetensors")
    begin(make_recipe("run", backbone=TINY | {"weights": str(tmp_path / "same.safetensors")}), resume=True)
    tensors["blocks.0.mlp.fc1.weight"] += 1
    save_file(tensors, path)
    with pytest.raises(UserError, match="another recipe or other data"):
        train(recipe, resume=True)


@pytest.mark.parametrize("resume", [True, False])
def test_one_run_at_a_time_trains_into_a_folder(make_recipe, resume):
    recipe = make_recipe("run")
    if resume:
        begin(recipe)
    with locked(recipe.folder / "run"), pytest.raises(UserError, match="another process trains in"):
        train(recipe, resume=resume)
    begin(recipe, resume=resume)


REFUSED = {
    "no manifest": {"data": {"train": [{"manifest": "nowhere.csv"}], "validation": [{"manifest": "nowhere.csv"}]}},
    "no labels": {"tasks": ["gender", "age"]},
    "no column": {"sampler": {"within": "nothing"}},
    "no weights": {"backbone": {"name": "timm:vit_tiny_patch16_224", "weights": "nowhere.safetensors"}},
    "no start": {"backbone": {"name": "timm:vit_tiny_patch16_224", "weights": None, "start": "nowhere.pt"}},
    "nothing frozen to cache": {"adaptation": "full", "cache": {"folder": "cache"}},
    "one row at a time": {"accumulate": 8},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_run_leaves_no_folder(make_recipe, changes):
    recipe = make_recipe("parent/run", **changes)
    with pytest.raises(UserError):
        train(recipe)
    assert not recipe.folder.parent.exists()


def test_missing_images_leave_no_folder(make_recipe, manifest):
    for picture in manifest.parent.glob("*.png"):
        picture.unlink()
    recipe = make_recipe("run")
    with pytest.raises(UserError, match=r"none of the 24 images exists, such as .*png"):
        train(recipe)
    assert not recipe.folder.exists()


def test_a_disk_without_space_is_reported_before_anything_is_written(make_recipe, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    recipe = make_recipe("run")
    with pytest.raises(UserError, match=r"MB for checkpoints and the model, but its disk has 0 MB left"):
        train(recipe)
    assert not recipe.folder.exists()


def test_a_folder_that_can_not_be_made_is_reported(make_recipe, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no writable folder"):
        train(make_recipe("file/run"))


def test_a_recipe_that_can_not_be_written_leaves_no_folder(make_recipe, monkeypatch):
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    recipe = make_recipe("run")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="no space left"):
        train(recipe)
    assert not recipe.folder.exists()
