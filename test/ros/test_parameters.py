"""Parameters of a node: what is given from outside is read and checked, and every unknown name is refused."""

from pathlib import Path

import pytest

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.perception.settings import SETTINGS, settings_from

FILE = Path(__file__).resolve().parents[2] / "config" / "perception.yaml"


@pytest.fixture
def table(ros_context):
    """Make the table of parameters of a node that was given ROS arguments."""
    from rclpy.node import Node

    from facial_attributes_ros.ros.perception.parameters import ParameterTable

    def made(*arguments, name="perception"):
        node = Node(name, context=ros_context(*arguments))
        return node, ParameterTable(node)

    return made


def given(*parameters):
    return [part for parameter in parameters for part in ("-p", parameter)]


@pytest.mark.parametrize(
    ("parameter", "meant"),
    [
        ("tasks.emotions:=false", "tasks.emotion"),
        ("task.gender:=false", "tasks.gender"),
        ("tasks/emotion:=false", "tasks.emotion"),
        ("emotion:=false", "tasks.emotion"),
        ("estimate_emotion:=false", "tasks.emotion"),
        ("Model:=small", "model"),
        ("min_face:=50.0", "detection.min_face"),
        ("tracking.deathafter:=1.0", "tracking.death_after"),
        ("fusion.age_memory_s:=1.0", "fusion.age_memory"),
        ("qos_overrides./image.subscriber.depth:=5", "qos_overrides./image.subscription.depth"),
        ("qos_overrides./face.publisher.reliability:=best_effort", "qos_overrides./faces.publisher.reliability"),
        ("qos_overrides.image.subscription.history:=keep_all", "qos_overrides./image.subscription.history"),
        ("use_simtime:=true", "use_sim_time"),
    ],
)
def test_a_mistyped_name_is_refused_and_the_right_one_named(table, parameter, meant):
    name = parameter.partition(":=")[0]
    with pytest.raises(UserError) as caught:
        table(*given(parameter))[1].read()
    assert f"no parameter {name} (did you mean {meant}?)" in str(caught.value)


def test_names_that_resemble_none_are_refused_all_at_once(table, tmp_path):
    file = tmp_path / "shared.yaml"
    file.write_text("/**: {ros__parameters: {wheels: 4, use_sim_time: true, arm: {joints: [1, 2]}}}")
    with pytest.raises(UserError, match=r"no parameter wheels, arm\.joints;"):
        table("--params-file", str(file))[1].read()


def test_what_ros_itself_reads_is_taken_and_other_nodes_keep_what_is_theirs(table, tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text("/base: {ros__parameters: {wheels: 4}}\n/**: {ros__parameters: {use_sim_time: true}}\n")
    rules = ["-r", "image:=/eye/image", "-r", "faces:=people", "--params-file", str(file)]
    qos = [
        "qos_overrides./eye/image.subscription.reliability:=reliable",
        "qos_overrides./eye/image/compressed.subscription.depth:=3",
        "qos_overrides./people.publisher.history:=keep_all",
        "qos_overrides./clock.subscription.depth:=3",
        "qos_overrides./parameter_events.publisher.durability:=volatile",
    ]
    node, parameters = table(*rules, *given(*qos, "start_type_description_service:=false", "tasks.emotion:=false"))
    assert parameters.read().pipeline.tasks == ("age", "gender")
    assert node.get_parameter("use_sim_time").value


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("qos_overrides./faces.publisher.reliability:=sometimes", "takes one of .*best_effort.*, not 'sometimes'"),
        ("qos_overrides./faces.publisher.durability:=for_ever", "takes one of .*transient_local.*, not 'for_ever'"),
        ("qos_overrides./faces.publisher.history:=3", "takes one of .*keep_last.*, not '3'"),
        ("qos_overrides./image.subscription.depth:=deep", "takes a whole number from 0, not 'deep'"),
        ("qos_overrides./image.subscription.depth:=-1", "takes a whole number from 0, not '-1'"),
        ("tasks.emotion:='no'", "tasks.emotion takes true or false"),
        ("tasks.emotion:=0", "tasks.emotion takes true or false"),
        ("thresholds.age:=.nan", "thresholds.age takes a number from -1 to 1"),
        ("threads:=[1, 2]", "threads takes a whole number from 0 to 256"),
        ("model:=3", "model takes a text"),
        ("engine:=warp", "engine takes one of"),
    ],
)
def test_a_value_that_cannot_be_is_a_sentence(table, parameter, reason):
    with pytest.raises(UserError, match=reason):
        table(*given(parameter))[1].read()


@pytest.mark.parametrize("name", ["perception", "eyes"])
def test_the_shipped_file_serves_a_node_of_any_name_and_the_tools(table, tmp_path, name):
    from rclpy.parameter import parameter_dict_from_yaml_file

    copy = tmp_path / "no-emotion.yaml"
    copy.write_text(FILE.read_text().replace("emotion: true", "emotion: false"))
    assert table("--params-file", str(copy), name=name)[1].read().pipeline.tasks == ("age", "gender")
    # `ros2 param load` reads with this.
    assert set(parameter_dict_from_yaml_file(str(FILE), use_wildcard=True)) == {setting.name for setting in SETTINGS}


def test_tools_see_the_description_the_range_and_when_a_change_is_applied(table):
    node, _ = table()
    gate, model = node.describe_parameter("tracking.gate"), node.describe_parameter("model")
    assert gate.description.startswith("Gating distance: largest Mahalanobis distance")
    assert gate.description.endswith("Unit: standard deviations.")
    assert [(limit.from_value, limit.to_value) for limit in gate.floating_point_range] == [(0.5, 100.0)]
    assert gate.additional_constraints == "A change is applied at once."
    assert model.additional_constraints == "A change is applied by the next configure."
    assert node.describe_parameter("autostart").read_only
    assert node.describe_parameter("engine").additional_constraints.startswith("One of auto, onnx, onnx-int8, torch.")


def test_setting_what_there_is_not_is_answered_with_the_name_that_was_meant(table):
    from rclpy.exceptions import ParameterNotDeclaredException
    from rclpy.parameter import Parameter

    node, _ = table()
    with pytest.raises(ParameterNotDeclaredException) as caught:
        node.set_parameters([Parameter("tasks.emotions", value=False)])
    assert str(caught.value).startswith("The node perception has no parameter tasks.emotions (did you mean tasks.em")
    assert node.set_parameters([Parameter("tasks.emotion", value=False)])[0].successful


def test_loading_a_file_again_while_configured_repeats_what_holds(table):
    from rclpy.parameter import Parameter

    _, parameters = table()
    same, other = Parameter("model", value="small"), Parameter("model", value="large")
    assert parameters.check([same, Parameter("tasks.age", value=False)], configured=True).successful
    assert "model is read in configure" in parameters.check([same, other], configured=True).reason


def test_every_quality_of_service_that_the_publishers_declare_can_be_given(ros_context, table):
    from rclpy.lifecycle import LifecycleNode

    from facial_attributes_ros.ros.perception.outputs import Outputs

    settings = settings_from({setting.name: setting.default for setting in SETTINGS} | {"rep155": "never"})
    publishing = LifecycleNode("perception", context=ros_context())
    outputs = Outputs.open(publishing, settings, "small")
    declared = [name for name in publishing.list_parameters([], 0).names if name.startswith("qos_overrides.")]
    outputs.close()
    assert {name.split(".")[1] for name in declared} >= {"/faces", "/faces/image", "/faces/image/compressed"}
    values = {"history": "keep_last", "depth": 5, "reliability": "reliable", "durability": "transient_local"}
    table(*given(*(f"{name}:={values[name.rpartition('.')[2]]}" for name in declared)))[1].read()


def test_a_whole_number_is_taken_where_a_point_is_meant(table):
    from rclpy.parameter import Parameter

    node, parameters = table(*given("tracking.gate:=5", "scheduling.budget:=1"))
    assert parameters.read().pipeline.tracking.gate == 5.0
    assert node.set_parameters([Parameter("tracking.gate", value=6)])[0].successful
    assert parameters.read().pipeline.tracking.gate == 6.0
    with pytest.raises(UserError, match="takes a number from 0.5 to 100"):
        table(*given("tracking.gate:=500"))[1].read()
    assert not node.set_parameters([Parameter("tracking.gate", value=500)])[0].successful


def test_what_is_given_at_the_start_may_be_set_to_the_value_that_it_has(table):
    from rclpy.parameter import Parameter

    node, _ = table()
    same, other = Parameter("autostart", value=True), Parameter("autostart", value=False)
    assert node.set_parameters([same])[0].successful
    assert node.set_parameters_atomically([same, Parameter("tasks.age", value=False)]).successful
    assert not node.get_parameter("tasks.age").value
    assert not node.set_parameters([other])[0].successful
    assert node.get_parameter("autostart").value


def test_a_model_that_was_loaded_by_the_service_becomes_the_value(table):
    from rclpy.parameter import Parameter

    _, parameters = table()
    change = [Parameter("model", value="large")]
    assert "set_model" in parameters.check(change, configured=True).reason
    assert parameters.check(change, configured=True, model="large").successful


def test_the_shipped_file_can_be_loaded_while_the_node_is_configured(table):
    """As `ros2 param load` does it: one parameter after the other."""
    from rclpy.parameter import Parameter, parameter_dict_from_yaml_file

    node, parameters = table()
    node.add_on_set_parameters_callback(lambda changes: parameters.check(changes, configured=True))
    loaded = [Parameter.from_parameter_msg(one) for one in parameter_dict_from_yaml_file(str(FILE), True).values()]
    answers = {change.name: node.set_parameters_atomically([change]) for change in loaded}
    assert len(answers) == len(SETTINGS)
    assert {name: one.reason for name, one in answers.items() if not one.successful} == {}
