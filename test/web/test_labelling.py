"""The labelling page: what its script asks is answered, and what nobody of ours would send changes nothing."""

import json

import pytest

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.web.labelling import labelling_page


class Work:
    """Stands for the training module, and remembers what was called."""

    def __init__(self):
        self.calls = []

    def facts(self):
        return {"tasks": ["emotion"]}

    def status(self):
        return {"answered": len(self.calls)}

    def current(self):
        return {"number": 3}

    def answer(self, number, labels, cannot_say, age_years=None):
        if number != 3:
            raise UserError(f"There is no face {number}.")
        self.calls.append(("answer", number, labels, cannot_say, age_years))

    def leave_out(self, number):
        self.calls.append(("leave_out", number))

    def skip(self, number):
        self.calls.append(("skip", number))

    def undo(self):
        self.calls.append(("undo",))

    def estimate(self, number):
        return {"emotion": "sad"}

    def image(self, number, whole=False):
        return b"scene" if whole else b"face"


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def client(work, serve):
    with serve(labelling_page(work)) as client:
        yield client


def post(client, path, sent, **headers):
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return client.get(f"/label/{path}", "POST", body, **{"Origin": f"http://{client.host}", **headers})


def test_the_page_has_the_consent_and_no_face_before_it_is_read(client):
    page = client.get("/label").text
    assert "Who may be labelled" in page
    assert "What is kept" in page
    assert "src=" not in page.replace('src="/static/label.js"', "")


def test_each_action_is_passed_on_and_answered_with_the_next_face(client, work):
    begun = json.loads(client.get("/label/begin").text)
    assert begun == {"facts": {"tasks": ["emotion"]}, "face": {"number": 3}, "status": {"answered": 0}}
    sent = {"number": 3, "labels": {"age": "20-29"}, "cannot_say": ["emotion"], "age_years": 22.5}
    for path, body in (("answer", sent), ("leave-out", {"number": 3}), ("skip", {"number": 3}), ("undo", {})):
        answer = post(client, path, body)
        assert (answer.status, json.loads(answer.text)["face"]) == (200, {"number": 3})
    assert work.calls == [("answer", 3, {"age": "20-29"}, ["emotion"], 22.5), ("leave_out", 3), ("skip", 3), ("undo",)]


def test_images_and_the_estimate_come_only_when_they_are_asked_for(client):
    assert client.get("/label/image/face/3").text == "face"
    scene = client.get("/label/image/scene/3")
    assert (scene.text, scene.getheader("content-type"), scene.getheader("cache-control")) == (
        "scene",
        "image/jpeg",
        "no-store",
    )
    assert json.loads(post(client, "estimate/3", {}).text) == {"emotion": "sad"}
    assert client.get("/label/estimate/3").status == 405


@pytest.mark.parametrize(
    "sent",
    [b"", b"no json", b"[]", {"number": "3"}, {"number": 3}, {"number": 3, "labels": [], "cannot_say": []}],
    ids=str,
)
def test_a_request_that_is_none_is_a_sentence(client, work, sent):
    answer = post(client, "answer", sent)
    assert (answer.status, work.calls) == (400, [])
    assert json.loads(answer.text)["error"].endswith(".")


def test_a_mistake_is_a_sentence(client):
    answer = post(client, "answer", {"number": 9, "labels": {}, "cannot_say": []})
    assert (answer.status, json.loads(answer.text)) == (400, {"error": "There is no face 9."})


def test_other_sites_change_nothing_and_see_nothing(client, work):
    for path in ("answer", "skip", "undo", "estimate/3"):
        assert post(client, path, {"number": 3}, Origin="http://evil.example").status == 403
    assert client.get("/label/image/face/3", Host="evil.example").status == 403
    assert client.get("/label/image/face/3", Sec_Fetch_Site="cross-site").status == 403
    assert work.calls == []
