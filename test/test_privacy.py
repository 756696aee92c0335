"""Nothing phones home, and nothing is left outside the package's own cache."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from facial_attributes_ros.cache import cache_dir
from facial_attributes_ros.imaging.sample_camera import SampleCamera
from facial_attributes_ros.privacy import SWITCHES, keep_to_own_cache

ROOT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"^\s*(?:from|import) (onnxruntime|matplotlib)\b", re.MULTILINE)
_CALLS = "trace=connect,sendto,sendmsg,sendmmsg"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with nothing in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables of a fresh login with that home, and the package's cache elsewhere."""
    private = ("XDG_", "HF_", "MPL", "TORCH", *SWITCHES)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    return kept | {"HOME": str(home), "FACIAL_ATTRIBUTES_CACHE": str(cache_dir())} | more


def python(code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)


def imports(*folders: str) -> set[tuple[str, str]]:
    """Which file imports which library that leaves something behind."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {(str(path.relative_to(ROOT)), name) for path in files for name in IMPORT.findall(path.read_text())}


@pytest.mark.parametrize("package", ["facial_attributes_ros", "facial_attributes_training"])
def test_importing_a_package_switches_telemetry_off(package: str, home: Path) -> None:
    code = f"import {package}, os; print(*(os.environ[name] for name in {list(SWITCHES)}))"
    assert python(code, environment(home, ORT_DISABLE_TELEMETRY="")).stdout.split() == list(SWITCHES.values())
    chosen = python(code, environment(home, ORT_DISABLE_TELEMETRY="0")).stdout.split()
    assert chosen[list(SWITCHES).index("ORT_DISABLE_TELEMETRY")] == "0", "the user's own choice"


def test_who_imported_onnxruntime_before_is_told(home: Path) -> None:
    code = "import sys; sys.modules['onnxruntime'] = sys; import facial_attributes_ros"
    assert "set ORT_DISABLE_TELEMETRY=1" in python(code, environment(home)).stderr
    assert python(code, environment(home, ORT_DISABLE_TELEMETRY="1")).stderr == ""


def test_nobody_imports_these_libraries_around_the_package() -> None:
    ours = imports("facial_attributes_ros", "training")
    assert {file for file, name in ours if name == "matplotlib"} == {"facial_attributes_ros/figures.py"}
    assert {name for _, name in ours} == {"onnxruntime", "matplotlib"}, "the pattern finds them"
    assert imports("scripts", "launch", "examples") == set(), "which run without the package's __init__"


def test_matplotlib_keeps_its_fonts_in_the_cache(home: Path, tmp_path: Path) -> None:
    env = environment(home, FACIAL_ATTRIBUTES_CACHE=str(tmp_path / "cache"))
    done = python("import facial_attributes_ros.figures, os; print(os.environ.get('MPLCONFIGDIR'))", env)
    assert list(home.rglob("*")) == []
    assert list((tmp_path / "cache" / "matplotlib").glob("fontlist*"))
    assert done.stdout == "None\n", "a library leaves the program's environment as it was"


def test_a_process_of_ours_keeps_what_dependencies_write_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / ".cache" / "facial_attributes_ros"
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path), "TRITON_CACHE_DIR": "/chosen"})
    keep_to_own_cache()
    first = dict(os.environ)
    assert first["XDG_CACHE_HOME"] == first["FACIAL_ATTRIBUTES_CACHE"] == str(cache)
    assert first["MPLCONFIGDIR"] == str(cache / "matplotlib")
    assert first["TRITON_CACHE_DIR"] == "/chosen"
    assert first["HF_HOME"] == str(tmp_path / ".cache" / "huggingface"), "models that the user has fetched are found"
    keep_to_own_cache()
    assert os.environ == first, "as in a child process"


def test_predict_leaves_nothing_in_an_empty_home_and_calls_nobody(home: Path, tmp_path: Path) -> None:
    picture, trace, temporary = tmp_path / "sample.png", tmp_path / "trace", tmp_path / "temporary"
    temporary.mkdir()
    cv2.imwrite(str(picture), SampleCamera().frame(0.0))
    command = [sys.executable, "-m", "facial_attributes_ros.cli.main", "predict", str(picture)]
    if shutil.which("strace"):
        command = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", _CALLS, "-o", str(trace), *command]
    env = environment(home, TMPDIR=str(temporary))
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert '"faces"' in done.stdout
    assert list(home.rglob("*")) + list(temporary.rglob("*")) == []
    calls = trace.read_text(errors="replace").splitlines() if trace.exists() else []
    assert [line for line in calls if "AF_INET" in line] == []
