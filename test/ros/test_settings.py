"""The parameters of the nodes: complete, described, the same as in the files made from them, and checked."""

from pathlib import Path

import pytest
import yaml

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.options import DetectorOptions, PipelineOptions
from facial_attributes_ros.ros.camera.settings import CAMERA_SETTINGS
from facial_attributes_ros.ros.dialogue.settings import DIALOGUE_SETTINGS
from facial_attributes_ros.ros.parameter_pages import parameter_page, perception_yaml
from facial_attributes_ros.ros.perception.settings import SETTINGS, NodeOptions, settings_from
from facial_attributes_ros.ros.viewer.settings import VIEWER_SETTINGS

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "config" / "perception.yaml"


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_defaults_are_those_of_the_pipeline():
    settings = settings_from(DEFAULTS)
    assert settings.pipeline == PipelineOptions()
    assert settings.pipeline.thresholds == {}
    assert settings.node == NodeOptions()
    assert settings.detection == DetectorOptions()


def test_the_file_holds_every_parameter_at_its_default():
    tree = yaml.safe_load(FILE.read_text())["/**"]["ros__parameters"]
    assert dict(flat(tree)) == DEFAULTS
    assert {name: type(value) for name, value in flat(tree)} == {name: type(v) for name, v in DEFAULTS.items()}


@pytest.mark.parametrize(
    ("file", "made", "form"),
    [
        (FILE, perception_yaml(SETTINGS), "--yaml"),
        (
            ROOT / "docs" / "parameters.md",
            parameter_page(SETTINGS, CAMERA_SETTINGS, DIALOGUE_SETTINGS, VIEWER_SETTINGS),
            "--page",
        ),
    ],
    ids=["yaml", "page"],
)
def test_the_files_are_those_that_the_settings_make(file, made, form):
    command = f"python -m facial_attributes_ros.ros parameters {form} > {file.relative_to(ROOT)}"
    assert file.read_text() == made, f"make it again: {command}"


@pytest.mark.parametrize("setting", [*SETTINGS, *CAMERA_SETTINGS, *VIEWER_SETTINGS], ids=lambda setting: setting.name)
def test_every_parameter_says_what_it_does_and_numbers_have_a_range(setting):
    assert setting.description.endswith(".")
    if isinstance(setting.default, int | float) and not isinstance(setting.default, bool):
        assert setting.low <= setting.default <= setting.high


def test_values_reach_the_pipeline():
    changes = {"tasks.emotion": False, "thresholds.age": 0.4, "tracking.death_after": 2.5, "threads": 3}
    settings = settings_from(DEFAULTS | changes | {"image_transport": "compressed", "detection.size": 320})
    assert settings.pipeline.tasks == ("age", "gender")
    assert settings.pipeline.tracking.death_after == 2.5
    assert settings.pipeline.thresholds == {"age": 0.4}
    assert settings.detection.detection_size == 320
    assert settings.node.image_transport == "compressed"
    assert settings.node.threads == 3


@pytest.mark.parametrize(("name", "value"), [("engine", "warp"), ("rep155", "maybe"), ("image_transport", "pigeon")])
def test_a_word_that_is_no_choice_is_refused(name, value):
    with pytest.raises(UserError, match=f"{name} takes one of .* not '{value}'"):
        settings_from(DEFAULTS | {name: value})


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.choices], ids=lambda setting: setting.name)
def test_choices_stay_words_in_yaml(setting):
    assert [yaml.safe_load(choice) for choice in setting.choices] == list(setting.choices)
