"""Every command and every piece of code in README and docs runs here, or `NOT_RUN` says why it does not.

A page's commands run in their order, in a folder that has what a fresh clone has, with the sample data that they make
and with small data sets in the layout of their owners. `SMALLER` makes some of them short.
"""

import csv
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from facial_attributes_training.recipe.schema import Recipe

from facial_attributes_ros.cli.main import build_parser, main
from facial_attributes_ros.dialogue.policy_file import read_policy

ROOT = Path(__file__).resolve().parents[2]
MADE = {"model-card-small.md", "parameters.md"}
"""Pages that programs write, which have tests of their own."""
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in MADE),
]
COMMAND = "facial-attributes "

_ROS = "needs an installation of ROS 2, which the tests do not have; its arguments are checked below"
_LONG = "takes minutes; its arguments are checked below, and test/{} runs what it does"
NOT_RUN = {
    "make ": "test/platform runs it; the targets are checked below",
    "source ": _ROS,
    "rosdep ": _ROS,
    "colcon ": _ROS,
    "ros2 ": _ROS,
    "export ": "sets a variable for the commands after it",
    "python3 -m venv": "installs packages",
    "pip ": "installs packages; test/platform/test_requirements.py checks the requirements",
    "work/trackers/bin/": "installs packages",
    "PYTHONPATH=. work/trackers": "needs the package trackers, which needs another numpy than Jazzy has",
    "python3 -m facial_attributes_ros.assets": "fetches files; test/test_assets.py",
    "ROS_DOMAIN_ID=": "waits for messages; test/ros and the test of the example",
    ".venv/bin/python scripts/peers/": "installs 600 MB of other packages; test/platform/test_peers.py",
    ".venv/bin/python scripts/figures/": _LONG.format("training/reports/card and test/fusion"),
    "facial-attributes prepare manifest work/sample --out work/faces --teacher": (
        "installs MediaPipe and needs its file; test/training/prepare/test_teacher.py"
    ),
    "python3 examples/06_turn_to_person_node.py": "waits for messages; test/ros/test_examples.py",
    "time .venv": "a duration is measured; test/engines/test_engines.py opens engines",
    "torchrun ": _LONG.format("training/fit/test_processes.py"),
    "accelerate ": "needs two GPUs; test/training/fit/test_processes.py",
    "facial-attributes train config/recipes/my-lab.yaml": _LONG.format("training/fit/test_continue.py"),
    "facial-attributes prepare folders ~/lab": "as the command on folders in docs/data.md",
    "facial-attributes bench": _LONG.format("engines/test_bench.py"),
    "facial-attributes compare": _LONG.format("training/reports/test_comparison.py"),
    "facial-attributes evaluate --model small --manifest work/faces/manifest-val.csv --calibrate --save": (
        "as the command before it; test/cli/test_evaluate.py saves a calibration"
    ),
    "facial-attributes evaluate --manifest work/faces/manifest-val.csv --crop box --engine": _LONG.format(
        "training/measure/test_agreement.py"
    ),
    "facial-attributes evaluate --manifest faces.csv --split val --save-resting-face": (
        "needs several images of twenty people; test/training/measure/test_resting_face.py"
    ),
    "facial-attributes label": "serves a page until Ctrl-C; test/training/labelling and test/web/test_labelling.py",
    "facial-attributes prepare manifest work/labels": "needs labels; test/cli/test_label.py prepares what was labelled",
    "facial-attributes import": "needs a checkpoint of the thesis; test/models makes one",
    "facial-attributes info": "counts a large model; test/cli/test_info.py",
    "facial-attributes prepare imdb-wiki": "needs MATLAB files; test/training/prepare/test_sources.py makes some",
    "facial-attributes web": "serves until it is stopped; test/web",
    "facial-attributes train config/recipes/small-lp.yaml --set optimiser.lr": "as the command before it",
    "facial-attributes train config/recipes/age-resnet18": "needs the weights and the data; test/models/test_cnn.py",
}
"""The beginning of a command, and why it does not run here."""

_TINY = (
    "backbone.name=timm:vit_tiny_patch16_224",
    "backbone.weights=null",
    "backbone.architecture={embed_dim: 16, depth: 2, num_heads: 2}",
    "backbone.image_size=32",
    "data.rows=60",
    "epochs=1",
    "one_after_another=false",
)
SMALLER = {
    'facial-attributes train config/recipes/small-lp.yaml --set "tasks': ["--check"],
    "facial-attributes train": [part for field in _TINY for part in ("--set", field)],
    "facial-attributes prepare": ["--workers", "1"],
    "facial-attributes evaluate": ["--samples", "60"],
}
"""The beginning of a command, and the arguments that make it take seconds."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and the line where it begins."""

    language: str
    text: str
    line: int

    def commands(self) -> list[str]:
        """Return the commands of a shell block, each on one line."""
        return [line for line in re.sub(r"\\\n\s*", "", self.text).splitlines() if line.strip()]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(match[1], match[2], text[: match.start()].count("\n") + 1)


def commands(page: Path) -> list[str]:
    return [command for block in blocks(page) if block.language == "sh" for command in block.commands()]


def all_commands() -> list[str]:
    return [command for page in PAGES for command in commands(page)]


def first(table, command):
    """Return the entry of the first beginning that a command has, or None."""
    return next((value for start, value in table.items() if command.startswith(start)), None)


def arguments(command: str) -> list[str]:
    """Return the words of a command as a shell passes them on, without comments and redirections."""
    found = []
    for word in shlex.split(command.partition(" > ")[0], comments=True):
        path = str(Path(word).expanduser()) if word.startswith("~") else word
        found += sorted(map(str, Path().glob(path))) if "*" in path else [path]
    return found


def run(command: str) -> None:
    words = arguments(command) + (first(SMALLER, command) or [])
    if command.startswith(COMMAND):
        try:
            code = main(words[1:])
        except SystemExit as ended:  # --help
            code = ended.code
        assert code == 0, command
    elif words[0] in {"python", ".venv/bin/python"}:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", words[1:])
            runpy.run_path(words[1], run_name="__main__")
    else:
        raise AssertionError(f"neither run nor in NOT_RUN: {command}")


SAMPLE = ["python examples/00_sample_data.py work/sample"]
FACES = ["facial-attributes prepare manifest work/sample/faces --out work/faces"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, yunet):
    """Return a folder with what a clone has, sample data, prepared faces, and data sets in the home folder."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("config", "examples", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in SAMPLE + FACES:
            run(command)
    make_data_sets(folder / "home" / "data", folder / "work" / "sample" / "faces")
    return folder


def make_data_sets(data: Path, faces: Path) -> None:
    """Write a few samples in the layout in which each owner gives the data set out."""
    images = sorted(faces.glob("*-0.png"))

    def put(path: str, image: Path) -> str:
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, data / path)
        return path

    def table(path: str, lines: list[tuple[str, ...]]) -> None:
        with (data / path).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)

    ages, genders = ("3-9", "20-29", "40-49", "more than 70"), ("Male", "Female")
    for split, few in (("train", images[:48]), ("val", images[48:])):
        names = [put(f"FairFace/{split}/{number}.jpg", image) for number, image in enumerate(few)]
        lines = [
            (name.removeprefix("FairFace/"), ages[number // 2 % 4], genders[number % 2], "Indian")
            for number, name in enumerate(names)
        ]
        table(f"FairFace/fairface_label_{split}.csv", [("file", "age", "gender", "race"), *lines])
    for number, image in enumerate(images[:4]):
        put(f"UTKFace/{20 + number}_{number % 2}_0_20170101000000000.jpg", image)
        put(f"expressions/train/{'anger' if number % 2 else 'happy'}/{number}.png", image)
        put(f"lab/{number}.png", image)
    lab = [(f"{number}.png", "MF"[number % 2], f"subject-{number}") for number in range(4)]
    table("lab/table.csv", [("path", "Sex", "subject"), *lab])
    for split, image in zip(("train", "valid", "test"), images, strict=False):
        put(f"appa-real-release/{split}/000000.jpg_face.jpg", image)
        table(f"appa-real-release/gt_avg_{split}.csv", [("file_name", "real_age"), ("000000.jpg", "31")])


@pytest.fixture
def folder(clone, tmp_path, monkeypatch):
    """Return a fresh copy of the clone, made the current folder, with a home of its own."""
    for name in ("config", "examples", "scripts", "home"):
        (tmp_path / name).symlink_to(clone / name)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "sample").symlink_to(clone / "work" / "sample")
    shutil.copytree(clone / "work" / "faces", tmp_path / "work" / "faces")
    monkeypatch.chdir(tmp_path)
    # What libraries and the package keep stays where it is.
    monkeypatch.setenv("FACIAL_ATTRIBUTES_CACHE", str(Path.home() / ".cache" / "facial_attributes_ros"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page, folder):
    # README prepares another data set in the same folder before.
    done = [arguments(command) for command in SAMPLE + (FACES if page.name != "README.md" else [])]
    for command in commands(page):
        words = arguments(command.removeprefix(".venv/bin/"))
        if words not in done and first(NOT_RUN, command) is None:
            run(command)
            done.append(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, folder):
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_yaml_of_a_page_is_part_of_a_recipe_or_a_policy(page, tmp_path):
    for block in blocks(page):
        if block.language == "yaml":
            values = yaml.safe_load(block.text)
            if "rules" in values:
                (tmp_path / "policy.yaml").write_text(block.text, encoding="utf-8")
                assert read_policy(tmp_path / "policy.yaml").rules
                continue
            values["data"].setdefault("validation", values["data"]["train"])
            Recipe.model_validate({"name": "page"} | values)


def test_every_reason_is_needed():
    found = all_commands()
    assert [start for start in NOT_RUN if not any(command.startswith(start) for command in found)] == []


def test_every_block_has_a_language_that_says_how_it_is_checked():
    known = {"sh", "python", "yaml", "csv", "text", "mermaid"}
    assert {block.language for page in PAGES for block in blocks(page)} <= known


def test_no_command_stands_outside_a_fenced_block():
    indented = re.compile(r"^ {4,}(facial-attributes|make|python3?|ros2|\.venv/bin/python|\$) ", re.MULTILINE)
    for page in PAGES:
        outside = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert indented.findall(outside) == [], page.name


@pytest.mark.parametrize("command", [text for text in all_commands() if text.startswith(COMMAND)])
def test_the_command_line_takes_the_arguments(command, monkeypatch):
    monkeypatch.chdir(ROOT)  # for the recipes that a pattern names
    if "--help" not in command:
        assert build_parser().parse_args(arguments(command)[1:]).subcommand


def test_the_targets_of_make_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {command.split()[1] for command in all_commands() if command.startswith("make ")}
    assert named <= targets


def test_the_arguments_of_launch_and_the_parameters_exist():
    parameters = (ROOT / "docs" / "parameters.md").read_text()
    for command in all_commands():
        if command.startswith("ros2 launch facial_attributes_ros"):
            launch = (ROOT / "launch" / command.split()[3]).read_text()
            if "cameras.launch" in command:  # each camera's node has the arguments of the other file
                launch += (ROOT / "launch" / "perception.launch.py").read_text()
            for name in re.findall(r"(\w+):=", command):
                assert f'"{name}": (' in launch or f'DeclareLaunchArgument("{name}"' in launch, command
        elif command.startswith("ros2 run"):
            names = re.findall(r"-p ([\w./]+):=", command)
            assert all(f"`{name}`" in parameters or name.startswith("qos_overrides.") for name in names)
