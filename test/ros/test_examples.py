"""The example nodes run; those of the dialogue are in `test_dialogue_examples`."""

import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from facial_attributes_ros.attributes import AGE, EMOTION, GENDER, LABELS, UNKNOWN

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TURN = EXAMPLES / "06_turn_to_person_node.py"


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


turn = loaded(TURN)


MESSAGE = {
    "id": "fabc",
    "roi": {"width": 90, "height": 100},
    "age": 7.0,
    "age_group": LABELS[AGE].index("3-9"),
    "gender": UNKNOWN,
    "emotion": LABELS[EMOTION].index("sad"),
    "observations": 5,
}


def send_faces(peer, *faces):
    header = {"frame_id": "eye", "stamp": {"sec": 1700000000, "nanosec": 5}}
    message = {"header": header, "image_width": 640, "image_height": 480, "model": "small", "faces": list(faces)}
    peer.publish(message, topic="faces", kind="facial_attributes_ros/FaceAttributesArray")


def test_the_listener_logs_who_comes_changes_and_goes(shared_graph):
    listener, peer = shared_graph.script(EXAMPLES / "03_listener_node.py"), shared_graph.peer()
    send_faces(peer, MESSAGE)
    listener.wait_for_text("fabc: age 3-9, gender unknown, emotion sad")
    send_faces(peer, MESSAGE)
    send_faces(peer, MESSAGE | {"gender": LABELS[GENDER].index("female")})
    listener.wait_for_text("fabc: age 3-9, gender female, emotion sad")
    send_faces(peer)
    listener.wait_for_text("fabc: gone")
    assert listener.interrupt() == 0
    assert len([line for line in listener.lines if "fabc" in line]) == 3


@pytest.mark.parametrize(
    ("bearing", "pan", "tilt"),
    [((0, 0, 1), 0, 0), ((1, 0, 1), -45, 0), ((-1, 0, 1), 45, 0), ((0, 1, 1), 0, -45), ((1, -1, 0), -90, 45)],
)
def test_the_head_turns_to_where_the_face_is(bearing, pan, tilt):
    found = turn.pan_and_tilt(SimpleNamespace(**dict(zip("xyz", bearing, strict=True))))
    assert [math.degrees(angle) for angle in found] == pytest.approx([pan, tilt])


def test_a_head_that_follows_its_camera_comes_to_rest_at_the_person():
    left = math.radians(40)
    for _ in range(20):
        left -= turn.step(left)
    assert 0 < left < turn.STILL
    assert turn.step(left) == 0


def test_the_person_is_kept_and_else_the_one_who_faces_the_robot_from_near():
    def pose(name, distance, facing):
        return SimpleNamespace(id=name, distance=distance, facing=facing)

    near, far, away, unknown = pose("a", 1, 0.9), pose("b", 3, 0.9), pose("c", 1, 0.0), pose("d", 1, math.nan)
    assert turn.chosen([far, away, unknown, near], "") is near
    assert turn.chosen([near, away], "c") is away
    assert turn.chosen([near], "gone") is near
    assert turn.chosen([], "c") is None


def test_the_turning_node_logs_whom_it_looks_at_and_the_command(shared_graph):
    node, peer = shared_graph.script(TURN), shared_graph.peer()
    face = {"id": "fabc", "bearing": {"x": -0.5, "y": -0.1, "z": 0.866}, "distance": 1.5, "facing": 0.9}
    kind = "facial_attributes_ros/FacePoseArray"
    peer.publish({"faces": [face]}, topic="faces/pose", kind=kind)
    assert node.wait_for_text("Looking at fabc: +30° to the left, +6° up, 1.5 m")
    assert node.wait_for_text("pan +9.0°, tilt +1.7°")
    assert node.interrupt() == 0
