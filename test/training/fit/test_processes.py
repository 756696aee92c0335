"""Several processes of one run: joined by the documented commands, and of one mind about what goes wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from facial_attributes_training.fit import processes, run
from facial_attributes_training.fit.plan import make_plan
from facial_attributes_training.fit.preflight import inspect_recipe
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.run_folder import LAST

from facial_attributes_ros.cli.main import main
from facial_attributes_ros.errors import UserError

LAUNCHED = ("ACCELERATE_", "WORLD_SIZE", "LOCAL_RANK")
PLAIN = {
    "adaptation": {"name": "ft-1", "batch_norm": False},
    "head_dropout": 0.0,
    "losses": {"combine": "uncertainty"},
    "accumulate": 2,
    "optimiser": {"lr": 1e-4},
    "epochs": 1,
}


def documented(launcher: str) -> list[str]:
    """Return the words of the command that the documentation gives for a launcher."""
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    return re.search(rf"^{launcher} .* train config/recipes/\S+\.yaml$", text, re.MULTILINE)[0].split()


def launched(launcher: str, port: str, recipe: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = documented(launcher)
    command[0] = str(Path(sys.executable).with_name(command[0]))
    command[-1:] = [str(recipe), *options]
    command.insert(len(launcher.split()), port)  # other tests run beside this one
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHED)}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)


def test_the_documented_command_trains_in_two_processes_as_one_does(tmp_path, make_recipe):
    path = tmp_path / "recipe.yaml"
    path.write_text(make_recipe("two", **PLAIN).model_dump_json())
    done = launched("torchrun", "--master-port=29617", path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("The model is in") == 1
    train(make_recipe("one", **PLAIN))
    runs = [torch.load(tmp_path / name / "stage" / LAST, weights_only=True) for name in ("one", "two")]
    assert [len(run["random"]) for run in runs] == [1, 2], "as many processes as have a state of their own"
    for name, value in runs[0]["model"].items():
        torch.testing.assert_close(value, runs[1]["model"][name], rtol=1e-4, atol=1e-5)
    for one, two in zip(runs[0]["progress"]["history"], runs[1]["progress"]["history"], strict=True):
        assert one == pytest.approx(two, rel=1e-4)


def test_the_other_documented_command_joins_two_processes_which_say_once_what_is_wrong(tmp_path, make_recipe):
    # What they refuse at once shows that they are joined, for a third of what training takes.
    recipe = make_recipe("two", sampler={"epoch_rows": 1})
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.model_dump_json())
    done = launched("accelerate launch", "--main_process_port=29618", path)
    assert done.returncode == 1, done.stderr[-3000:]
    assert done.stderr.count("facial-attributes: an epoch of 1 sample(s) can't be divided among 2 processes") == 1
    assert "UserError" not in done.stderr, "no traceback of ours"
    assert not recipe.folder.exists()


def test_a_process_that_was_left_alone_does_not_train_by_itself(make_recipe, monkeypatch):
    recipe = make_recipe("run")
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setattr(processes, "Accelerator", lambda **_options: SimpleNamespace(num_processes=1))
    with pytest.raises(UserError, match="2 processes were started, but this one is joined with 0 others"):
        train(recipe)
    monkeypatch.delenv("PMI_SIZE")
    # What `accelerate launch --num_processes 2` sets where there is no GPU.
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(UserError, match="started only one: give it --multi_gpu"):
        train(recipe)
    assert not recipe.folder.exists()


def test_more_processes_than_gpus_are_reported(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"2 processes were started on this machine, but it has 1 GPU"):
        processes.join_processes("float32")


def test_an_epoch_that_the_processes_can_not_share_is_reported(make_recipe):
    recipe = make_recipe("run", sampler={"epoch_rows": 1})
    rows = inspect_recipe(recipe).rows
    with pytest.raises(UserError, match=r"an epoch of 1 sample\(s\) can't be divided among 2 processes"):
        make_plan(recipe, rows, 2)
    with pytest.raises(UserError, match="batch normalisation"):
        make_plan(recipe, rows, 1)
    with pytest.raises(UserError, match="batch_size 8 can't be divided among 3 processes"):
        make_plan(recipe, rows, 3)


def test_what_a_plan_refuses_is_refused_before_the_network_is_built(make_recipe, monkeypatch):
    monkeypatch.setattr(run, "build_network", None)
    recipe = make_recipe("run", sampler={"epoch_rows": 1})
    with pytest.raises(UserError, match="a single sample at a time"):
        train(recipe)
    assert not recipe.folder.exists()


@pytest.mark.parametrize("launcher", ["torchrun", "mpirun"])
def test_the_first_process_reports_the_error(launcher, monkeypatch, capsys):
    names = {"torchrun": ("WORLD_SIZE", "RANK"), "mpirun": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")}[launcher]
    waited = []
    monkeypatch.setattr(processes.time, "sleep", waited.append)
    if launcher == "torchrun":
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv(names[0], "2")
    for rank in ("0", "1"):
        monkeypatch.setenv(names[1], rank)
        assert main(["train", "nowhere.yaml"]) == 2
        printed = capsys.readouterr().err
        assert "nowhere.yaml" in printed
        assert ("torch.distributed reports below" in printed) == (launcher == "torchrun" and rank == "0")
        # The others say it only when their launcher has let them wait for long.
        assert len(waited) == int(rank)


def test_a_process_of_its_own_reports_an_error_at_once(monkeypatch, capsys):
    monkeypatch.setattr(processes.time, "sleep", None)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert main(["train", "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_float16_without_a_gpu_is_refused_before_anything_is_written(make_recipe, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = make_recipe("run", precision="float16")
    with pytest.raises(UserError, match="float16 needs a GPU: set precision=bfloat16, or float32"):
        train(recipe)
    assert not recipe.folder.exists()
