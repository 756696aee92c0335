"""The examples without ROS run, with nothing but what installed packages carry; those with ROS are in `test/ros`."""

import csv
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.checkpoint import save_model
from facial_attributes_ros.models.registry import build_network
from facial_attributes_ros.models.spec import ModelSpec

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example in this process and return the lines that it prints."""

    def run_example(name, *arguments):
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run_example


def test_an_image_gives_a_line_a_face(run, yunet, six_faces):
    lines = run("01_image.py")
    assert len(lines) == 6
    for line in lines:
        assert re.fullmatch(r"face\d: age \d+ ± \d+ years \(\S+\), ((fe)?male|unknown), \w+ \([01]\.\d\d\)", line)


def test_a_video_gives_the_faces_of_each_second_with_their_estimates_fused(run, yunet, six_faces):
    lines = run("02_video.py", "--seconds", "2.1")
    assert [line for line in lines if not line.startswith(" ")] == ["1 s", "2 s"]
    seconds = " ".join(lines).split("2 s")
    first, second = (dict(re.findall(r"  (f\w+): [^:]* observations: (\d+)", text)) for text in seconds)
    assert len(first) == 6
    assert first.keys() == second.keys()
    assert all(int(second[face]) > int(first[face]) for face in first)


@pytest.fixture
def few_faces(tmp_path):
    """A manifest with every fourth of the sample faces."""
    pytest.importorskip("skimage")
    runpy.run_path(str(EXAMPLES / "00_sample_data.py"))["write_faces"](tmp_path)
    with (tmp_path / "manifest.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    with (tmp_path / "few.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows[::4]])
    return tmp_path / "few.csv"


@pytest.fixture
def tiny_model(tmp_path):
    """A folder with a model of a few thousand random weights."""
    tiny = BackboneReference("timm:vit_tiny_patch16_224", architecture={"embed_dim": 16, "depth": 2, "num_heads": 2})
    spec = ModelSpec("tiny", tiny, image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3, adaptation={"name": "full"})
    weights = build_network(spec).state_dict()
    save_model(tmp_path / "tiny", replace(spec, backbone=replace(tiny, weights="included")), weights)
    return tmp_path / "tiny"


def test_a_model_is_adapted_and_compared_with_the_one_before(run, few_faces, tiny_model, tmp_path):
    options = ("--start", tiny_model, "--out", tmp_path, "--tasks", "emotion", "--epochs", 2)
    lines = run("05_adapt_a_model.py", few_faces, *options)
    figure = r"\d+\.\d % \[\d+\.\d, \d+\.\d\]"
    assert re.fullmatch(rf"emotion: accuracy {figure} before, {figure} after", lines[0])
    assert (tmp_path / "run" / "model" / "model.json").is_file()
