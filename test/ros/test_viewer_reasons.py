"""What the live page says of unknown labels and of what is wrong. Needs no ROS."""

import math

import pytest

from facial_attributes_ros.ros.viewer.reasons import Situation, Task, problems, rates, why_unknown

FACE = {
    "age_group": None,
    "age_group_probabilities": {"20-29": 0.45, "30-39": 0.4},
    "gender": "male",
    "gender_probabilities": {"male": 0.9, "female": 0.1},
    "emotion": None,
    "emotion_probabilities": {"happy": 0.5, "neutral": 0.4},
    "observations": 4,
}
RUNNING = {"age": Task(True, 0.3), "gender": Task(True, 0.8), "emotion": Task(True, 0.75)}


def test_why_a_label_is_unknown():
    why = why_unknown(FACE, RUNNING)
    assert why == {
        "age_group": "Most probable: 20-29, 45 %, which is not enough for this face.",
        "emotion": "Most probable: happy, 50 %; 75 % is needed.",
    }
    assert why_unknown(FACE | {"observations": 0}, RUNNING)["emotion"] == "Not estimated yet."
    assert why_unknown(FACE, RUNNING | {"emotion": Task(False, 0.75)})["emotion"] == "Switched off."
    assert why_unknown(FACE, RUNNING | {"emotion": Task(True, math.inf)})["emotion"].endswith("not calibrated for it.")
    assert why_unknown(FACE, {"age": Task(True, 0.3)})["emotion"] == "The model does not estimate it."
    assert why_unknown(FACE, {})["emotion"].startswith("Most probable: happy")


def healthy(**changes):
    values = {"state": "active", "input rate Hz": "15.0"} | changes.pop("values", {})
    diagnostics = {"level": 0, "message": "fine", "values": values} | changes.pop("diagnostics", {})
    whole = {"node": "/perception", "image_topic": "/image", "cameras": 1, "image_silence": 0.1, "faces_silence": 0.1}
    return Situation(**(whole | {"diagnostics": diagnostics, "diagnostics_silence": 0.5} | changes))


@pytest.mark.parametrize(
    ("situation", "level", "text"),
    [
        (Situation(), "error", "No perception node runs: start it with"),
        (Situation(image_topic="/image", cameras=1), "warn", "No perception node runs for this camera"),
        (healthy(diagnostics_silence=6.2), "error", "/perception has not been heard of any more for 6 s"),
        (healthy(values={"state": "inactive"}), "warn", "`ros2 lifecycle set /perception activate`"),
        (healthy(values={"state": "unconfigured"}), "warn", "`ros2 lifecycle set /perception configure`"),
        (
            healthy(
                values={"state": "unconfigured", "loading": "loading the model"}, diagnostics={"message": "Loading."}
            ),
            "warn",
            "/perception: Loading.",
        ),
        (healthy(diagnostics={"level": 2, "message": "The worker ended."}), "error", "/perception: The worker ended."),
        (healthy(cameras=0), "error", "No camera publishes on /image"),
        (healthy(image_silence=7.0), "warn", "No image received on /image for 7 s."),
        (healthy(refused=["/perception gets no images"]), "error", "/perception gets no images"),
        (healthy(error="The encoding 'x' is not one of"), "error", "The encoding 'x' is not one of"),
        (healthy(faces_silence=9.0), "warn", "No faces received from /perception for 9 s."),
    ],
)
def test_what_is_wrong_is_a_sentence(situation, level, text):
    (problem,) = problems(situation)
    assert problem["level"] == level
    assert text in problem["text"]


def test_a_node_that_loads_its_model_is_not_missing():
    loading = {
        "level": 0,
        "message": "The node is unconfigured: loading.",
        "values": {"state": "unconfigured", "loading": "1"},
    }
    (problem,) = problems(Situation(image_topic="/image", cameras=1, resting={"/perception": loading}))
    assert problem["text"] == "/perception: The node is unconfigured: loading."
    assert "No perception node" in problems(Situation())[0]["text"]


def test_nothing_is_wrong_with_a_graph_that_runs():
    assert problems(healthy()) == []
    assert problems(healthy(image_silence=None, faces_silence=None)) == []


def test_rates_have_their_unit_and_stand_where_they_stood():
    known, unknown = rates(healthy().diagnostics), rates(None)
    assert [one["title"] for one in known] == [one["title"] for one in unknown]
    assert known[0] == {"title": "Images in", "value": "15.0 Hz"}
    assert {one["value"] for one in unknown} == {"-"}
