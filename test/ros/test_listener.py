"""The listener as a process: lines, JSON lines, its duration, and full disks."""

import json
from pathlib import Path

import pytest

from facial_attributes_ros.ros.arguments import PARSERS

DEADLINE = 100.0

FACE = {
    "id": "fabc",
    "age": 31.0,
    "age_stddev": 6.0,
    "age_group": 4,
    "age_group_probabilities": [0.0, 0.0, 0.0, 0.2, 0.8, 0.0, 0.0, 0.0, 0.0],
    "gender": 1,
    "gender_probabilities": [0.1, 0.9],
    "emotion": 255,
    "emotion_probabilities": [0.25, 0.25, 0.1, 0.1, 0.1, 0.1, 0.1],
    "observations": 7,
}


def array(*faces, second=1700000000):
    header = {"frame_id": "eye", "stamp": {"sec": second, "nanosec": 5}}
    return {"header": header, "image_width": 640, "image_height": 480, "model": "small", "faces": list(faces)}


def publish(peer, message, **details):
    peer.publish(message, topic="faces", kind="facial_attributes_ros/FaceAttributesArray", **details)


def test_it_ends_after_its_duration(graph):
    listener = graph.node("listener", "--duration", "0.5")
    publish(graph.peer(), array(FACE))
    assert listener.child.wait(DEADLINE) == 0
    listener.wait_for_text("1 messages in")


def test_it_prints_a_line_a_face_keeps_json_and_ends_with_a_summary(graph, tmp_path):
    path = tmp_path / "faces.jsonl"
    listener = graph.node("listener", "--jsonl", str(path))
    peer = graph.peer()
    publish(peer, array(FACE, FACE | {"id": "fxyz"}))
    publish(peer, array())
    listener.wait_for_text("no faces")
    assert listener.interrupt() == 0
    assert listener.wait_for_text("2 messages in")
    line = listener.wait_for_text("fabc")[0]
    assert "30-39 (0.80)" in line
    assert "31 ± 6 years" in line
    assert "female (0.90)" in line
    assert "emotion unknown" in line
    assert listener.wait_for_text("fxyz")
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert [face["id"] for face in first["faces"]] == ["fabc", "fxyz"]
    assert first["stamp"] == {"sec": 1700000000, "nanosec": 5}
    assert first["faces"][0]["emotion"] is None
    assert second["faces"] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to stand for a full disk")
def test_a_full_disk_is_one_sentence_and_printing_goes_on(graph):
    listener = graph.node("listener", "--jsonl", "/dev/full")
    peer = graph.peer()
    for number in range(3):
        publish(peer, array(FACE | {"id": f"f{number}"}))
    listener.wait_for_text("f2")
    assert listener.interrupt() == 0
    assert len([line for line in listener.lines if "No space left" in line]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--jsonl", "/no/such/folder/x.jsonl"], "Cannot write /no/such/folder/x.jsonl"),
        (["--ros-args", "-p", "rate:=3"], "The node listener has no parameter rate; it has"),
        (["--ros-args", "--params-file", "/no/such.yaml"], "parameter file /no/such.yaml cannot be read"),
    ],
)
def test_a_mistake_in_a_parameter_or_a_file_is_a_sentence(graph, arguments, reason):
    listener = graph.node("listener", *arguments)
    listener.wait_for_text(reason)
    assert listener.child.wait(DEADLINE) == 2
    assert not [line for line in listener.lines if "Traceback" in line]


@pytest.mark.parametrize(
    ("arguments", "reason"), [(["--duration", "0"], "must be above 0"), (["--wait"], "unrecognized arguments")]
)
def test_a_mistake_in_an_argument_is_a_sentence(capsys, arguments, reason):
    with pytest.raises(SystemExit) as caught:
        PARSERS["listener"]().parse_args(arguments)
    assert caught.value.code == 2
    assert reason in capsys.readouterr().err
