"""The demonstrator answers what our page sends: images, videos and streams; what is wrong is a sentence."""

import asyncio
import csv
import io
import json
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from facial_attributes_ros.attributes import AGE, LABELS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.progress import announce
from facial_attributes_ros.web.demonstrator import images, session, video
from facial_attributes_ros.web.demonstrator.models import Models
from facial_attributes_ros.web.demonstrator.part import demonstrator
from facial_attributes_ros.web.demonstrator.session import Workshop
from facial_attributes_ros.web.model_cards import model_cards

PATH = "/demonstrator/ws"


class Page:
    """What the script of the page does."""

    def __init__(self, socket) -> None:
        self.socket = socket

    def send(self, kind: str, data: bytes | None = None, **fields) -> None:
        request = {"type": kind, "model": "small", **({} if data is None else {"size": len(data)}), **fields}
        self.socket.send(json.dumps(request))
        if data is not None and kind != "video":
            self.pieces(data)

    def pieces(self, data: bytes, size: int = 1 << 18) -> None:
        for start in range(0, len(data), size):
            self.socket.send(data[start : start + size])

    def next(self, *kinds: str):
        """The next message of one of these kinds, with its files."""
        while (message := json.loads(self.socket.recv(timeout=60)))["type"] not in kinds:
            assert message["type"] != "error", message
        message["contents"] = {name: self.socket.recv(timeout=60) for name in message.get("files", ())}
        return message

    def ask(self, kind: str, data: bytes | None = None, **fields):
        self.send(kind, data, **fields)
        return self.next("image", "frame", "error")


@pytest.fixture(scope="module")
def astronaut_file() -> Path:
    from facial_attributes_ros.imaging.sample_images import sample_images

    return sample_images("scikit-image")[0]


@pytest.fixture(scope="module")
def workshop(yunet, make_engine, astronaut_file):
    return Workshop(Models(load=lambda _: make_engine()), (astronaut_file,))


@pytest.fixture(scope="module")
def client(serve, workshop):
    page = demonstrator(workshop)
    with serve(page, model_cards(workshop.models, [page])) as client:
        yield client


@pytest.fixture
def page(client):
    with client.socket(PATH) as socket:
        yield Page(socket)


@pytest.fixture(scope="module")
def video_file(write_people, tmp_path_factory) -> bytes:
    return write_people(tmp_path_factory.mktemp("video") / "people.mp4", 6).read_bytes()


def encoded(image, suffix=".png") -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


def test_the_page_opens_with_its_examples_and_the_models(client, page):
    assert 'data-number="0"' in client.get("/demonstrator").text
    assert client.get("/demonstrator/examples/0").headers["content-type"] == "image/jpeg"
    assert client.get("/demonstrator/examples/1").status == 404
    models = {model["name"]: model for model in page.next("models")["models"]}
    assert models["small"]["status"] in ("here", "ready")
    assert models["pe-l14-336"]["status"] == "missing"
    assert "train or import" in models["pe-l14-336"]["message"]


def test_an_image_gives_a_record_for_each_face_a_copy_and_files(page, six_faces):
    six_faces = cv2.resize(six_faces, (640, 443))
    answer = page.ask("image", encoded(six_faces), name="six.png", job=7)
    assert (answer["job"], len(answer["faces"])) == (7, 6)
    face = answer["faces"][0]
    assert face["crop"].startswith("data:image/jpeg;base64,")
    assert face["gender"] == "female"
    copy = cv2.imdecode(np.frombuffer(answer["contents"]["annotated"], np.uint8), cv2.IMREAD_COLOR)
    assert copy.shape == six_faces.shape
    assert np.abs(copy.astype(int) - six_faces).mean() > 1
    document = json.loads(answer["contents"]["json"])
    assert document["path"] == "six.png"
    without = {name: value for name, value in face.items() if name not in ("crop", "unknown")}
    assert document["faces"][0] == without
    rows = list(csv.DictReader(io.StringIO(answer["contents"]["csv"].decode())))
    assert len(rows) == 6
    assert float(rows[0]["gender: female"]) == pytest.approx(face["gender_probabilities"]["female"])


def test_an_example_is_answered_by_its_number(page):
    assert len(page.ask("example", number=0)["faces"]) == 1
    assert "example" in page.ask("example", number=5)["message"]


def test_faces_of_a_stream_are_followed(page, six_faces):
    data = encoded(cv2.resize(six_faces, (640, 443)), ".jpg")
    answers = [page.ask("frame", data, stamp=number / 10) for number in range(3)]
    assert [len(answer["faces"]) for answer in answers] == [0, 6, 6]
    assert [face["id"] for face in answers[1]["faces"]] == [face["id"] for face in answers[2]["faces"]]


def test_a_video_gives_progress_a_copy_that_can_be_played_and_people(page, video_file, tmp_path):
    page.send("video", video_file, name="people.mp4")
    page.next("send")
    page.pieces(video_file)
    assert page.next("progress")["total"] == 6
    answer = page.next("video")
    assert (answer["frames"], answer["cut"]) == (6, False)
    (person,), (timeline,) = answer["people"], answer["timeline"]
    assert timeline["id"] == person["id"]
    assert sum(person["emotions"].values()) == pytest.approx(1)
    assert len(timeline["times"]) == len(timeline["probabilities"]) == person["frames"]
    (tmp_path / "copy.webm").write_bytes(answer["contents"]["annotated"])
    copy = cv2.VideoCapture(str(tmp_path / "copy.webm"))
    assert copy.get(cv2.CAP_PROP_FRAME_WIDTH) == 320
    assert sum(copy.read()[0] for _ in range(9)) == 6
    lines = [json.loads(line) for line in answer["contents"]["json"].splitlines()]
    assert [line["stamp"] for line in lines][:2] == [0.0, 0.1]
    rows = list(csv.DictReader(io.StringIO(answer["contents"]["csv"].decode())))
    assert {row["id"] for row in rows} == {person["id"]}


def test_a_long_video_is_cut(page, video_file, monkeypatch):
    monkeypatch.setattr(video, "MAX_SECONDS", 0.25)
    page.send("video", video_file, name="people.mp4")
    page.next("send")
    page.pieces(video_file)
    answer = page.next("video")
    assert (answer["frames"], answer["cut"]) == (3, True)


@pytest.mark.parametrize(
    "data", [b"#EXTM3U\nhttp://192.0.2.1/a.ts\n" * 9, b"\0\0\0\x18ftypisom" + bytes(99), b"RIFF    WEBP"]
)
def test_what_is_no_video_is_a_sentence_with_its_name(page, data):
    """A playlist would make FFmpeg open addresses and other files."""
    page.send("video", data, name="clip.mp4")
    page.next("send")
    page.pieces(data)
    assert "clip.mp4 is not a video" in page.next("error")["message"]


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(page, video_file, monkeypatch):
    monkeypatch.setattr(video, "MAX_PIXELS", 1000)
    page.send("video", video_file, name="people.mp4")
    page.next("send")
    page.pieces(video_file)
    assert "320x240" in page.next("error")["message"]


def test_what_is_no_image_or_too_large_is_a_sentence_with_its_name(page, astronaut, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    assert "a.png has 512x512" in page.ask("image", encoded(astronaut), name="a.png")["message"]
    assert "b.png" in page.ask("image", b"nonsense" * 99, name="b.png")["message"]
    assert "c.png is empty" in page.ask("image", name="c.png", size=0)["message"]
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    assert "the limit is" in page.ask("image", encoded(astronaut), name="d.png")["message"]
    assert "e.mp4 has" in page.ask("video", name="e.mp4", size=1 << 40)["message"]
    assert page.ask("example", number=0)["type"] == "error"  # the conversation goes on


def test_a_model_that_is_missing_or_unknown_is_a_sentence(page):
    assert "no model" in page.ask("example", number=0, model="/etc")["message"]


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        '{"type": "image"',
        '{"type": "nothing"}',
        b"bytes",
        '{"type": "image", "size": "x"}',
        '{"type": [1]}',
        '{"type": "frame", "stamp": NaN}',
    ],
)
def test_what_no_page_of_ours_sends_ends_the_conversation(client, message):
    with client.socket(PATH) as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(timeout=20)


def test_a_file_longer_than_announced_ends_the_conversation(client):
    with client.socket(PATH) as socket:
        socket.send(json.dumps({"type": "image", "model": "small", "size": 10}))
        socket.send(bytes(11))
        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(timeout=20)


def test_a_page_that_leaves_frees_everything(client, workshop, video_file):
    """Its video has no file any more, and the next visitor gets the turn at once."""
    before = open_files()
    for _ in range(session.VIDEOS_AT_ONCE + 1):
        with client.socket(PATH) as socket:
            page = Page(socket)
            page.send("video", video_file, name="people.mp4")
            page.next("send")
            page.pieces(video_file)
            page.next("progress")
    with client.socket(PATH) as socket:
        assert len(Page(socket).ask("example", number=0)["faces"]) == 1
    deadline = time.monotonic() + 20
    while (left := open_files() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    assert workshop.videos.length == 0


def open_files() -> set[str]:
    """The files in temporary folders that this process holds open, those without a name included."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return {name for name in found if name.startswith(("/tmp", "/var/tmp")) and "pytest" not in name}


def test_nothing_is_left_on_the_disk(page, video_file, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page.send("video", video_file, name="people.mp4")
    page.next("send")
    page.pieces(video_file)
    page.next("progress")
    assert list(tmp_path.iterdir()) == []
    page.next("video")
    assert list(tmp_path.iterdir()) == []


def test_ten_visitors_at_once_are_all_answered_and_see_their_place(client, workshop, astronaut):
    data, answers, places = encoded(cv2.resize(astronaut, (128, 128))), [], []

    def visit():
        with client.socket(PATH) as socket:
            page = Page(socket)
            page.send("image", data, name="one.png")
            while (answer := page.next("image", "place"))["type"] == "place":
                places.append(answer["place"])
            answers.append(len(answer["faces"]))

    visitors = [threading.Thread(target=visit) for _ in range(10)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    assert answers == [1] * 10
    assert max(places) > 1


def test_too_many_visitors_are_asked_to_come_back(page, workshop, monkeypatch):
    monkeypatch.setattr(session, "LONGEST_LINE", 0)
    assert "Too many" in page.ask("example", number=0)["message"]


class TestModels:
    def test_a_model_that_fails_says_why_and_may_be_tried_again(self, yunet):
        def load(name):
            raise UserError("It has no weights.")

        async def run():
            models = Models(load=load)
            for _ in range(2):
                with pytest.raises(UserError, match="no weights"):
                    await models.get("small")
            return models.to_list()[0]

        model = asyncio.run(run())
        assert (model["status"], model["message"]) == ("failed", "It has no weights.")

    def test_what_is_being_loaded_is_announced_on_all_pages(self, yunet, make_engine):
        def load(name):
            announce("Building the engine (once)")
            return make_engine()

        async def run():
            models, statuses = Models(load=load), []
            models.changed = lambda: statuses.append(models.to_list()[0])
            await asyncio.gather(models.get("small"), models.get("small"))
            return [(model["status"], model["message"]) for model in statuses]

        statuses = asyncio.run(run())
        assert statuses[0][0] == "loading"
        assert ("loading", "Building the engine (once)") in statuses
        assert statuses[-1] == ("ready", "")
        assert [status for status, _ in statuses].count("ready") == 1

    def test_tasks_that_are_not_wanted_are_not_computed(self, yunet, make_engine, astronaut):
        engine = make_engine()
        parts = asyncio.run(Models(load=lambda _: engine, tasks=["age"]).get("small"))
        (face,) = images.still_answer(parts, encoded(astronaut), "a.png").message["faces"]
        assert engine.calls == [(1, ("age",))]
        assert (face["emotion"], face["unknown"]["emotion"]) == (None, "This is not estimated here.")

    def test_the_one_used_longest_ago_makes_room(self, yunet, make_engine, tmp_path):
        small = Path(images.__file__).parents[2] / "models" / "weights" / "small"
        for name in ("one", "two"):
            (tmp_path / name).symlink_to(small)

        async def run():
            models = Models([str(tmp_path / "one"), str(tmp_path / "two")], load=lambda _: make_engine())
            for name in ("small", "one", "small", "two"):
                await models.get(name)
            return {model["name"]: model["status"] for model in models.to_list()}

        assert asyncio.run(run()) == {"one": "here", "two": "ready", "small": "ready", "pe-l14-336": "missing"}


def test_the_card_of_a_model_has_its_terms_and_figures(client):
    page = client.get("/models/small").text
    assert "Commercial use: no." in page
    assert "fairface" in page
    assert "[" in page
    assert "train or import" in client.get("/models/pe-l14-336").text
    assert client.get("/models/nothing").status == 404
    assert "/models/small" in client.get("/models").text


def test_reasons_name_the_probability_that_is_too_low(astronaut, yunet, make_engine):
    from facial_attributes_ros.pipeline import FramePipeline

    engine = make_engine(lambda task: np.zeros(len(LABELS[task]), np.float32))
    (face,) = FramePipeline(yunet, engine).still(astronaut, tasks=["gender", "emotion"])
    found = images.reasons(face, [AGE, "gender", "emotion"])
    assert found["age_group"]
    assert images.reasons(face, ["gender", "emotion"])["age_group"] == "This is not estimated here."
