"""The launch file, with stand-ins for launch and launch_ros, which a machine without a ROS install lacks."""

import runpy
import shutil
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.launch_arguments import CHOICES, PARAMETERS, camera_entries
from facial_attributes_ros.ros.perception.settings import NodeOptions
from facial_attributes_ros.setting import settings_of

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
def launch_file(monkeypatch):
    """Make the nodes that a launch file starts for some arguments."""
    for module in (
        stand_in("launch", "LaunchDescription", "LaunchContext"),
        stand_in("launch.actions", "DeclareLaunchArgument", "LogInfo", "OpaqueFunction", "Shutdown"),
        stand_in("launch.events"),
        stand_in("launch.events.process", "ProcessExited"),
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

    def made(name, **given):
        file = runpy.run_path(str(ROOT / "launch" / f"{name}.launch.py"))
        (description,) = file["generate_launch_description"]().arguments
        *declared, function = description
        defaults = {argument.arguments[0]: argument.named["default_value"] for argument in declared}
        return function.named["function"](SimpleNamespace(launch_configurations=defaults | given))

    return made


@pytest.fixture
def launch(launch_file):
    """Make the nodes that the launch file of perception starts."""
    return partial(launch_file, "perception")


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
    assert given == {
        "use_sim_time": True,
        "source": "party.mp4",
        "frame_id": "camera",
        "width": 320,
        "height": 480,
        "rate": 7.0,
    }
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
        *((name, "no") for name in ("autostart", "respawn", "loop")),
        ("rep155", "sometimes"),
        ("engine", "tensorrt"),
        ("image_transport", "theora"),
        *(("detector", value) for value in ("retinaface", "yunet:gpu", "scrfd:")),
        *(("camera_frame_id", value) for value in ("", "/camera", "my camera")),
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
        *(("detector", value) for value in ("yunet", "yunet:onnx", "scrfd:buffalo_s", "/opt/faces.onnx")),
        *(("rep155", value) for value in ("auto", "always", "merge", "add", "never")),
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


def test_what_is_typed_on_the_command_line_must_be_there(launch, monkeypatch):
    command = ["ros2", "launch", "facial_attributes_ros", "perception.launch.py", "modle:=small"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(UserError, match="no launch argument modle: did you mean model"):
        launch()
    monkeypatch.setattr(sys, "argv", [*command[:-1], "colour:=red"])
    with pytest.raises(UserError, match="no launch argument colour: --show-args"):
        launch()
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "robot", "bringup.launch.py", "colour:=red"])
    assert launch(colour="red")


def test_parameters_are_given_to_the_node_and_the_rest_is_left_to_its_file(launch):
    (node,) = launch(rep155="merge", detector="yunet:onnx", engine="onnx", image_transport="compressed", respawn="true")
    expected = {"rep155": "merge", "detector": "yunet:onnx", "engine": "onnx", "image_transport": "compressed"}
    assert node.named["parameters"][1] == expected
    assert node.named["respawn"]
    assert not launch()[0].named["respawn"]


def test_debug_is_for_our_own_lines(launch):
    node, camera = launch(log_level="debug", namespace="robot", ros_namespace="/fleet", camera="sample")
    assert node.named["arguments"] == ["--ros-args", "--log-level", "fleet.robot.perception:=debug"]
    assert camera.named["arguments"][-1] == "fleet.robot.camera:=debug"
    assert launch(log_level="warn")[0].named["arguments"] == ["--ros-args", "--log-level", "warn"]


def test_a_camera_that_fails_ends_the_launch_and_one_that_ends_does_not(launch):
    _, camera = launch(camera="film.mp4", loop="true", camera_frame_id="head_camera")
    assert camera.named["parameters"][0]["frame_id"] == "head_camera"
    assert camera.named["parameters"][0]["loop"] is True
    ended, running = camera.named["on_exit"], SimpleNamespace(is_shutdown=False)
    assert ended(SimpleNamespace(returncode=0), running) == []
    assert ended(SimpleNamespace(returncode=2), SimpleNamespace(is_shutdown=True)) == []
    (shutdown,) = ended(SimpleNamespace(returncode=2), running)
    assert "the camera failed with exit code 2" in shutdown.named["reason"]


def test_the_words_that_arguments_take_are_those_of_the_parameters():
    settings = settings_of(NodeOptions)
    assert set(PARAMETERS) <= set(settings)
    for name in ("engine", "image_transport", "rep155"):
        assert CHOICES[name] == ("", *settings[name].choices)


def test_a_list_of_cameras_has_topics_and_sources(tmp_path):
    film = tmp_path / "film.avi"
    film.touch()
    entries = camera_entries(f"front=/front/image_raw left=webcam:1 demo=sample film={film} rear=rear/image")
    assert [(one.name, one.topic, one.source) for one in entries] == [
        ("front", "/front/image_raw", ""),
        ("left", "", "webcam:1"),
        ("demo", "", "sample"),
        ("film", "", str(film)),
        ("rear", "rear/image", ""),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "takes entries NAME=TOPIC"),
        ("front", "not 'front'"),
        ("my-eye=webcam", "not 'my-eye=webcam'"),
        ("a=webcam a=/b", "two cameras named a"),
        ("a=/nowhere/film.mp4", "'/nowhere/film.mp4', which is no topic"),
    ],
)
def test_a_list_of_cameras_that_cannot_be_is_a_sentence(text, said):
    with pytest.raises(UserError, match=said):
        camera_entries(text)


def test_the_dialogue_node_gets_its_policy_and_language(launch_file):
    (node,) = launch_file("dialogue", policy="my.yaml", language="de", emotion="False", namespace="robot")
    assert (node.named["executable"], node.named["namespace"]) == ("dialogue", "robot")
    (parameters,) = node.named["parameters"]
    assert parameters == {
        "policy": "my.yaml",
        "language": "de",
        "templates": "",
        "emotion": False,
        "use_sim_time": False,
    }
    (node,) = launch_file("dialogue", log_level="debug", namespace="robot", ros_namespace="/fleet")
    assert node.named["arguments"] == ["--ros-args", "--log-level", "fleet.robot.dialogue:=debug"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [({"emotion": "off"}, "emotion takes one of true, false"), ({"polcy": "x"}, "did you mean policy")],
)
def test_a_mistake_in_the_arguments_of_the_dialogue_is_one_sentence(launch_file, given, sentence):
    with pytest.raises(UserError, match=sentence):
        launch_file("dialogue", **given)


def test_what_is_typed_for_the_dialogue_must_be_there(launch_file, monkeypatch):
    command = ["ros2", "launch", "facial_attributes_ros", "dialogue.launch.py", "colour:=red"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(UserError, match="no launch argument colour: --show-args"):
        launch_file("dialogue")
