"""package.xml, the build files and the messages say the same as the code."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from email import message_from_string
from pathlib import Path

import pytest
import tomllib
import yaml

import facial_attributes_ros
from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, UNKNOWN
from facial_attributes_ros.ros.arguments import PARSERS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
WEIGHTS = ROOT / "facial_attributes_ros" / "models" / "weights"
ROS_PACKAGES = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "std_msgs",
}
OPTIONAL = {"hri_msgs", "vision_msgs", "foxglove_msgs"}
"""Imported where they are installed; the node works without them."""


def dependencies():
    return {element.text for element in PACKAGE if element.tag.endswith("depend")}


def imported():
    """Top-level names that the package's own sources and launch files import."""
    files = [*ROOT.glob("facial_attributes_ros/**/*.py"), *ROOT.glob("launch/*.py")]
    found = (re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(), re.MULTILINE) for file in files)
    return {name for names in found for name in names}


def constants(message):
    """Constants of a message file."""
    text = (ROOT / "msg" / f"{message}.msg").read_text()
    return {name: int(value) for name, value in re.findall(r"^uint8 ([A-Z0-9_]+) = (\d+)$", text, re.MULTILINE)}


def test_package_xml_is_format_3_with_the_version_of_the_code_and_a_licence_file():
    assert PACKAGE.get("format") == "3"
    assert PACKAGE.findtext("version") == facial_attributes_ros.__version__
    licence = PACKAGE.find("license")
    assert licence.text == "Apache-2.0"
    assert "Apache License" in (ROOT / licence.get("file")).read_text()


def test_the_change_log_and_the_citation_have_the_version_of_the_code():
    """In the form that bloom reads: a version and its date as a heading, the newest first."""
    changes = (ROOT / "CHANGELOG.rst").read_text()
    title = "Changelog for package facial_attributes_ros"
    assert re.match(rf"(\^+)\n{title}\n\1\n", changes)
    assert len(changes.splitlines()[0]) >= len(title)
    versions = re.findall(r"^(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)\n-+$", changes, re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert versions[0] == citation["version"] == facial_attributes_ros.__version__
    assert {"cff-version", "message", "title", "authors", "references"} <= citation.keys()


def test_package_xml_names_the_licence_of_the_weights():
    files = {licence.get("file") for licence in PACKAGE.findall("license")}
    assert {str(path.relative_to(ROOT)) for path in WEIGHTS.glob("*/LICENSE")} < files
    assert all((ROOT / file).is_file() for file in files)


def test_the_wheel_names_the_licence_of_the_code_and_of_all_weights_in_it(tmp_path):
    command = [sys.executable, "setup.py", "-q", "dist_info", "--output-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    folder = next(tmp_path.glob("*.dist-info"))
    metadata = message_from_string((folder / "METADATA").read_text())
    terms = set(metadata["License-Expression"].split(" AND "))
    assert "Apache-2.0" in terms
    for model in WEIGHTS.glob("*/model.json"):
        assert set(json.loads(model.read_text())["licence"]["spdx"].split(" AND ")) <= terms
    texts = {"LICENSE", *(str(path.relative_to(ROOT)) for path in WEIGHTS.glob("*/LICENSE"))}
    assert len(texts) > 1
    assert set(metadata.get_all("License-File")) == texts
    assert all((folder / "licenses" / text).read_bytes() == (ROOT / text).read_bytes() for text in texts)


def test_every_ros_package_that_is_imported_is_a_dependency():
    assert imported() & ROS_PACKAGES <= dependencies()
    assert "cv_bridge" in dependencies(), "which is imported by name"
    assert dependencies().isdisjoint(OPTIONAL)


def test_every_library_has_a_rosdep_key_or_stands_in_the_robots_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    running, torch = (
        {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in requirements}
        for requirements in (project["dependencies"], project["optional-dependencies"]["torch"])
    )
    keys = {"pyyaml": "python3-yaml", "pillow": "python3-pil", "opencv-python-headless": "python3-opencv"}
    without_key = {"accelerate", "onnx", "peft", "safetensors"}
    expected = {keys.get(name, f"python3-{name.replace('_', '-')}") for name in (running | torch) - without_key}
    given = {key.removesuffix("-pip") for key in dependencies()}
    assert expected <= given
    for lock, names in (("robot.txt", running), ("robot-torch.txt", running | torch)):
        robot = (ROOT / "requirements" / lock).read_text()
        missing = [name for name in names if not re.search(rf"^{name.replace('_', '-')}==", robot, re.MULTILINE)]
        assert missing == [], lock


@pytest.mark.parametrize(("task", "prefix"), [(AGE, "AGE_GROUP"), (GENDER, "GENDER"), (EMOTION, "EMOTION")])
def test_the_constants_of_the_message_are_the_class_indices(task, prefix):
    expected = {
        f"{prefix}_{label.upper().replace('-', '_').replace('+', '_PLUS')}": index
        for index, label in enumerate(LABELS[task])
    }
    found = {name: value for name, value in constants("FaceAttributes").items() if name.startswith(f"{prefix}_")}
    assert found == expected


def test_unknown_is_the_constant_that_is_no_class():
    assert constants("FaceAttributes")["UNKNOWN"] == UNKNOWN


def test_the_probability_arrays_are_as_long_as_the_labels():
    text = (ROOT / "msg" / "FaceAttributes.msg").read_text()
    for field, task in (("age_group", AGE), ("gender", GENDER), ("emotion", EMOTION)):
        assert f"float32[{len(LABELS[task])}] {field}_probabilities" in text


def test_cmake_generates_every_message_and_service():
    cmake = (ROOT / "CMakeLists.txt").read_text()
    for interface in [*(ROOT / "msg").glob("*.msg"), *(ROOT / "srv").glob("*.srv")]:
        assert f'"{interface.parent.name}/{interface.name}"' in cmake


NODES = ("perception", "camera", "listener", "dialogue", "talk", "viewer")


@pytest.fixture
def run_executable(tmp_path):
    """Runs the installed script under a name, after some lines of Python."""

    def run(name, *arguments, before=""):
        (tmp_path / name).symlink_to(ROOT / "scripts" / "executable")
        program = f"""
{before}
import runpy, sys
sys.argv[1:] = {list(arguments)}
runpy.run_path({str(tmp_path / name)!r}, run_name="__main__")
"""
        return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    return run


def test_one_executable_is_installed_under_every_name_and_starts_with_the_active_python():
    script = ROOT / "scripts" / "executable"
    assert script.read_text().splitlines()[0] == "#!/usr/bin/env python3"
    assert script.stat().st_mode & 0o111
    cmake = (ROOT / "CMakeLists.txt").read_text()
    assert f"foreach(NAME {' '.join(NODES)} facial-attributes)" in cmake
    assert set(PARSERS) == set(NODES)


INTERRUPT = """
import os, signal, sys
def interrupt(event, arguments):
    if event == "import" and arguments[0] == "facial_attributes_ros":
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(interrupt)
"""


@pytest.mark.parametrize(("name", "code"), [*((name, 0) for name in NODES[:3]), ("facial-attributes", 130)])
def test_ctrl_c_while_an_executable_imports_the_package_ends_it_without_a_word(run_executable, name, code):
    """The signal is sent when the import of the package begins."""
    ended = run_executable(name, before=INTERRUPT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("perception", "--must-start"),
        ("camera", "frame_id"),
        ("listener", "--jsonl"),
        ("viewer", "jpeg_quality"),
        ("facial-attributes", "predict"),
    ],
)
def test_help_is_given_at_once_where_nothing_heavy_is_imported(run_executable, name, told):
    node = name in NODES
    heavy = ["rclpy", "cv2", "torch", *(["numpy"] if node else [])]
    ended = run_executable(name, "--help", before=f"import sys; sys.modules.update(dict.fromkeys({heavy}))")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert told in ended.stdout
    assert ("--ros-args -p NAME:=VALUE" in ended.stdout) == node


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--help"], 0, "{perception,camera,listener,dialogue,talk,viewer}"),
        ([], 2, "usage"),
        (["percepton"], 2, "no node percepton"),
        (["camera", "--help"], 0, "frame_id"),
    ],
)
def test_nodes_are_started_as_a_module_too(arguments, code, told):
    command = [sys.executable, "-m", "facial_attributes_ros.ros", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert told in ended.stdout + ended.stderr


@pytest.mark.parametrize("profile", ["fastdds_shm.xml", "fastdds_shm_local.xml"])
def test_a_full_hd_frame_fits_the_shared_memory_profile(profile):
    text = re.sub(r' xmlns="[^"]+"', "", (ROOT / "config" / profile).read_text())
    shared = ElementTree.fromstring(text).find(".//transport_descriptor[type='SHM']")
    frame = 1920 * 1080 * 3
    assert int(shared.findtext("maxMessageSize")) > frame
    assert int(shared.findtext("segment_size")) >= 4 * int(shared.findtext("maxMessageSize")) > 4 * frame
