"""The node keeps its files to itself, calls nobody, and takes the programs that it has started along when it ends."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from facial_attributes_ros.cache import cache_dir

SLOW_PIP = """
import os, pathlib, time
pathlib.Path(os.environ["NOTE"]).write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""
DEADLINE = 100.0
_TRACE = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o"]
_ELSEWHERE = re.compile(r'AF_INET6?,(?!.*("127\.|"::1"|"239\.255\.0\.1"))')
"""An address that is neither this machine's nor the group in which DDS discovers its peers."""


def alive(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_children(pid):
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def test_an_empty_home_stays_empty_and_nobody_is_called(graph, tmp_path):
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    graph.env = {name: value for name, value in graph.env.items() if not name.startswith(("ORT_", "XDG_", "HF_"))}
    more = {"HOME": str(home), "FACIAL_ATTRIBUTES_CACHE": str(cache_dir())}
    prefix = [*_TRACE, str(trace)] if shutil.which("strace") else []
    node = graph.node("perception", prefix=prefix, **more)
    try:
        node.wait_for_text("Waiting for images")
    finally:
        if prefix:  # a program lives on when its strace is killed; strace ends with it
            kill_children(node.child.pid)
            node.child.wait(DEADLINE)
    assert [path for path in home.iterdir() if path.name != ".ros"] == []
    calls = trace.read_text(errors="replace").splitlines() if prefix else []
    assert [line for line in calls if _ELSEWHERE.search(line)] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_stopped_while_it_fetches_takes_pip_along(graph, tmp_path, number):
    note, cache, stand_in = tmp_path / "note", tmp_path / "cache", tmp_path / "python" / "pip"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").touch()
    (stand_in / "__main__.py").write_text(SLOW_PIP)
    path = os.pathsep.join([str(stand_in.parent), graph.env["PYTHONPATH"]])
    graph.env.pop("FACIAL_ATTRIBUTES_ASSETS", None)
    node = graph.node("perception", NOTE=str(note), FACIAL_ATTRIBUTES_CACHE=str(cache), PYTHONPATH=path)
    node.wait_for(lambda _: note.exists() and note.read_text().endswith("\n"), what="pip")
    pip = int(note.read_text())
    node.child.send_signal(number)
    assert node.child.wait(DEADLINE) == 0
    deadline = time.monotonic() + DEADLINE
    while alive(pip):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    node.wait_for(lambda _: node.silent)
    assert not [line for line in node.lines if "network" in line or "Traceback" in line]
