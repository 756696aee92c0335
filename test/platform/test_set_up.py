"""The set-up: what is missing is said in one sentence, what is done is not done again."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import environment
import messages
import preflight
import pytest
import steps
from steps import SetUpError, Stamp, cause_of, command, fingerprint, one_at_a_time, os_errors

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 100.0


def one_sentence(error):
    text = str(error.value)
    return text.endswith(".") and "\n" not in text


def test_a_missing_compiler_is_said_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(SetUpError, match=r"No C compiler was found.*build-essential") as error:
        preflight.check_compiler()
    assert one_sentence(error)


def test_a_missing_cpp_compiler_is_said_too(monkeypatch, tmp_path):
    (tmp_path / "cc").symlink_to(shutil.which("true"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(SetUpError, match=r"No C\+\+ compiler"):
        preflight.check_compiler()


def test_a_compiler_that_compiles_nothing_is_said(monkeypatch, tmp_path):
    for name in ("cc", "c++"):
        (tmp_path / name).symlink_to(shutil.which("false"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(SetUpError, match="cannot compile") as error:
        preflight.check_compiler()
    assert one_sentence(error)


def test_missing_python_headers_are_said_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(preflight.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    with pytest.raises(SetUpError, match=r"Python\.h") as error:
        preflight.check_compiler()
    assert one_sentence(error)


def test_the_compiler_of_this_machine_passes():
    preflight.check_compiler()


def test_too_little_disk_space_is_said_in_one_sentence(tmp_path):
    with pytest.raises(SetUpError, match="disk space") as error:
        preflight.check_disk(tmp_path, needed=10**18)
    assert one_sentence(error)
    preflight.check_disk(tmp_path, needed=1)


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)])
def test_an_unsupported_python_is_said_in_one_sentence(monkeypatch, version):
    monkeypatch.setattr(preflight.sys, "version_info", version)
    with pytest.raises(SetUpError, match="is not supported") as error:
        preflight.check_python()
    assert one_sentence(error)


def test_a_python_without_ensurepip_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SetUpError, match=r"-venv") as error:
        preflight.check_python()
    assert one_sentence(error)


@pytest.mark.parametrize("system", [("linux", "aarch64"), ("darwin", "x86_64")])
def test_a_machine_without_ros_wheels_is_sent_to_a_ros_install(monkeypatch, system):
    monkeypatch.setattr(preflight.sys, "platform", system[0])
    monkeypatch.setattr(preflight.platform, "machine", lambda: system[1])
    with pytest.raises(SetUpError, match="install ROS 2 Jazzy itself"):
        preflight.check_platform()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: Failed to fetch: `...`\n  Caused by: dns error: failed to lookup address information", "network"),
        ("NewConnectionError(...): [Errno -3] Temporary failure in name resolution", "network"),
        ("error: failed to write to file: No space left on device (os error 28)", "disk space"),
        ("OSError: [Errno 13] Permission denied: '/x'", "permission"),
    ],
)
def test_known_reasons_are_put_in_plain_words(output, words):
    assert words in cause_of(output)


def test_an_unknown_reason_shows_the_last_lines(capsys):
    code = "print('first'); print('strange end'); raise SystemExit(3)"
    with pytest.raises(SetUpError, match="Could not do it: .* failed with code 3"):
        command("do it", [sys.executable, "-c", code])
    assert "strange end" in capsys.readouterr().err


def test_a_stamp_is_valid_only_with_the_same_inputs(tmp_path):
    source = tmp_path / "input.txt"
    source.write_text("one")
    stamp = tmp_path / "stamps" / "step"
    assert not Stamp(stamp, [source, "x"]).valid()
    Stamp(stamp, [source, "x"]).set()
    assert Stamp(stamp, [source, "x"]).valid()
    assert not Stamp(stamp, [source, "y"]).valid()
    source.write_text("two")
    assert not Stamp(stamp, [source, "x"]).valid()


def test_only_other_pins_make_another_environment():
    entry = "numpy==2.3.0 ; python_version < '3.14' \\\n    --hash=sha256:00\n    # via {}\n"
    assert _pinned(entry.format("a")) == _pinned(entry.format("b"))
    assert _pinned(entry.format("a")) != _pinned(entry.replace("2.3.0", "2.3.1").format("a"))


def _pinned(text):
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "lock.txt"
        lock.write_text(text)
        return environment._pins(lock)


def test_a_fingerprint_sees_files_of_folders_but_not_compiled_ones(tmp_path):
    (tmp_path / "a.py").write_text("1")
    before = fingerprint([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("1")
    assert fingerprint([tmp_path]) == before
    (tmp_path / "b.py").write_text("1")
    assert fingerprint([tmp_path]) != before


def test_two_set_ups_take_turns(tmp_path, monkeypatch):
    lock = tmp_path / "lock"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from steps import one_at_a_time\n"
        "with one_at_a_time(Path(sys.argv[2])): print('held', flush=True); sys.stdin.read()"
    )
    command_line = [sys.executable, "-c", code, str(Path(steps.__file__).parent), str(lock)]
    said = []
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        # The other one lets go when we have said that we wait.
        monkeypatch.setattr(steps, "say", lambda text: (said.append(text), holder.stdin.close()))
        with one_at_a_time(lock):
            assert holder.wait(DEADLINE) == 0
    assert "waiting for it to end" in said[0]


def test_a_broken_off_command_leaves_no_children(tmp_path):
    """Ctrl-C while a build runs ends the compilers that the build started too."""
    pid_file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid_file}; wait"

    def interrupt_when_started():
        while not pid_file.exists() or not pid_file.read_text().strip():
            time.sleep(0.02)
        os.kill(os.getpid(), 2)

    timer = threading.Thread(target=interrupt_when_started)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        command("sleep", ["sh", "-c", script])
    timer.join()
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + DEADLINE
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline, "the command's child lives on"
        time.sleep(0.02)


def find_python(path, *arguments):
    """Run find_python.sh with a PATH of one folder."""
    script = ROOT / "scripts" / "setup" / "find_python.sh"
    env = {"PATH": str(path)}
    return subprocess.run(
        ["/bin/sh", script, *arguments],
        env=env,
        cwd=str(path).partition(":")[0],
        capture_output=True,
        text=True,
        check=False,
    )


def test_python_is_found_under_another_name(tmp_path):
    (tmp_path / "python3.12").symlink_to(sys.executable)
    assert find_python(tmp_path).stdout == "python3.12\n"


def test_no_python_or_a_wrong_one_is_said_in_one_sentence(tmp_path):
    missing = find_python(tmp_path, "--check")
    assert missing.returncode == 2
    assert missing.stderr.startswith("No Python 3.11, 3.12 or 3.13 was found")
    (tmp_path / "python3").symlink_to(shutil.which("false"))
    assert find_python(tmp_path, "--check").returncode == 2
    (tmp_path / "python3.9").write_text("#!/bin/sh\necho there is no python3.9 >&2; echo See the manual.; exit 127\n")
    (tmp_path / "python3.9").chmod(0o755)
    for name, answer in (("nosuchpython", "nothing"), ("python3.9", "there is no python3.9")):
        named = find_python(tmp_path, "--check", name)
        assert named.returncode == 2
        assert f"PYTHON={name} is not a Python 3.11, 3.12 or 3.13 (it answers: {answer});" in named.stderr
        assert named.stderr.count("\n") == 1


def test_a_python_whose_path_has_spaces_can_be_named(tmp_path):
    (tmp_path / "a python").symlink_to(sys.executable)
    assert find_python("/usr/bin:/bin", str(tmp_path / "a python")).stdout == f"{tmp_path / 'a python'}\n"


def test_a_checkout_that_may_only_be_read_needs_no_lock(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with one_at_a_time(tmp_path / "lock"):
        assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EACCES, "a file can't be written by .*: have its owner run `make setup`"),
        (errno.EROFS, "work in a copy of your own"),
        (errno.ENOSPC, "no disk space left for a file: free some"),
        (errno.EIO, "a file can't be used .*: mend it"),
    ],
)
def test_files_that_refuse_are_told_in_a_sentence(number, sentence):
    with pytest.raises(SetUpError, match=sentence), os_errors():
        raise OSError(number, "no", "a file")


@pytest.mark.parametrize("name", ["jürgen", "Téléchargements", 'a "quoted; one', "it's", "\udcfcber"])
def test_the_messages_are_built_through_a_path_that_their_generators_can_read(name, tmp_path, monkeypatch):
    root = tmp_path / name
    monkeypatch.setattr(messages, "ROOT", root)
    monkeypatch.setattr(messages.tempfile, "gettempdir", lambda: str(tmp_path))
    link = messages.plain_root()
    assert messages.PLAIN.fullmatch(link.name)
    assert link.readlink() == root
    assert messages.plain_root() == link
    link.unlink()
    link.symlink_to("/elsewhere")
    assert messages.plain_root().readlink() == root


def test_a_plain_checkout_is_built_where_it_lies(monkeypatch):
    monkeypatch.setattr(messages, "ROOT", Path("/home/someone/ros2_ws/src/facial-attributes"))
    assert messages.plain_root() == messages.ROOT


@pytest.mark.parametrize("name", ["a:b", "a\nb"])
def test_a_path_that_cuts_search_paths_is_refused(name, monkeypatch):
    monkeypatch.setattr(preflight, "ROOT", Path("/home") / name)
    with pytest.raises(SetUpError, match="move it elsewhere"):
        preflight.check_path()


def test_a_command_ends_with_the_process_that_is_killed(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from steps import command\n"
        "program = f'import os, time; open({sys.argv[2]!r}, \"w\").write(str(os.getpid())); time.sleep(600)'\n"
        "command('wait', [sys.executable, '-c', program])"
    )
    pid_file = tmp_path / "pid"
    starter = subprocess.Popen([sys.executable, "-c", code, str(Path(steps.__file__).parent), str(pid_file)])
    deadline = time.monotonic() + DEADLINE
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    starter.kill()
    starter.wait()
    stat = Path("/proc") / pid_file.read_text() / "stat"
    while stat.exists() and " Z " not in stat.read_text():
        assert time.monotonic() < deadline, "the command lives on"
        time.sleep(0.02)
