"""The viewer beside a graph of other processes: what it subscribes to and when, and what a browser gets."""

import json
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="the pages need the extra web")
from websockets.sync.client import connect

from facial_attributes_ros.ros.arguments import PARSERS

DEADLINE = 100.0


class Page:
    """What a browser's page does with its socket."""

    def __init__(self, socket_):
        self._socket = socket_
        self.frames, self.status = [], {"views": [], "status": None}

    def say(self, **message):
        self._socket.send(json.dumps(message))

    def until(self, condition, do=lambda: None):
        """Take what comes until a condition holds; `do` is done again and again meanwhile."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; the last status was {self.status}"
            do()
            try:
                message = self._socket.recv(timeout=0.2)
            except TimeoutError:
                continue
            if isinstance(message, str):
                self.status = json.loads(message)
            else:
                length = int.from_bytes(message[:4], "big")
                self.frames.append((json.loads(message[4 : 4 + length]), message[4 + length :]))
                self.say(shown=True)

    def problems(self):
        return " ".join(problem["text"] for problem in (self.status["status"] or {"problems": ()})["problems"])


@contextmanager
def opened(viewer):
    (line,) = viewer.wait_for_text("Live page: http://127.0.0.1:")
    address = urlsplit(line.split()[-1])
    plain = socket.create_connection((address.hostname, address.port))
    origin = {"Origin": f"http://{address.netloc}"}
    with (
        plain,
        connect(
            f"ws://{address.netloc}/live/ws", sock=plain, additional_headers=origin, ping_interval=None
        ) as connection,
    ):
        yield Page(connection)


FACES = "facial_attributes_ros/FaceAttributesArray"


def test_a_page_shows_the_graph_and_nothing_is_subscribed_while_no_page_is_visible(graph, image):
    viewer, camera, robot = graph.node("viewer"), graph.peer(), graph.peer()
    fields = image(stamp=(7, 0))
    face = {
        "id": "fa",
        "roi": {"x_offset": 5, "y_offset": 5, "width": 20, "height": 20},
        "observations": 1,
        "emotion": 255,
    }
    faces = {"header": fields["header"], "image_width": 64, "image_height": 48, "model": "small", "faces": [face]}

    def publish():
        camera.do("publish", topic="image", kind="sensor_msgs/Image", fields=fields)
        robot.do("publish", topic="faces", kind=FACES, fields=faces)

    with opened(viewer) as page:
        page.until(lambda: page.status.get("nothing"))
        assert page.status["nothing"][0]["text"].startswith("No perception node runs")
        camera.do("advertise", topic="image", kind="sensor_msgs/Image")
        page.until(lambda: page.status["views"])
        page.say(view="/image", width=320)
        depths = fields | {"encoding": "32FC1"}
        page.until(
            lambda: "No perception node runs for this camera" in page.problems() and "holds depths" in page.problems(),
            lambda: camera.do("publish", topic="image", kind="sensor_msgs/Image", fields=depths),
        )
        robot.listen("image", "sensor_msgs/Image")
        robot.do("advertise", topic="faces", kind=FACES)
        page.until(lambda: [one for one in page.status["views"] if one["image"] == "/image" and one["id"] == "/faces"])
        assert len(page.status["views"]) == 1, "the camera is that of the perception node"
        assert robot.ask("count", topic="/faces")[1] == 0
        page.say(view="/faces", width=320, visible=True)
        page.until(lambda: [record for record, jpeg in page.frames if record["faces"] and jpeg], publish)
        record = next(record for record, jpeg in page.frames if record["faces"] and jpeg)
        assert record["faces"][0]["id"] == "fa"
        assert record["faces"][0]["why"] == {
            "emotion": "Most probable: surprise, 0 %, which is not enough for this face."
        }
        assert record["labels"]["plates"][0]["lines"][1:] == ["0 ± 0 years", "male 0%", "emotion unknown"]
        # What was ordered so far is published now, and nothing later waits for a subscriber.
        page.until(lambda: robot.ask("count", topic="/faces") == [1, 1])
        page.say(visible=False)
        robot.wait_for_answer("count", lambda counts: counts[1] == 0, topic="/faces")
        page.say(visible=True)
        robot.wait_for_answer("count", lambda counts: counts[1] == 1, topic="/faces")
    robot.wait_for_answer("count", lambda counts: counts[1] == 0, topic="/faces")
    assert viewer.interrupt() == 0


def test_a_mistake_in_a_parameter_is_a_sentence(graph):
    viewer = graph.node("viewer", "--ros-args", "-p", "host:=no.such.host.invalid")
    viewer.wait_for_text("The address no.such.host.invalid with port 0 cannot be had")
    assert viewer.child.wait(DEADLINE) == 2
    assert not [line for line in viewer.lines if "Traceback" in line]


def test_its_help_lists_its_parameters(capsys):
    with pytest.raises(SystemExit):
        PARSERS["viewer"]().parse_args(["--help"])
    assert "jpeg_quality" in capsys.readouterr().out
