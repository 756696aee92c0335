"""What the live page is sent: images and faces by their stamps, the newest only, and nothing that no page shows."""

import itertools
import json
import threading
import time

import live_page_load
import numpy as np
import pytest

from facial_attributes_ros.imaging.decoder import decode_pixels
from facial_attributes_ros.web.live.hub import WIDTHS, Client, Frame, Hub
from facial_attributes_ros.web.live.part import live_part
from facial_attributes_ros.web.live.stream import HISTORY, History, ViewStream

IMAGE = np.full((120, 160, 3), 90, np.uint8)


def face(name="fa", emotion="happy"):
    return {
        "id": name, "box": [40.0, 30.0, 30.0, 40.0], "age": 31.5, "age_stddev": 6.0, "age_group": "30-39",
        "gender": "female", "gender_probabilities": {"female": 0.9}, "emotion": emotion,
        "emotion_probabilities": {"happy": 0.8}, "observations": 3,
    }  # fmt: skip


def record(second, *faces):
    return {"stamp": {"sec": second, "nanosec": 5}, "width": 160, "height": 120, "faces": list(faces), "model": "small"}


class Stage:
    """A stream, what it gave, and which images it decoded."""

    def __init__(self, widths=(320,), **options):
        self.frames, self.decoded, self.widths = [], [], set(widths)
        settings = {"size": 960, "rate": 1000.0, "quality": 75} | options
        self.stream = ViewStream(**settings, sink=self.frames.append, widths=lambda: self.widths)

    def image(self, second, now, pixels=IMAGE):
        def decode():
            self.decoded.append(second)
            return pixels

        self.stream.image((second, 5), decode, pixels.nbytes, now)


def test_an_image_is_sent_with_its_own_faces_whichever_comes_first():
    stage = Stage()
    stage.stream.faces(record(1), 0.0)
    for second, now in ((1, 0.0), (2, 0.1), (3, 0.2)):
        stage.image(second, now)
    stage.stream.faces(record(2, face()), 0.3)
    assert [frame.faces["stamp"]["sec"] for frame in stage.frames] == [1, 2]
    stage.stream.faces(record(4, face("fb")), 0.4)
    stage.image(4, 0.5)
    assert [frame.faces["stamp"]["sec"] for frame in stage.frames] == [1, 2, 4]
    assert stage.decoded == [1, 2, 4], "an image that nobody gets is not decoded"
    assert stage.frames[-1].labels[320]["plates"][0]["lines"][0] == "fb"


def test_labels_are_laid_out_for_the_width_of_each_browser():
    stage = Stage(widths=(320, 640))
    stage.image(1, 0.0)
    stage.stream.faces(record(1, face()), 0.1)
    (frame,) = stage.frames[-1:]
    assert frame.labels[320]["size"] == (320, 240)
    assert frame.labels[640]["size"] == (640, 480)
    plate = frame.labels[640]["plates"][0]
    assert plate["lines"] == ("fa", "31 ± 6 years", "female 90%", "happy 80%")
    assert plate["box"][1] >= 4 * 70, "below the face, in pixels of the width"


def test_images_are_shown_alone_while_no_faces_come():
    stage = Stage()
    stage.image(1, 0.0)
    assert stage.frames[0].faces["faces"] is None
    assert stage.frames[0].jpeg
    stage.stream.faces(record(1), 0.1)
    stage.image(2, 0.2)
    assert len(stage.frames) == 2, "the second image waits for its faces"
    stage.image(3, 1.3)
    assert len(stage.frames) == 3


def test_faces_are_shown_without_an_image_if_images_are_lost():
    stage = Stage()
    for second in range(1, 5):
        stage.stream.faces(record(second, face()), float(2 * second))
    assert stage.frames[-1].faces["faces"][0]["id"] == "fa"
    assert stage.frames[-1].jpeg == b""


def test_nothing_is_decoded_for_nobody_and_not_more_than_the_rate():
    nobody = Stage(widths=())
    nobody.image(1, 5.0)
    assert not nobody.decoded
    slow = Stage(rate=2.5)
    for k in range(10):
        slow.image(k, 5.0 + 0.1 * k)
    assert slow.decoded == [0, 4, 8]


def test_large_images_are_scaled_down_and_few_are_kept():
    stage = Stage(size=80)
    stage.image(1, 0.0)
    assert decode_pixels(stage.frames[0].jpeg, "it", 10**6).shape == (60, 80, 3)
    large = Stage()
    large.stream.faces(record(0), 0.0)
    for second in range(1, 20):
        large.stream.image((second, 5), lambda: IMAGE, 20 << 20, 0.01 * second)
    assert len(large.stream._images) == 3


def test_the_last_minute_is_given_second_by_second():
    history = History()
    for second, emotion in ((100, "happy"), (101, None), (103, "neutral")):
        history.add([face(emotion="sad")], second + 0.1)
        history.add([face(emotion=emotion)], second + 0.9)
    assert history.seconds(103.5)["fa"][-4:] == [3, -1, -2, 6]
    assert len(history.seconds(103.5)["fa"]) == HISTORY
    history.add([face("fb")], 200.0)
    assert set(history.seconds(200.0)) == {"fb"}


def frame(second=1, jpeg=b"jpeg"):
    return Frame(record(second), {320: ["a"], 640: ["b"]}, jpeg)


def hub_with(*views):
    hub, woken = Hub(), itertools.count()
    clients = [Client(lambda: next(woken)) for _ in views]
    for client, view in zip(clients, views, strict=True):
        hub.add(client)
        hub.received(client, {"view": view, "width": 700.0})
    return hub, clients


def test_a_slow_browser_misses_images_and_gets_the_newest():
    hub, (client,) = hub_with("/faces")
    sent = []
    for second in range(1, 6):
        hub.publish_frame("/faces", frame(second))
        sent += hub.to_send(client)
    assert len(sent) == 2
    assert hub.wanted_widths("/faces") == set()
    hub.received(client, {"shown": True})
    (newest,) = hub.to_send(client)
    length = int.from_bytes(newest[:4], "big")
    shown = json.loads(newest[4 : 4 + length])
    assert shown["stamp"]["sec"] == 5
    assert shown["labels"] == ["b"]
    assert shown["view"] == "/faces"
    assert newest[4 + length :] == b"jpeg"


def test_a_browser_gets_what_it_shows_and_nothing_while_it_is_hidden():
    hub, (one, other) = hub_with("/a/faces", "/b/faces")
    assert hub.watched() == {"/a/faces", "/b/faces"}
    hub.publish_frame("/a/faces", frame())
    assert hub.to_send(one)
    assert not hub.to_send(other)
    hub.received(other, {"visible": False})
    hub.publish_frame("/b/faces", frame())
    assert not hub.to_send(other)
    assert hub.watched() == {"/a/faces"}
    hub.remove(one)
    hub.remove(other)
    assert not hub.seen


@pytest.mark.parametrize(("width", "used"), [(10, WIDTHS[0]), (358, 320), (640, 640), (9999, WIDTHS[-1])])
def test_a_browser_gets_labels_for_the_next_smaller_width(width, used):
    hub, (client,) = hub_with("/faces")
    hub.received(client, {"width": width})
    assert hub.wanted_widths("/faces") == {used}


def test_each_browser_gets_the_status_of_its_own_view():
    hub, (one, other) = hub_with("/a/faces", "")
    hub.publish_status([{"id": "/a/faces"}], {"/a/faces": {"node": "/a/perception"}}, [])
    assert json.loads(hub.to_send(one)[0])["status"]["node"] == "/a/perception"
    assert json.loads(hub.to_send(other)[0])["status"] is None


@pytest.fixture
def live(serve):
    hub = Hub()
    with serve(live_part(hub)) as client:
        yield hub, client


def test_the_page_and_its_socket(live):
    hub, client = live
    page = client.get("/live")
    assert page.status == 200
    assert "Content-Security-Policy" in page.headers
    with client.socket("/live/ws") as socket:
        socket.send('{"view": "/faces", "width": 320}')
        while "/faces" not in hub.watched():
            time.sleep(0.01)
        hub.publish_frame("/faces", frame())
        hub.publish_status([], {}, [{"level": "error", "text": "No perception node runs."}])
        answers = [socket.recv(timeout=20) for _ in range(2)]
        assert {type(answer) for answer in answers} == {str, bytes}
        socket.send("no JSON")
        with pytest.raises(Exception, match="1003"):
            socket.recv(timeout=20)
    while hub.seen:
        time.sleep(0.01)
    assert client.status_of_socket("/live/ws", Origin="http://evil.example") == 403


def test_the_cost_of_a_page_can_be_measured(live, capsys):
    hub, client = live
    over = threading.Event()

    def publish():
        while not over.wait(0.02):
            hub.publish_status([{"id": "/faces"}], {}, [])
            hub.publish_frame("/faces", frame())

    node = threading.Thread(target=publish)
    node.start()
    try:
        assert live_page_load.main([f"http://{client.host}/", "--clients", "2", "--seconds", "0.3"]) == 0
    finally:
        over.set()
        node.join()
    first, second, server = capsys.readouterr().out.splitlines()
    assert float(first.split()[0]) > 0
    assert float(second.split()[0]) > 0
    assert server.endswith("% of a core with 2 browsers.")
