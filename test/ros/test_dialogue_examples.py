"""The examples of the dialogue run, and the adapters make what the other side expects."""

import json
import runpy
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from facial_attributes_ros.attributes import AGE, EMOTION, LABELS, UNKNOWN
from facial_attributes_ros.dialogue.templates import Templates
from facial_attributes_ros.errors import UserError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIALOGUE = EXAMPLES / "04_dialogue_node.py"


def example(name):
    """The module of an example."""
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / name)))


class Client:
    """What a `DialogueClient` knows."""

    def __init__(self, face="", **manner):
        self.interlocutor = SimpleNamespace(face_id=face, person_id="anna", reason="arrived") if face else None
        fields = {"speech_register": "neutral", "tone": "neutral", "ask": False, "reasons": []} | manner
        self.speaking_manner = SimpleNamespace(**fields)


MESSAGE = {
    "id": "fabc",
    "roi": {"width": 90, "height": 100},
    "age": 7.0,
    "age_group": LABELS[AGE].index("3-9"),
    "gender": UNKNOWN,
    "emotion": LABELS[EMOTION].index("sad"),
    "observations": 5,
}


NEAR = MESSAGE | {
    "roi": {"x_offset": 260, "y_offset": 160, "width": 160, "height": 160},
    "age_group_probabilities": [0.0, 0.9, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    "emotion": UNKNOWN,
}


def test_a_dialogue_runs_from_faces_to_speech_for_those_who_come_late_too(shared_graph):
    quick = ("-p", "interlocutor.acquire:=0.2", "-p", "timeout:=60.0", "-p", "language:=de")
    node = shared_graph.node("dialogue", "--ros-args", *quick)
    talker = shared_graph.script(DIALOGUE, "--ros-args", "-p", "language:=de")
    peer = shared_graph.peer()
    peer.listen("speech", "std_msgs/String")
    peer.listen("dialogue/context", "std_msgs/String", latched=True)
    header = {"frame_id": "eye", "stamp": {"sec": 1700000000, "nanosec": 0}}
    message = {"header": header, "image_width": 640, "image_height": 480, "model": "small", "faces": [NEAR]}
    peer.publish(message, topic="faces", kind="facial_attributes_ros/FaceAttributesArray", times=40, period=0.1)
    peer.hear("speech", what="a sentence")
    assert peer.messages("speech")[0]["data"] in Templates("de").sentences()["greet"].values()
    child = "vielleicht ein Kind"
    peer.hear("dialogue/context", lambda heard: heard and child in heard[-1]["data"], what="the context of a child")
    late = shared_graph.peer()
    late.listen("speaking_manner", "facial_attributes_ros/SpeakingManner", latched=True)
    assert late.hear("speaking_manner")[-1]["reasons"]
    assert talker.interrupt() == 0
    assert node.interrupt() == 0


class Endpoint(BaseHTTPRequestHandler):
    """A language model that answers with what it was asked."""

    answer = None
    asked = ()

    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Endpoint.asked = (*Endpoint.asked, (self.path, self.headers["Authorization"], document))
        content = {"choices": [{"message": {"content": f" I heard {document['messages'][-1]['content']}. "}}]}
        body = json.dumps(content).encode() if Endpoint.answer is None else Endpoint.answer
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setattr(Endpoint, "answer", None)
    monkeypatch.setattr(Endpoint, "asked", ())
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/"
        server.shutdown()


def test_a_language_model_is_given_the_context_and_the_last_turns(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    chat = example("07_language_model.py")
    turns = [{"role": "user", "content": str(number)} for number in range(30)]
    assert chat.reply(endpoint, "a model", "The person may be a child.", turns) == "I heard 29."
    ((path, key, document),) = Endpoint.asked
    assert (path, key, document["model"]) == ("/v1/chat/completions", "Bearer a key", "a model")
    system, *rest = document["messages"]
    assert system["role"] == "system"
    assert system["content"].endswith("The person may be a child.")
    assert rest == turns[-12:]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [(b"{}", "answers in another form"), (b'{"choices": []}', "answers in another form"), (b"no", "does not answer")],
)
def test_what_is_no_answer_of_a_language_model_is_a_sentence(endpoint, monkeypatch, answer, sentence):
    monkeypatch.setattr(Endpoint, "answer", answer)
    with pytest.raises(UserError, match=sentence):
        example("07_language_model.py").reply(endpoint, "m", "", [])


def test_no_language_model_is_a_sentence():
    with pytest.raises(UserError, match="does not answer"):
        example("07_language_model.py").reply("http://127.0.0.1:9", "m", "", [], timeout=1.0)


def test_a_chat_of_ros4hri_has_a_role_with_the_prompt():
    goal = example("08_ros4hri_chat.py").chat_goal(
        SimpleNamespace(Goal=SimpleNamespace), SimpleNamespace, "anna", "Vielleicht ein Kind für sich."
    )
    assert (goal.person_id, goal.initiate, goal.role.name) == ("anna", True, "__default__")
    assert json.loads(goal.role.configuration) == {"prompt": "Vielleicht ein Kind für sich."}


def test_a_message_for_rai_gets_the_context_and_a_conversation():
    with_context = example("09_rai.py").with_context
    first = with_context(SimpleNamespace(text="Hello", communication_id=""), "One person.", "encounter-1")
    assert first.text == "[Situation, not said by the person: One person.]\nHello"
    assert first.communication_id == "encounter-1"
    second = with_context(SimpleNamespace(text="And?", communication_id="mine"), "", "encounter-1")
    assert (second.text, second.communication_id) == ("And?", "mine")


def test_access_in_the_manner_of_pyhri():
    describe = example("10_pyhri_access.py").description
    assert describe(Client(), {}) == "nobody"
    child = Client("fa", speech_register="simple", reasons=[SimpleNamespace(rule="child")])
    assert describe(child, {}) == "face fa, arrived: simple words, neutral tone (child)"
    assert describe(child, {"anna": object()}).startswith("person anna, ")


def test_a_behaviour_tree_offers_help_where_the_manner_asks():
    trees = pytest.importorskip("py_trees")
    offer, greet = (trees.behaviours.Success(name) for name in ("offer", "greet"))
    client = Client()
    tree = trees.trees.BehaviourTree(example("11_behaviour_tree.py").make_tree(client, offer, greet))
    tree.tick()
    assert tree.root.status == trees.common.Status.RUNNING
    client.interlocutor = SimpleNamespace(face_id="fa")
    tree.tick()
    assert (tree.root.status, greet.status) == (trees.common.Status.SUCCESS, trees.common.Status.SUCCESS)
    client.speaking_manner.ask = True
    tree.tick()
    assert offer.status == trees.common.Status.SUCCESS


@pytest.mark.parametrize("name", ["08_ros4hri_chat.py", "09_rai.py", "10_pyhri_access.py", "11_behaviour_tree.py"])
def test_an_adapter_is_short(name):
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 80
