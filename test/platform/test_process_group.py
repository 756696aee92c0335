"""Processes that are started together end together, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_group import Group
from steps import SetUpError

OBEDIENT = "import time\ntry:\n time.sleep(60)\nexcept KeyboardInterrupt: pass"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


def start(group, name, code, **options):
    group.start(name, [sys.executable, "-c", code], dict(os.environ), Path.cwd(), **options)


def alive(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


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


def test_one_that_does_not_hear_is_killed_within_three_seconds():
    with Group() as group:
        start(group, "perception node", STUBBORN)
        start(group, "listener", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])")
        time.sleep(0.7)
        begin = time.monotonic()
    assert time.monotonic() - begin < 3
    assert not any(map(alive, pids(group)))


def test_the_processes_hear_when_the_one_that_started_them_is_killed(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path; from process_group import Group\n"
        "group = Group()\n"
        f"group.start('camera', [sys.executable, '-c', {OBEDIENT!r}], dict(os.environ), Path('.'))\n"
        "print(group._members[0].process.pid, flush=True); time.sleep(60)"
    )
    scripts = Path(__file__).resolve().parents[2] / "scripts"
    env = os.environ | {"PYTHONPATH": str(scripts)}
    starter = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    child = int(starter.stdout.readline())
    time.sleep(0.3)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child outlived its parent")
