"""What this process starts ends with it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from facial_attributes_ros import child_processes
from facial_attributes_ros.child_processes import StoppedError, child, end_children, run

DEADLINE = 100.0
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_ended(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def not_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_processes, "_over", threading.Event())


def test_a_child_that_ends_by_itself_gives_its_output_and_code() -> None:
    program = "import sys; print('done' + sys.stdin.read()); sys.exit(3)"
    done = run([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert (done.stdout, done.returncode) == ("done\n", 3)


def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(SLEEP, timeout=0.1)
    assert child_processes._running == set()


def test_leaving_the_block_ends_the_child_and_what_it_has_started() -> None:
    both = f"import subprocess, time; print(subprocess.Popen({SLEEP!r}).pid, flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt), child([sys.executable, "-c", both], stdout=subprocess.PIPE) as process:
        grandchild = int(process.stdout.readline())
        raise KeyboardInterrupt
    assert process.returncode == -signal.SIGKILL
    wait_until_ended(grandchild)


def test_a_child_may_end_in_its_own_way() -> None:
    wait = "print('up', flush=True); time.sleep(600)"
    program = f"import time\ntry:\n {wait}\nexcept KeyboardInterrupt: raise SystemExit(7)"
    options = {"end": signal.SIGINT, "patience": DEADLINE, "stdout": subprocess.PIPE}
    with child([sys.executable, "-c", program], **options) as process:
        process.stdout.readline()
    assert process.returncode == 7


def test_ctrl_c_of_the_terminal_does_not_reach_a_child() -> None:
    with child(SLEEP) as process:
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)


def test_threads_that_wait_for_a_child_leave_when_all_are_ended() -> None:
    started, seen = threading.Event(), []

    def work() -> None:
        try:
            with child(SLEEP) as process:
                started.set()
                process.wait(DEADLINE)
        except StoppedError as error:
            seen.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    started.wait(DEADLINE)
    end_children()
    thread.join(DEADLINE)
    assert len(seen) == 1
    with pytest.raises(StoppedError), child(SLEEP):
        pytest.fail("a child was started after the end")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_does_not_outlive_a_process_that_is_killed(number: signal.Signals) -> None:
    code = (
        "import sys, time; from facial_attributes_ros.child_processes import child\n"
        f"with child({SLEEP!r}) as process: print(process.pid, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    assert alive(pid)
    starter.send_signal(number)
    starter.wait()
    wait_until_ended(pid)
