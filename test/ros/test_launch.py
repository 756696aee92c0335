"""The launch file, with stand-ins for launch and launch_ros, which a machine without a ROS install lacks."""

import runpy
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from facial_attributes_ros.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


class Made:
    """Anything that the launch file makes, with what it was given."""

    def __init__(self, *arguments, **named):
        self.arguments, self.named = arguments, named


def stand_in(name, *kinds, **members):
    module = ModuleType(name)
    vars(module).update({kind: type(kind, (Made,), {}) for kind in kinds}, **members)
    return module


@pytest.fixture
def launch(monkeypatch):
    """Make the nodes that the launch file starts for some arguments."""
    for module in (
        stand_in("launch", "LaunchDescription", "LaunchContext"),
        stand_in("launch.actions", "DeclareLaunchArgument", "LogInfo", "OpaqueFunction"),
        stand_in("launch_ros"),
        stand_in("launch_ros.actions", "LifecycleNode", "Node"),
        stand_in("launch_ros.parameter_descriptions", ParameterValue=lambda value, value_type: value_type(value)),
        stand_in("ament_index_python"),
        stand_in("ament_index_python.packages", get_package_share_directory=lambda _: str(ROOT)),
    ):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    file = runpy.run_path(str(ROOT / "launch" / "perception.launch.py"))

    def made(**given):
        (description,) = file["generate_launch_description"]().arguments
        *declared, function = description
        defaults = {argument.arguments[0]: argument.named["default_value"] for argument in declared}
        return function.named["function"](SimpleNamespace(launch_configurations=defaults | given))

    return made


def test_the_defaults_start_the_perception_node_with_the_shipped_file(launch):
    (node,) = launch()
    assert (type(node).__name__, node.named["executable"]) == ("LifecycleNode", "perception")
    assert node.named["parameters"] == [str(ROOT / "config" / "perception.yaml"), {}]
    assert node.named["remappings"] == [("image", "image")]


def test_what_is_given_reaches_the_nodes_with_its_type(launch):
    perception, camera = launch(
        camera="party.mp4", camera_width="320", camera_rate="7", model="3", use_sim_time="True", autostart="false"
    )
    assert perception.named["parameters"][1] == {"use_sim_time": True, "autostart": False, "model": "3"}
    (given,) = camera.named["parameters"]
    assert given == {"use_sim_time": True, "source": "party.mp4", "width": 320, "height": 480, "rate": 7.0}
    assert [type(given[name]) for name in ("width", "rate")] == [int, float]


def test_a_viewer_is_started_where_it_is_asked_for(launch):
    assert len(launch(view="false")) == 1
    _, viewer = launch(view="true", view_port="8080", namespace="robot")
    assert (viewer.named["executable"], viewer.named["namespace"]) == ("viewer", "robot")
    assert viewer.named["parameters"] == [{"port": 8080}]


def test_our_nodes_alone_get_the_shared_memory_profile_by_both_of_its_names(launch):
    nodes = launch(camera="sample")
    profile = str(ROOT / "config" / "fastdds_shm.xml")
    assert [node.named["additional_env"] for node in nodes] == [dict.fromkeys(VARIABLES, profile)] * 2
    assert [type(node).__name__ for node in nodes] == ["LifecycleNode", "Node"], "and nothing is made beside them"


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_profile_that_the_user_names_is_kept(launch, monkeypatch, variable):
    monkeypatch.setenv(variable, "/etc/robot/profile.xml")
    assert [node.named["additional_env"] for node in launch()] == [{}]


def test_small_shared_memory_is_said_and_the_profile_left_out(launch, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 * 10**6))
    warning, node = launch()
    assert "/dev/shm has only 64 MB" in warning.named["msg"]
    assert node.named["additional_env"] == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("camera_width", value) for value in ("wide", "", "640.5", "0", "-1", "99999999999")),
        *(("camera_height", value) for value in ("tall", "1e3", "nan")),
        *(("camera_rate", value) for value in ("fast", "nan", "inf", "-inf", "0", "-15.0", "1e9", "")),
        *(("use_sim_time", value) for value in ("maybe", "1", "yes")),
        *(("view", "yes"), ("view_port", "70000"), ("view_port", "x")),
        ("autostart", "no"),
        *(("log_level", value) for value in ("loud", "", "warning")),
        *(("device", value) for value in ("gpu", "cuda:", "cuda:x", "CPU")),
        *(("namespace", value) for value in ("a b", "1robot", "//x", "robot/../x", "rob\u00f6t")),
        *(("image_topic", value) for value in ("", "my-camera/image", "/camera/", "image raw")),
    ],
)
def test_a_value_that_cannot_be_is_a_sentence_that_names_the_argument(launch, name, value):
    with pytest.raises(UserError, match=f"^The launch argument {name} takes .*, not '{value}'\\.$".replace("+", r"\+")):
        launch(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("device", value) for value in ("auto", "cpu", "cuda", "cuda:1")),
        *(("namespace", value) for value in ("robot", "/robot", "robot/head", "/")),
        *(("image_topic", value) for value in ("/camera/color/image_raw", "~/image", "front/image")),
        ("log_level", "debug"),
    ],
)
def test_every_value_that_can_be_is_taken(launch, name, value):
    assert launch(**{name: value})


@pytest.mark.parametrize(
    ("name", "meant"),
    [("parms_file", "params_file"), ("param_file", "params_file"), ("camera_heigth", "camera_height")],
)
def test_a_mistyped_argument_is_refused_and_one_of_another_launch_file_is_not(launch, name, meant):
    with pytest.raises(UserError, match=f"no launch argument {name}: did you mean {meant}"):
        launch(**{name: "x"})
    assert launch(map="office.yaml", robot_name="pepper", use_composition="true")


def test_a_params_file_that_is_missing_or_not_for_the_node_ends_the_launch(launch, tmp_path):
    file = tmp_path / "no-emotion.yaml"
    with pytest.raises(UserError, match=f"{file} cannot be read: No such file"):
        launch(params_file=str(file))
    file.write_text("/robot/perception: {ros__parameters: {tasks.emotion: false}}")
    with pytest.raises(UserError, match="holds nothing for the node /perception, only for /robot/perception"):
        launch(params_file=str(file))
    assert launch(params_file=str(file), namespace="robot")
    assert launch(params_file=str(file), ros_namespace="/robot")
    with pytest.raises(UserError, match="the node /head/perception"):
        launch(params_file=str(file), ros_namespace="/robot", namespace="/head")
