"""Transitions of a managed node: none fails in silence, none leaves the node between two states."""

import threading
import time

import pytest

pytest.importorskip("rclpy", reason="ROS is not here: run make setup")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.managed import ManagedNode

DEADLINE = 60.0


class Subject(ManagedNode):
    """Raises where it is told to, and keeps a list of what it did."""

    def __init__(self, context):
        super().__init__("subject", context=context)
        self.raises, self.done = {}, []
        self.go_on = threading.Event()
        self.go_on.set()

    def _do(self, step):
        self.done.append(step)
        if error := self.raises.get(step):
            raise error

    def load(self, stages):
        stages.enter(1, 2, "loading")
        assert self.go_on.wait(DEADLINE)
        self._do("load")
        return "the model"

    def configure(self, loaded):
        assert loaded == "the model"
        self._do("configure")

    def activate(self):
        self._do("activate")

    def deactivate(self):
        self._do("deactivate")

    def free(self):
        self._do("free")


@pytest.fixture
def executor(context):
    executor = SingleThreadedExecutor(context=context)
    yield executor
    executor.shutdown()


@pytest.fixture
def subject(context, executor):
    node = Subject(context)
    executor.add_node(node)
    yield node
    node.destroy_node()


@pytest.fixture
def ask(context, executor, subject):
    """Calls the services of the subject in the executor that the subject itself is in."""
    outside = Node("outside", context=context)
    executor.add_node(outside)
    clients = {
        kind: outside.create_client(kind, f"/subject/{name}")
        for kind, name in ((ChangeState, "change_state"), (GetState, "get_state"))
    }
    for client in clients.values():
        assert client.wait_for_service(DEADLINE)

    def send(transition=None, label=""):
        if transition is None and not label:
            return clients[GetState].call_async(GetState.Request())
        request = ChangeState.Request(transition=Transition(id=transition or 0, label=label))
        return clients[ChangeState].call_async(request)

    def answer(*arguments, **options):
        future = send(*arguments, **options)
        executor.spin_until_future_complete(future, DEADLINE)
        return future.result()

    answer.later = send
    yield answer
    outside.destroy_node()


def spin_until(executor, condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        executor.spin_once(timeout_sec=0.05)


ERRORS = [RuntimeError("a bug"), UserError("Mend this."), SystemExit("a panic")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", ["load", "configure"])
def test_a_failed_configure_leaves_the_node_unconfigured_and_freed_and_can_be_repeated(subject, step, error):
    subject.raises[step] = error
    assert not subject.start()
    assert subject.state == "unconfigured"
    assert str(error) in subject.problem
    assert subject.done[-1] == "free"
    assert "activate" not in subject.done
    subject.raises.clear()
    assert subject.start()
    assert (subject.state, subject.problem) == ("active", None)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_failed_activate_leaves_the_node_inactive(subject, error):
    subject.raises["activate"] = error
    publisher = subject.create_lifecycle_publisher(Transition, "anything", 1)
    assert not subject.start()
    assert subject.state == "inactive"
    assert str(error) in subject.problem
    assert not publisher.is_activated
    subject.raises.clear()
    subject.trigger_activate()
    assert (subject.state, subject.problem) == ("active", None)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("step", "transitions", "end"),
    [
        ("deactivate", ["deactivate"], "unconfigured"),
        ("free", ["deactivate", "cleanup"], "finalized"),
        ("free", ["shutdown"], "finalized"),
    ],
)
def test_what_fails_later_is_told_and_ends_in_a_state_that_is_true(subject, step, transitions, end, error):
    assert subject.start()
    subject.raises[step] = error
    for transition in transitions:
        getattr(subject, f"trigger_{transition}")()
    assert subject.state == end
    assert str(error) in subject.problem
    assert subject.done[-1] == "free"


def test_free_failing_after_a_failed_configure_is_the_end(subject):
    subject.raises |= {"configure": RuntimeError("first"), "free": RuntimeError("second")}
    assert not subject.start()
    assert subject.state == "finalized"
    assert "first" in subject.problem


def test_the_node_answers_while_it_loads_and_refuses_every_other_transition(executor, subject, ask):
    subject.go_on.clear()
    configured = ask.later(Transition.TRANSITION_CONFIGURE)
    spin_until(executor, lambda: subject.loading is not None)
    assert ask().current_state.label == "configuring"
    for wrong in (
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        Transition.TRANSITION_ON_CONFIGURE_SUCCESS,
        Transition.TRANSITION_ON_CONFIGURE_ERROR,
        200,
    ):
        assert not ask(wrong).success
        assert subject.state == "configuring"
    assert not ask(label="nonsense").success
    assert "loading (step 1 of 2, " in subject.loading.stages.text
    assert not configured.done()
    subject.go_on.set()
    executor.spin_until_future_complete(configured, DEADLINE)
    assert configured.result().success
    assert (subject.state, subject.loading) == ("inactive", None)
    assert subject.done == ["load", "configure"]


def test_transitions_are_asked_for_by_label_too_and_twice_is_once_too_often(subject, ask):
    for label, state in (("configure", "inactive"), ("activate", "active"), ("deactivate", "inactive")):
        assert ask(label=label).success
        assert not ask(label=label).success
        assert ask().current_state.label == subject.state == state
    assert ask(Transition.TRANSITION_INACTIVE_SHUTDOWN).success
    assert ask().current_state.label == "finalized"
    assert not ask(Transition.TRANSITION_CONFIGURE).success


def test_a_failed_load_answers_who_asked_for_it(subject, ask):
    subject.raises["load"] = UserError("There is no such model.")
    assert not ask(Transition.TRANSITION_CONFIGURE).success
    assert ask().current_state.label == "unconfigured"
    assert subject.problem == "There is no such model."


def test_a_node_without_an_executor_starts_as_well(context):
    node = Subject(context)
    assert node.start()
    assert node.state == "active"
    node.destroy_node()


def test_no_thread_to_be_had_is_a_failure_like_any_other(subject, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not subject.start()
    assert "can't start new thread" in subject.problem
    assert subject.state == "unconfigured"
