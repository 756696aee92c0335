"""Faults while a run writes: the last good checkpoint stays, and a resumed run ends as an undisturbed one."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from facial_attributes_training.fit.run import train
from facial_attributes_training.recipe.schema import Recipe
from safetensors.torch import load_file

from facial_attributes_ros import files
from facial_attributes_ros.errors import UserError

MOMENTS = {
    "a checkpoint within an epoch": ("last.pt", 2),
    "the first best weights": ("best.pt", 1),
    "the checkpoint at the end of an epoch": ("last.pt", 4),
    "the table of classes": ("distribution.csv", 1),
    "the predictions of the finished model": ("predictions.csv", 1),
    "the model's weights": ("model.safetensors", 1),
    "the model's description": ("model.json", 1),
}
"""The file that is being written, and for the how-manieth time."""
KILLS = ("a checkpoint within an epoch", "the first best weights", "the model's description")
"""As a full disk takes the same ways, but for what is left lying about, and a process takes long to start."""
KILLED = """
import json, os, signal, sys
from pathlib import Path
import timm, torch._dynamo  # once, for all that are killed
from facial_attributes_training.recipe.schema import Recipe
from facial_attributes_training.fit.run import train
torch.set_num_threads(1)

def kill(name, number):
    rename, written = Path.replace, []
    def replace(path, target):
        if Path(target).name == name:
            written.append(target)
            if len(written) == number:
                os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)
    Path.replace = replace

for values, moment in json.load(sys.stdin):
    child = os.fork()
    if not child:
        kill(*moment)
        train(Recipe.model_validate_json(values))
        os._exit(0)
    print(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def recipe_of(make_recipe: Callable[..., Recipe]) -> Callable[[str], Recipe]:
    return lambda name: make_recipe(name.replace(" ", "-"), checkpoint_minutes=0, augmentation={})


@pytest.fixture(scope="module")
def runs() -> dict[str, Recipe]:
    """The recipe of the run that nothing has disturbed, once it is trained."""
    return {}


@pytest.fixture
def whole(runs: dict[str, Recipe], recipe_of: Callable[[str], Recipe]) -> Recipe:
    """Return the recipe of the finished run that nothing has disturbed; trained once, on one thread."""
    if not runs:
        runs["whole"] = recipe_of("whole")
        train(runs["whole"])
    return runs["whole"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums are rounded by how many threads share them, and other tests change that number in their process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def end_of(recipe: Recipe) -> tuple[dict[str, torch.Tensor], list[dict[str, float]], dict[str, object]]:
    """Return the weights, the losses and the description that a run has ended with."""
    last = torch.load(recipe.folder / "stage" / "last.pt", weights_only=True)
    description = json.loads((recipe.folder / "model" / "model.json").read_text())
    weights = load_file(recipe.folder / "model" / "model.safetensors")
    return weights, last["progress"]["history"], description["metrics"]


def assert_ended_alike(first: Recipe, second: Recipe) -> None:
    (weights, *rest), (others, *other_rest) = end_of(first), end_of(second)
    assert rest == other_rest
    assert weights.keys() == others.keys()
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert not list(second.folder.rglob(".*-*")), "nothing half written stays"


def test_a_run_that_is_killed_while_it_writes_can_be_resumed(recipe_of, whole, subtests):
    killed = {moment: recipe_of(moment) for moment in KILLS}
    jobs = [(recipe.model_dump_json(), MOMENTS[moment]) for moment, recipe in killed.items()]
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        input=json.dumps(jobs),
        stdout=subprocess.PIPE,
        text=True,
        timeout=280,
        check=True,
    )
    assert done.stdout.split() == [str(int(signal.SIGKILL))] * len(jobs)
    for moment, recipe in killed.items():
        with subtests.test(moment):
            assert list(recipe.folder.rglob(".*-*")), "it was killed in the middle of writing"
            train(recipe, resume=True)
            assert_ended_alike(whole, recipe)


def full_disk(name: str, number: int) -> Callable[[int], None]:
    """Return an fsync that finds no space for a file when it is written for the how-manieth time."""
    plain, written = os.fsync, []

    def full(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == name:
            written.append(name)
            if len(written) == number:
                raise OSError(errno.ENOSPC, "No space left on device")
        plain(descriptor)

    return full


def test_a_run_whose_disk_was_full_at_any_moment_can_be_resumed(recipe_of, whole, subtests, monkeypatch):
    for moment, (name, number) in MOMENTS.items():
        with subtests.test(moment), monkeypatch.context() as patch:
            recipe = recipe_of(moment)
            patch.setattr(files.os, "fsync", full_disk(name, number))
            with pytest.raises(UserError, match=f"no space left on the disk to write .*{name}"):
                train(recipe)
            train(recipe, resume=True)
            assert_ended_alike(whole, recipe)


def test_what_is_written_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: events.append(os.pread(descriptor, 9, 0)))
    rename = Path.replace

    def replace(path: Path, target: Path) -> Path:
        events.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with files.atomic_target(tmp_path / "file") as temporary:
        temporary.write_bytes(b"content")
    assert events == [b"content", "renamed"]
