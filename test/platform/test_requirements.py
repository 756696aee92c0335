"""The locked requirements: complete, pinned by hash, without addresses, and with one cv2."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(path for path in (ROOT / "requirements").glob("*.txt") if path.name not in {"pins.txt", "numpy1.txt"})


def entries(path):
    """Name, version and number of hashes of every entry of a lock file; one package may have one per Python."""
    text = path.read_text()
    for match in re.finditer(r"^([a-z0-9._-]+)==([^ \\;]+)(.*?)(?=^[a-z]|\Z)", text, re.MULTILINE | re.DOTALL):
        if "sys_platform == 'never'" not in match[3]:
            yield match[1], match[2], match[3].count("--hash=sha256:")


def versions(name, lock):
    return [version for package, version, _ in entries(ROOT / "requirements" / lock) if package == name]


def test_there_is_a_lock_for_each_use():
    names = ["lock.txt", "oldest.txt", "robot-torch.txt", "robot.txt", "run.txt", "train.txt"]
    assert [path.name for path in LOCKS] == names


@pytest.mark.parametrize("lock", ["run.txt", "robot.txt"])
def test_running_needs_no_pytorch(lock):
    names = {name for name, _, _ in entries(ROOT / "requirements" / lock)}
    assert not names & {"torch", "torchvision", "timm", "peft", "open-clip-torch", "accelerate", "triton"}
    assert not [name for name in names if name.startswith("nvidia")]


def test_what_running_needs_is_a_part_of_the_whole():
    """So that one environment can be filled up from the one to the other."""
    whole = {(name, version) for name, version, _ in entries(ROOT / "requirements" / "lock.txt")}
    newer = {
        (name, version)
        for name, version, _ in entries(ROOT / "requirements" / "run.txt")
        if len(versions(name, "run.txt")) == 1
    }
    of_python_310 = {"coloredlogs", "exceptiongroup", "humanfriendly", "mpmath", "six", "sympy"}
    assert {name for name, _ in newer - whole} <= of_python_310


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_has_hashes_and_no_address(lock):
    assert [name for name, _, hashes in entries(lock) if not hashes] == []
    assert "://" not in lock.read_text()
    assert "index" not in lock.read_text().replace("ament-index", "")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_exactly_one_cv2_and_one_onnxruntime_are_locked(lock):
    names = {name for name, _, _ in entries(lock)}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}
    assert {name for name in names if name.startswith("onnxruntime")} == {"onnxruntime"}


def test_the_locks_reach_from_the_oldest_to_the_newest_versions():
    assert versions("numpy", "oldest.txt") == ["1.26.0"]
    assert versions("opencv-python-headless", "oldest.txt")[0].startswith("4.8.")
    assert versions("opencv-python-headless", "lock.txt")[0].startswith("5.")
    assert all(version.startswith("2.") for version in versions("numpy", "lock.txt"))


def test_a_robot_gets_the_numpy_that_jazzy_was_built_with():
    assert versions("numpy", "robot.txt") == ["1.26.4"]


def test_torch_and_torchvision_are_the_pinned_pair():
    pins = (ROOT / "requirements" / "pins.txt").read_text()
    for name in ("torch", "torchvision"):
        assert f"{name}=={versions(name, 'lock.txt')[0]}" in pins
