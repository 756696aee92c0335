"""Whatever fails while the perception node opens or closes something, nothing is left half open."""

import importlib.util
import threading
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS is not here: run make setup")

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from facial_attributes_ros.ros.perception import configured
from facial_attributes_ros.ros.perception.active import WATCH
from facial_attributes_ros.ros.perception.info import InfoPublisher
from facial_attributes_ros.ros.perception.node import Perception

DEADLINE = 30.0
OUTPUTS = ("/faces", "/faces/image", "/faces/image/compressed", "/faces/info")


@pytest.fixture(scope="module")
def stub():
    path = Path(__file__).parent / "processes" / "stub_perception_node.py"
    spec = importlib.util.spec_from_file_location("stub_perception_node", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def node(context, stub, monkeypatch):
    monkeypatch.setattr(configured, "load_engine", stub.load_engine)
    monkeypatch.setattr(configured, "load_detector", stub.load_detector)
    monkeypatch.setattr(configured, "FramePipeline", stub.StubPipeline)
    executor = SingleThreadedExecutor(context=context)
    node = Perception(context=context)
    executor.add_node(node)
    yield node
    node.end()
    executor.shutdown()
    node.destroy_node()


def breaks(monkeypatch, owner, name, when=lambda *_: True):
    works = getattr(owner, name)

    def broken(self, *arguments, **options):
        if when(*arguments):
            raise RuntimeError(f"{name} is broken")
        return works(self, *arguments, **options)

    monkeypatch.setattr(owner, name, broken)


def publishers(node):
    return [publisher for publisher in node.publishers if publisher.topic_name in OUTPUTS]


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "perception"]


@pytest.mark.parametrize("broken", range(len(OUTPUTS)))
def test_a_configure_that_fails_leaves_no_publisher(node, monkeypatch, broken):
    topics = []
    breaks(monkeypatch, Node, "create_publisher", lambda _, topic, *__: topics.append(topic) or len(topics) > broken)
    node.begin()
    assert node.state == "unconfigured"
    assert "create_publisher is broken" in node.problem
    assert not publishers(node)


@pytest.mark.parametrize(
    ("owner", "name", "when"),
    [
        (Node, "create_subscription", lambda *_: True),
        (Node, "create_timer", lambda period, *_: period == WATCH),
        (threading.Thread, "start", lambda: threading.current_thread() is threading.main_thread()),
        (InfoPublisher, "activated", lambda *_: True),
    ],
    ids=["subscription", "timer", "thread", "info"],
)
def test_an_activate_that_fails_leaves_nothing_at_work_and_can_be_repeated(node, monkeypatch, owner, name, when):
    node.trigger_configure()
    before = list(node.subscriptions), list(node.timers)
    with monkeypatch.context() as patched:
        breaks(patched, owner, name, when)
        node.trigger_activate()
    assert node.state == "inactive"
    assert f"{name} is broken" in node.problem
    for worker in workers():
        worker.join(DEADLINE)
    assert (list(node.subscriptions), list(node.timers), workers()) == (*before, [])
    node.trigger_activate()
    assert (node.state, node.problem, len(workers())) == ("active", None, 1)


@pytest.mark.parametrize(("transition", "state"), [("deactivate", "unconfigured"), ("shutdown", "finalized")])
@pytest.mark.parametrize("name", ["destroy_subscription", "destroy_timer"])
def test_what_cannot_be_closed_keeps_nothing_else_open(node, monkeypatch, name, transition, state):
    with monkeypatch.context() as patched:
        breaks(patched, Node, name)
        node.begin()
        assert len(publishers(node)) == len(OUTPUTS)
        getattr(node, f"trigger_{transition}")()
    assert node.state == state
    assert f"{name} is broken" in node.problem
    assert not publishers(node)
    assert not workers()


def test_every_way_out_leaves_nothing(node):
    for _ in range(2):
        node.begin()
        assert (node.state, len(workers()), len(publishers(node))) == ("active", 1, len(OUTPUTS))
        node.trigger_deactivate()
        assert (node.state, len(workers()), len(publishers(node))) == ("inactive", 0, len(OUTPUTS))
        node.trigger_cleanup()
        assert (node.state, len(workers()), len(publishers(node))) == ("unconfigured", 0, 0)
    node.begin()
    node.end()
    assert (node.state, len(workers()), len(publishers(node))) == ("finalized", 0, 0)
    node.end()
