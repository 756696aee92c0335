"""What is taken from inside rclpy is there, and a release without it is reported."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS is not here: run make setup")

from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros import managed, parameters
from facial_attributes_ros.ros.perception.node import Perception
from facial_attributes_ros.ros.rclpy_internals import given_parameters, state_machine, wrap_change_state


@pytest.fixture
def started(ros_context):
    return ros_context("-p", "wheels:=4")


def test_the_parameters_that_a_node_was_given_are_seen(started):
    given = given_parameters(Node("perception", context=started))
    assert {name: parameter.value for name, parameter in given.items()} == {"wheels": 4}


def test_a_release_that_does_not_show_them_is_a_warning_and_not_the_end(started, monkeypatch, capfd):
    monkeypatch.setattr(parameters, "given_parameters", lambda _: None)
    parameters.ParameterNames(Node("perception", context=started)).check_overrides()
    assert "does not show which parameters were given" in capfd.readouterr().err
    assert given_parameters(SimpleNamespace()) is None
    assert given_parameters(SimpleNamespace(_parameter_overrides=[1])) is None


def test_the_state_machine_of_a_managed_node_moves_with_its_transitions(started):
    node = managed.ManagedNode("subject", context=started)
    assert state_machine(node).current_state[1] == node.state == "unconfigured"
    node.trigger_configure()
    assert state_machine(node).current_state[1] == node.state == "inactive"


@pytest.mark.parametrize("machine", [{}, {"_state_machine": SimpleNamespace(current_state=(1, "unconfigured"))}])
def test_a_release_with_another_state_machine_is_a_sentence(machine):
    with pytest.raises(UserError, match=r"lifecycle of a node elsewhere than Jazzy does: use Jazzy's\.$"):
        state_machine(SimpleNamespace(**machine))


def test_where_the_service_is_hidden_transitions_work_as_rclpy_has_them(started, monkeypatch, capfd):
    monkeypatch.setattr(managed, "wrap_change_state", lambda *_: False)
    node = managed.ManagedNode("subject", context=started)
    assert "hides its service change_state" in capfd.readouterr().err
    assert node.start()
    assert node.state == "active"


@pytest.mark.parametrize("service", [None, SimpleNamespace(), SimpleNamespace(callback=None)])
def test_a_service_without_a_callback_is_left_alone(service):
    node = SimpleNamespace(_service_change_state=service)
    assert not wrap_change_state(node, lambda callback: callback)
    assert node._service_change_state == service


def test_our_nodes_replace_nothing_that_rclpy_keeps_in_its_nodes(ros_context):
    made = {
        "managed": lambda context: managed.ManagedNode("subject", context=context),
        "perception": lambda context: Perception(context=context),
    }
    kept = vars(LifecycleNode("plain", context=ros_context()))
    for name, make in made.items():
        ours = vars(make(ros_context()))
        assert {key: type(ours[key]) for key in kept} == {key: type(value) for key, value in kept.items()}, name
