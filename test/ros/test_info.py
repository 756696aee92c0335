"""The latched topic that says what runs."""

from facial_attributes_ros import __version__
from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

ACTIVATE, DEACTIVATE = 3, 4


def listening(graph):
    """A client that subscribes late."""
    peer = graph.peer()
    peer.listen("faces/info", "facial_attributes_ros/PerceptionInfo", latched=True)
    return peer


def newest(peer, condition, what):
    """The newest message about what runs, once it meets a condition."""
    peer.wait_for(lambda _: peer.messages("faces/info") and condition(peer.messages("faces/info")[-1]), what=what)
    return peer.messages("faces/info")[-1]


def running(message):
    return [task["name"] for task in message["tasks"] if task["running"]]


def test_who_comes_late_hears_what_runs_and_every_change(graph, image):
    _, camera, listener = graph.running("--ros-args", "-p", "thresholds.age:=0.25")
    early, spec = listening(graph), ModelSpec.identified(model_folder("small"))
    first = newest(early, lambda _: True, "the latched message")
    assert (first["model"], first["version"], first["hash"]) == ("small", spec.version, spec.short_hash)
    assert (first["licence_spdx"], first["commercial_use"]) == (spec.licence.spdx, "no")
    assert first["licence_sources"] == list(spec.licence.sources)
    assert first["node_version"] == __version__
    assert (first["image_topic"], first["camera_frame"]) == ("/image", "")
    assert {task["name"]: tuple(task["labels"]) for task in first["tasks"]} == LABELS
    assert [round(task["threshold"], 3) for task in first["tasks"]] == [
        0.25,
        round(spec.thresholds["gender"], 3),
        round(spec.thresholds["emotion"], 3),
    ]
    assert running(first) == ["age", "gender", "emotion"]
    camera.send(listener, image(stamp=(1, 0), frame_id="left_eye"))
    newest(early, lambda message: message["camera_frame"] == "left_eye", "the camera's frame")
    # Switched off with no image on its way: said at once all the same.
    assert camera.set_parameter("tasks.emotion", False)["successful"]
    newest(early, lambda message: running(message) == ["age", "gender"], "two tasks")
    late = listening(graph)
    assert running(newest(late, lambda _: True, "the latched message")) == ["age", "gender"]
    assert len(late.messages("faces/info")) == 1
    count = len(early.messages("faces/info"))
    # What says the same is not said again.
    assert camera.set_parameter("tasks.emotion", False)["successful"]
    assert camera.set_parameter("debug.jpeg_quality", 70)["successful"]
    camera.transition(DEACTIVATE)
    still = newest(early, lambda message: not running(message), "nothing running")
    assert (still["image_topic"], still["model"]) == ("", "small")
    assert len(early.messages("faces/info")) == count + 1
    camera.transition(ACTIVATE)
    assert running(newest(early, lambda message: message["image_topic"], "images again")) == ["age", "gender"]


def test_diagnostics_name_the_model_by_version_and_hash(graph):
    node, _, listener = graph.running()
    spec = ModelSpec.identified(model_folder("small"))
    listener.listen("/diagnostics", "diagnostic_msgs/DiagnosticArray")
    listener.wait_for(lambda _: listener.messages("/diagnostics"), what="diagnostics")
    status = listener.messages("/diagnostics")[-1]["status"][0]
    values = {value["key"]: value["value"] for value in status["values"]}
    assert (values["model"], values["model version"], values["model hash"]) == ("small", spec.version, spec.short_hash)
    assert values["commercial use"] == "no"
    assert node.interrupt() == 0
