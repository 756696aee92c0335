"""The examples in docstrings run, in a folder with a photograph and a video of it."""

import doctest
import importlib

import cv2
import pytest

MODULES = [
    "facial_attributes_ros",
    "facial_attributes_ros.attributes",
    "facial_attributes_ros.detection.load",
    "facial_attributes_ros.engines.load",
    "facial_attributes_ros.options",
    "facial_attributes_ros.pipeline",
    "facial_attributes_ros.setting",
    "facial_attributes_ros.text",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, astronaut):
    made = tmp_path_factory.mktemp("examples")
    cv2.imwrite(str(made / "photo.png"), astronaut)
    video = cv2.VideoWriter(str(made / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, astronaut.shape[1::-1])
    for _ in range(8):
        video.write(astronaut)
    video.release()
    return made


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name, folder, monkeypatch, yunet):
    monkeypatch.chdir(folder)
    module = importlib.import_module(name)
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in finder.find(module, name):
        runner.run(example)
    assert runner.tries
    assert not runner.failures
