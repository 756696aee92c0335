"""The options of `make run`, and the environment that nodes run in without a ROS install."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import run
from ros_env import free_domain, ros_environment
from shared_memory import remove_orphans
from steps import SetUpError

ROOT = Path(__file__).resolve().parents[2]


def test_a_source_that_is_not_there_is_said_before_anything_starts():
    with pytest.raises(SetUpError, match=r"There is no /nowhere/clip\.mp4: --source takes"):
        run.chosen_source("/nowhere/clip.mp4")


def test_a_relative_source_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a face.png").touch()
    assert run.chosen_source("a face.png") == str(tmp_path / "a face.png")


@pytest.mark.parametrize("source", ["sample", "webcam", "webcam:1"])
def test_sources_that_are_no_paths_stay_as_they_are(source):
    assert run.chosen_source(source) == source


def test_without_a_webcam_the_sample_is_shown(monkeypatch):
    monkeypatch.setattr(run.os, "access", lambda *_: False)
    assert run.chosen_source(None) == "sample"


def test_parameters_keep_their_types_and_odd_paths():
    assert run._parameters({"source": "/a b/1: 'x'.png", "rate": 15.0, "autostart": True}) == [
        "-p", 'source:="/a b/1: \'x\'.png"', "-p", "rate:=15.0", "-p", "autostart:=true",
    ]  # fmt: skip
    assert json.loads(run._parameters({"source": "123"})[1].partition(":=")[2]) == "123"


def test_too_little_shared_memory_is_said_and_the_profile_left_out(monkeypatch, capsys):
    monkeypatch.setattr(run, "remove_orphans", lambda: 0)
    monkeypatch.setattr(run.shutil, "disk_usage", lambda _: SimpleNamespace(free=64_000_000))
    assert run.shared_memory_profile() is None
    assert "/dev/shm has only 64 MB free" in capsys.readouterr().err


def test_what_nodes_log_is_not_lost_if_the_listener_never_reads_it(capsys):
    with run.RunLog(SimpleNamespace(isatty=lambda: True)) as log:
        os.write(log.of_node[2], b"[perception]: the model is missing\n")
        assert log.of_listener[1] is None
        assert log.options == ["--show-log"]
    assert capsys.readouterr().err == "[perception]: the model is missing\n"


def test_without_a_terminal_nodes_write_where_they_always_did():
    with run.RunLog(SimpleNamespace(isatty=lambda: False)) as log:
        assert log.of_node == log.of_listener == (subprocess.DEVNULL, None, None)
        assert log.options == []


@pytest.mark.parametrize("start", [run._start_nodes, run._start_launched])
def test_a_talk_starts_the_dialogue_instead_of_the_listener(start, monkeypatch):
    monkeypatch.setattr(run, "launch_arguments", lambda *_: ["launch"])
    started = {}
    group = SimpleNamespace(start=lambda name, command, *_, **__: started.update({name: command}))
    args = run.build_parser().parse_args(["--talk", "--language", "de", "--duration", "9"])
    with run.RunLog(SimpleNamespace(isatty=lambda: True), table=False) as log:
        start(group, log, "sample", args, {})
    assert "listener" not in started
    assert 'language:="de"' in started["dialogue node"]
    assert started["talk"][-4:] == ["--language", "de", "--duration", "9.0"]


def test_segments_of_the_dead_are_removed_and_those_of_the_living_kept(tmp_path):
    for name in ("fastrtps_00000000000000aa", "fastrtps_00000000000000bb", "fastrtps_port7001"):
        (tmp_path / name).write_bytes(b"segment")
        (tmp_path / f"{name}_el").touch()
    with (tmp_path / "fastrtps_00000000000000bb_el").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert remove_orphans(tmp_path) == 1
    left = {path.name for path in tmp_path.iterdir() if not path.name.endswith("_el")}
    assert left == {"fastrtps_00000000000000bb", "fastrtps_port7001"}


def test_a_free_domain_is_one_in_which_nobody_listens():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
        domain = free_domain()
        first.bind(("127.0.0.1", 7410 + 250 * domain))
        assert all(free_domain() != domain for _ in range(200))


def test_the_environment_stays_on_this_machine_and_keeps_what_stood_there():
    env = ros_environment({"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/opt/lib"})
    assert env["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert Path(env["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
    assert env["LD_LIBRARY_PATH"].endswith(":/opt/lib")
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)


def test_messages_import_in_that_environment():
    code = "from facial_attributes_ros.msg import FaceAttributes; print(FaceAttributes.EMOTION_NEUTRAL)"
    result = subprocess.run(
        [sys.executable, "-c", code], env=ros_environment(), cwd="/", capture_output=True, text=True, check=False
    )
    assert result.stdout == "6\n", result.stderr


@pytest.mark.parametrize(
    "statement", ["import facial_attributes_ros.msg", "from facial_attributes_ros.msg import FaceAttributes"]
)
def test_without_built_messages_one_sentence_says_how_to_get_them(statement):
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", statement], env=env, cwd="/", capture_output=True, text=True, check=False
    )
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: The ROS messages of facial_attributes_ros are not built")
    assert "make setup" in last
    assert "colcon" in last
