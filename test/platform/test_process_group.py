"""Processes that are started together end together, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import process_group
import pytest
from process_group import Group
from steps import SetUpError

OBEDIENT = "import time\ntry:\n time.sleep(600)\nexcept KeyboardInterrupt: pass"
STUBBORN = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
Path(PATH).touch()
time.sleep(600)
"""
DEADLINE = 100.0
ROOT = Path(__file__).resolve().parents[2]


def start(group, name, code, **options):
    group.start(name, [sys.executable, "-c", code], dict(os.environ), Path.cwd(), **options)


def alive(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(group):
    return [member.process.pid for member in group._members]


def test_all_end_in_order_when_the_last_one_has_ended():
    with Group() as group:
        start(group, "camera", OBEDIENT)
        start(group, "listener", "import time; time.sleep(0.3)", last=True)
        group.wait()
    assert not any(map(alive, pids(group)))


def test_one_that_dies_is_named_and_takes_the_others_along():
    with pytest.raises(SetUpError, match=r"The perception node ended by itself with code 3"), Group() as group:
        start(group, "camera", OBEDIENT)
        start(group, "perception node", "raise SystemExit(3)")
        group.wait()
    assert not any(map(alive, pids(group)))


def test_one_that_is_killed_is_named_with_the_signal():
    with pytest.raises(SetUpError, match="The camera was ended by SIGKILL"), Group() as group:
        start(group, "camera", "import os; os.kill(os.getpid(), 9)", last=True)
        group.wait()


def test_those_that_do_not_hear_are_killed_in_time(tmp_path):
    assert process_group.GRACE < 3
    first, second = (STUBBORN.replace("PATH", repr(str(tmp_path / name))) for name in ("first", "second"))
    with Group() as group:
        start(group, "perception node", first)
        start(group, "listener", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {second!r}])")
        wait_until(lambda: (tmp_path / "first").exists() and (tmp_path / "second").exists())
    assert not any(map(alive, pids(group)))


def test_ctrl_c_at_the_start_of_a_node_is_kept_for_it_and_shows_no_traceback(monkeypatch, capfd):
    monkeypatch.setattr(process_group, "GRACE", DEADLINE)
    arguments = [sys.executable, "-m", "facial_attributes_ros.ros", "listener"]
    with Group() as group:
        group.start("listener", arguments, dict(os.environ), ROOT, blocked=(signal.SIGINT, signal.SIGTERM))
    assert group._members[0].process.returncode == 0
    assert "Traceback" not in capfd.readouterr().err


def test_a_script_that_is_interrupted_while_it_imports_ends_without_a_word():
    code = "import quiet_start, os, signal; os.kill(os.getpid(), signal.SIGINT)"
    env = os.environ | {"PYTHONPATH": str(ROOT / "scripts" / "setup")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_the_processes_hear_when_the_one_that_started_them_is_killed(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path; from process_group import Group\n"
        "group = Group()\n"
        f"group.start('camera', [sys.executable, '-c', {OBEDIENT!r}], dict(os.environ), Path('.'))\n"
        "print(group._members[0].process.pid, flush=True); time.sleep(600)"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT / "scripts" / "setup")}
    starter = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    child = int(starter.stdout.readline())
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_until(lambda: not alive(child))
