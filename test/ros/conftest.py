"""A ROS graph of processes on this machine, for one test at a time."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from shared_memory import remove_orphans

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = Path(__file__).resolve().parent / "processes"
DEADLINE = 100.0
"""Seconds until a condition counts as failed; a slow machine needs many, a good one never waits them out."""
SOON = 15.0
"""Seconds within which an end counts as soon, whatever else the machine does; what is cut short would take longer."""


def free_domain():
    """A ROS domain whose first discovery ports nobody holds."""
    for domain in random.sample(range(1, 100), 99):
        try:
            for port in (7400 + 250 * domain, 7410 + 250 * domain):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return domain
    pytest.skip("every ROS domain of this machine is taken")


@pytest.fixture(scope="module")
def domain():
    """A ROS domain for nodes in the test's own process."""
    return free_domain()


@pytest.fixture(scope="module")
def context(domain):
    """A context in that domain, for nodes that a test spins."""
    rclpy = pytest.importorskip("rclpy")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    yield context
    rclpy.shutdown(context=context)


class Process:
    """A child process whose lines are collected."""

    def __init__(self, command, env):
        self.child = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.lines = []
        self.silent = False
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.silent = True
            self.changed.notify_all()

    def wait_for(self, condition, timeout=DEADLINE, what="the condition"):
        """Wait until `condition(lines)` gives something true and return it."""
        with self.changed:
            deadline = time.monotonic() + timeout
            while True:
                silent = self.silent
                found = condition(self.lines)
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or silent:
                    tail = "\n".join(self.lines[-40:])
                    pytest.fail(f"waited in vain for {what}; exit code {self.child.poll()}, last lines:\n{tail}")
                self.changed.wait(min(left, 0.05))

    def pause_until(self, condition, seconds):
        """Wait for a condition, for some seconds at most, and go on either way."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while not condition() and time.monotonic() < deadline:
                self.changed.wait(0.1)

    def wait_for_text(self, text, timeout=DEADLINE):
        return self.wait_for(lambda lines: [line for line in lines if text in line], timeout, f"'{text}'")

    def wait_for_handlers(self):
        """Wait until the process catches SIGTERM, which the interpreter itself does not: then our handlers stand."""
        status = Path(f"/proc/{self.child.pid}/status")

        def caught():
            masks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt")]
            return int(masks[0], 16) >> (signal.SIGTERM - 1) & 1

        self.wait_for(lambda _: caught(), what="signal handlers")

    def interrupt(self):
        """Send Ctrl-C, see that the process ends soon and without a traceback, and return its exit code."""
        self.child.send_signal(signal.SIGINT)
        code = self.child.wait(SOON)
        self.wait_for(lambda _: self.silent)
        assert not [line for line in self.lines if "Traceback" in line]
        return code

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


class Peer(Process):
    """The outside world: publishes, listens and calls services; see processes/peer.py."""

    tags = 0

    def do(self, order, **details):
        self.child.stdin.write(json.dumps({"do": order, **details}) + "\n")
        self.child.stdin.flush()

    def events(self, name):
        with self.changed:
            lines = list(self.lines)
        found = [json.loads(line) for line in lines if line.startswith('{"event"')]
        return [event for event in found if event["event"] == name]

    def hear(self, topic, condition=bool, what=None):
        """Wait until `condition(messages of the topic)` and return all messages so far."""
        self.wait_for(lambda _: condition(self.messages(topic)), what=what or f"messages on {topic}")
        return self.messages(topic)

    def messages(self, topic):
        return [event["message"] for event in self.events(topic)]

    def listen(self, topic, kind, **details):
        self.do("listen", topic=topic, kind=kind, **details)
        self.wait_for(lambda _: [e for e in self.events("listening") if e["topic"] == topic])

    def ask(self, order, **details):
        Peer.tags += 1
        tag = Peer.tags
        self.do(order, tag=tag, **details)
        self.wait_for(lambda _: [e for e in self.events("answer") if e["tag"] == tag], what=f"an answer to {details}")
        return next(e["message"] for e in self.events("answer") if e["tag"] == tag)

    def transition(self, number, node="/perception"):
        fields = {"transition": {"id": number}}
        return self.ask("call", service=f"{node}/change_state", kind="lifecycle_msgs/ChangeState", fields=fields)[
            "success"
        ]

    def state(self, node="/perception"):
        answer = self.ask("call", service=f"{node}/get_state", kind="lifecycle_msgs/GetState", fields={})
        return answer["current_state"]["label"]

    def wait_for_answer(self, order, condition, **details):
        """Ask again until the answer meets a condition: what happens in a graph is known elsewhere a little later."""
        deadline = time.monotonic() + DEADLINE
        while not condition(answer := self.ask(order, **details)):
            assert time.monotonic() < deadline, f"{order} {details} stays {answer}"
            time.sleep(0.05)

    def set_parameter(self, name, value, node="/perception"):
        kinds = {
            bool: (1, "bool_value"),
            int: (2, "integer_value"),
            float: (3, "double_value"),
            str: (4, "string_value"),
        }
        number, field = kinds[type(value)]
        fields = {"parameters": [{"name": name, "value": {"type": number, field: value}}]}
        answer = self.ask("call", service=f"{node}/set_parameters", kind="rcl_interfaces/SetParameters", fields=fields)
        return answer["results"][0]

    def publish(self, message, topic="image", kind="sensor_msgs/Image", **details):
        """Have a message published and wait until it was."""
        before = len(self.events("published"))
        self.do("publish", topic=topic, kind=kind, fields=message, **details)
        self.wait_for(lambda _: len(self.events("published")) > before, what="a subscriber")

    def publish_until(self, witness, condition, message, what="what follows a message", **details):
        """Publish a message until what a witness has said meets a condition: best effort loses some.

        And a stamp far from the one before is believed only when it comes again.
        """
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.publish(message, **details)
            witness.pause_until(condition, 0.3)

    def stamps(self, topic):
        """Seconds and nanoseconds of the stamps of all messages so far."""
        return [stamp_of(message) for message in self.messages(topic)]

    def send(self, listener, fields, **details):
        """Publish one image until its array comes to a listener, and return the array."""

        def arrays():
            return [message for message in listener.messages("faces") if stamp_of(message) == stamp_of(fields)]

        self.publish_until(listener, arrays, fields, f"the array of {stamp_of(fields)}", **details)
        return arrays()[0]

    def send_until(self, node, text, fields, **details):
        """Publish one image until a node says something of it."""
        self.publish_until(node, lambda: [line for line in node.lines if text in line], fields, text, **details)


def stamp_of(message):
    stamp = message["header"]["stamp"]
    return stamp["sec"], stamp["nanosec"]


class Graph:
    """Processes that share a ROS domain of their own."""

    def __init__(self, env):
        self.env = env
        self.processes = []

    def _start(self, kind, command, env, prefix=()):
        process = kind([*prefix, sys.executable, *command], self.env | env)
        self.processes.append(process)
        return process

    def peer(self):
        return self._start(Peer, [str(PROCESSES / "peer.py")], {})

    def node(self, name, *arguments, prefix=(), **env):
        return self._start(Process, ["-m", "facial_attributes_ros.ros", name, *arguments], env, prefix)

    def script(self, path, *arguments):
        return self._start(Process, [str(path), *arguments], {})

    def stub(self, *arguments, **env):
        """The perception node with stand-ins; see processes/stub_perception.py."""
        return self._start(Process, [str(PROCESSES / "stub_perception.py"), *arguments], env)

    def running(self, *arguments, **env):
        """A stub node that is active, a camera, and a listener that hears its arrays."""
        node = self.stub(*arguments, **env)
        camera, listener = self.peer(), self.peer()
        listener.listen("faces", "facial_attributes_ros/FaceAttributesArray")
        node.wait_for_text("Waiting for images")
        return node, camera, listener

    def close(self):
        for process in self.processes:
            process.kill()
        # Each leaves the whole 64 MB of its shared-memory segment behind.
        remove_orphans()


@pytest.fixture(scope="session")
def ros_env():
    ros_env_module = pytest.importorskip("ros_env", reason="scripts/ is not on the path")
    env = ros_env_module.ros_environment()
    trial = subprocess.run(
        [sys.executable, "-c", "import rclpy, facial_attributes_ros.msg"], env=env, capture_output=True, check=False
    )
    if trial.returncode:
        pytest.skip("neither ROS nor the messages are here: run make setup")
    return env


def running_graph(ros_env):
    graph = Graph(ros_env | {"ROS_DOMAIN_ID": str(free_domain()), "OMP_NUM_THREADS": "1"})
    yield graph
    graph.close()


graph = pytest.fixture(running_graph)
shared_graph = pytest.fixture(running_graph, scope="module")


@pytest.fixture
def ros_context(ros_env):
    """Make contexts in this process, each given ROS arguments as a process would be, for nodes that nobody spins."""
    rclpy = pytest.importorskip("rclpy")
    contexts = []

    def started(*arguments):
        context = rclpy.Context()
        context.init(args=["--ros-args", *arguments] if arguments else [], domain_id=free_domain())
        contexts.append(context)
        return context

    yield started
    for context in contexts:
        context.try_shutdown()


def image_fields(faces=0, hold=0, fail=0, stamp=(100, 0), frame_id="camera", size=(64, 48)):
    """An image message that tells the stand-in pipeline what to do."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[0, 0] = (faces, hold, fail)
    return {
        "header": {"frame_id": frame_id, "stamp": {"sec": stamp[0], "nanosec": stamp[1]}},
        "height": size[1],
        "width": size[0],
        "encoding": "bgr8",
        "step": 3 * size[0],
        "data_base64": b64encode(picture.tobytes()).decode(),
    }


@pytest.fixture(scope="session")
def image():
    return image_fields
