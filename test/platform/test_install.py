"""What colcon installs: `ros2 run`, `ros2 launch` and Python find everything under the prefix."""

import os
import subprocess
from pathlib import Path

import pytest
from ros_env import BUILD, ROOT, VENV, python_folder

TRAINING = "facial_attributes_training"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    """The package as CMake installs it, all components."""
    cmake = VENV / "bin" / "cmake"
    if not (BUILD / "cmake_install.cmake").exists() or not cmake.exists():
        pytest.skip("the messages are not built here: run make setup")
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run([cmake, "--install", BUILD, "--prefix", folder], check=True, capture_output=True)
    return folder


def names(folder: Path, pattern: str) -> set[str]:
    """Paths of the files below a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.glob(pattern) if path.is_file()}


def test_executables_launch_file_configuration_and_messages_are_where_ros_looks(prefix):
    programs = prefix / "lib" / "facial_attributes_ros"
    nodes = {"camera", "dialogue", "listener", "perception", "talk", "viewer"}
    assert names(programs, "*") == {"facial-attributes", *nodes}
    assert all(os.access(program, os.X_OK) for program in programs.iterdir())
    share = prefix / "share" / "facial_attributes_ros"
    assert names(share / "config", "**/*") == names(ROOT / "config", "**/*")
    assert names(share / "launch", "*.py") == names(ROOT / "launch", "*.py")
    assert names(share / "msg", "*.msg") == names(ROOT / "msg", "*.msg")
    assert names(share / "srv", "*.srv") == names(ROOT / "srv", "*.srv")
    assert (share / "package.xml").is_file()


def test_every_module_the_templates_and_the_weights_join_the_generated_messages(prefix):
    packages = python_folder(prefix)
    for source, package in (("facial_attributes_ros", "facial_attributes_ros"), ("training", TRAINING)):
        assert names(ROOT / source, "**/*.py") <= names(packages / package, "**/*.py")
    assert names(ROOT / "config/recipes", "*") == names(packages / TRAINING / "recipes", "*.yaml")
    templates = Path("reports") / "templates"
    assert names(ROOT / "training" / templates, "*") == names(packages / TRAINING / templates, "*.jinja")
    dialogue = Path("facial_attributes_ros") / "dialogue"
    assert names(ROOT / dialogue / "languages", "**/*") == names(packages / dialogue / "languages", "**/*")
    assert (packages / dialogue / "config" / "dialogue.yaml").is_file()
    weights = Path("facial_attributes_ros") / "models" / "weights"
    assert names(ROOT / weights, "**/*") == names(packages / weights, "**/*")
    assert (packages / "facial_attributes_ros" / "msg" / "__init__.py").is_file()
