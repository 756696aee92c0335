"""What the node says of its health for what has happened."""

from types import SimpleNamespace

import pytest

from facial_attributes_ros.ros.perception import statistics as statistics_module
from facial_attributes_ros.ros.perception.health import ERROR, OK, WARN, Situation, assess
from facial_attributes_ros.ros.perception.statistics import Report, Statistics
from facial_attributes_ros.ros.perception.stream import StreamReport

ACTIVE = Situation("active", topic="/eye/image")


def report(counts=None, latencies=(), **details):
    counts = {"received": 15, "published": 15} if counts is None else counts
    return Report(1.0, counts, counts, counts, tuple(latencies), **details)


def silent(seconds, **details):
    return report({}, silence=seconds, **details)


@pytest.mark.parametrize(
    ("events", "level", "words"),
    [
        (report(latencies=[0.05] * 15, faces=2), OK, "received at 15.0 Hz, messages published at 15.0 Hz, faces: 2"),
        (report(silence=1.9, faces=None), OK, "faces: ?"),
        (silent(2.5), WARN, "No image received for 2 s: check the topic /eye/image"),
        (silent(2.5, unanswered=2.5), WARN, "No image"),
        (silent(2.5, waiting=2.4), ERROR, "waiting for its attributes for 2 s"),
        (report(latencies=[0.4] * 15), OK, "published at"),
        (report(latencies=[0.6] * 15), WARN, "0.6 s after"),
        (report(latencies=[2.1] * 15), ERROR, "2.1 s after"),
        (report(waiting=0.7), WARN, "0.7 s after"),
        (report({"received": 15}, waiting=2.1), ERROR, "stuck"),
        (report({"received": 15}, unanswered=2.1), ERROR, "nothing was published for 2 s"),
        (report(unanswered=1.9), OK, "published at"),
        (report(latencies=[1.7e9]), ERROR, "not of this clock"),
        (report(latencies=[-1.7e9]), ERROR, "not of this clock"),
        (report({"received": 20, "published": 19, "invalid": 1}), OK, "published at"),
        (report({"received": 10, "published": 8, "invalid": 2}), WARN, "2 of 10 images are invalid"),
        (report({"received": 10, "published": 1, "invalid": 9}), ERROR, "9 of 10 images are invalid"),
        (report({"received": 5, "invalid": 5}, reasons={"invalid": "It is cut."}), ERROR, "It is cut."),
        (report({"received": 5, "published": 4, "failed": 1}), ERROR, "failed"),
        (report({"received": 5, "published": 5, "model": 1}, reasons={"model": "It is NaN."}), ERROR, "It is NaN."),
        (
            report({"received": 5, "published": 4, "restarts": 1}, reasons={"restarts": "a panic"}),
            ERROR,
            "ended (a panic)",
        ),
        (report(still=2.5), ERROR, "have not moved for 2 s"),
        (report(stream=StreamReport(0.03, 3, 0.04)), OK, "published at"),
        (report(stream=StreamReport(0.03, 30, 0.33)), WARN, "33 % of the camera's images are lost"),
    ],
)
def test_the_level_follows_what_happened(events, level, words):
    health = assess(events, ACTIVE)
    assert words in health.message
    assert health.level == level


def test_both_cures_for_lost_images_are_named_as_they_are_spelt():
    message = assess(report(stream=StreamReport(0.03, 30, 0.33)), ACTIVE).message
    assert "config/fastdds_shm.xml" in message
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in message
    assert "-p qos_overrides./eye/image.subscription.reliability:=reliable" in message


def test_a_clock_that_stands_still_is_an_error_while_images_come_and_nothing_else_is_said_of_stamps():
    still = Situation("active", clock_still=2.5)
    health = assess(report(still=2.5, latencies=[-1.7e9]), still)
    assert health.level == ERROR
    assert all(word in health.message for word in ("2 s", "use_sim_time", "/clock"))
    assert "stamps" not in health.message
    assert "/clock" not in assess(silent(2.5), still).message, "a recording that is paused"


def test_everything_that_is_wrong_is_said_with_the_worst_first():
    health = assess(report({"received": 10, "published": 8, "invalid": 2, "failed": 1}, latencies=[0.6]), ACTIVE)
    assert health.level == ERROR
    assert health.message.index("failed") < health.message.index("invalid") < health.message.index("0.6 s")


def test_a_node_that_is_not_active_misses_no_images_but_says_why_a_transition_failed():
    assert assess(silent(60), Situation("inactive")).level == OK
    health = assess(silent(60), Situation("inactive", "The topic is gone."))
    assert (health.level, health.message) == (ERROR, "The topic is gone.")


def test_a_node_that_was_shut_down_is_not_well():
    health = assess(silent(1), Situation("finalized"))
    assert health.level == WARN
    assert "start its process again" in health.message


@pytest.mark.parametrize(("seconds", "level"), [(12.0, OK), (400.0, WARN)])
def test_a_node_that_is_configuring_says_the_stage_and_does_not_wait_for_ever_in_silence(seconds, level):
    health = assess(silent(1), Situation("configuring", None, "loading the model (20 of 90 MB)", seconds))
    assert health.level == level
    assert "configuring: loading the model (20 of 90 MB)" in health.message
    assert health.values["loading"] == "loading the model (20 of 90 MB)"


@pytest.fixture
def now(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(statistics_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_rates_totals_latencies_and_timings_are_among_the_values():
    statistics = Statistics()
    for stamp in range(1, 5):
        statistics.arrived(stamp, 0)
    statistics.count("dropped")
    for latency in (0.010, 0.020, 0.030):
        statistics.published(2, latency, {"detection": 0.004})
    values = assess(statistics.report(), ACTIVE).values
    assert values["images dropped"] == "1"
    assert values["images received"] == "4"
    assert values["latency p50 ms"] == "20.0"
    assert values["detection ms"] == "4.0"
    assert values["faces"] == "2"
    assert float(values["input rate Hz"]) > 0
    again = statistics.report()
    assert again.counts.get("received", 0) == 0
    assert again.totals["received"] == 4
    assert assess(again, ACTIVE).values["latency p50 ms"] == ""


def test_faces_and_images_are_known_for_two_seconds_only(now):
    statistics = Statistics()
    assert assess(statistics.report(), ACTIVE).values["faces"] == ""
    statistics.processed(statistics.arrived(1, 0))
    statistics.published(3, 0.05, {})
    for later, faces, level in ((1.0, "3", OK), (1.0, "3", OK), (0.5, "", WARN)):
        now[0] += later
        health = assess(statistics.report(), ACTIVE)
        assert (health.values["faces"], health.level) == (faces, level)
    # An array that comes late is of a scene that was.
    statistics.published(1, 3.0, {})
    assert assess(statistics.report(), ACTIVE).values["faces"] == ""
    statistics.arrived(2, 0)
    statistics.published(1, 0.05, {})
    assert assess(statistics.report(), ACTIVE).values["faces"] == "1"
    statistics.restart()
    assert assess(statistics.report(), ACTIVE).values["faces"] == ""


def test_the_oldest_image_without_an_answer_is_the_one_in_work_and_then_the_newest(now):
    statistics = Statistics()
    first = statistics.arrived(1, 0)
    now[0] += 1
    second = statistics.arrived(2, 0)
    now[0] += 1
    assert statistics.report().waiting == 2
    statistics.processed(first)
    assert statistics.report().waiting == 1
    statistics.processed(second)
    assert statistics.report().waiting == 0


def test_nothing_came_out_since_the_first_image_after_the_last_array_and_pauses_do_not_count(now):
    statistics = Statistics()
    for stamp in range(30):
        statistics.processed(statistics.arrived(stamp, 0))
        now[0] += 0.1
    assert statistics.report().unanswered == pytest.approx(3)
    statistics.published(0, 0.0, {})
    assert statistics.report().unanswered == 0
    statistics.arrived(31, 0)
    now[0] += 60
    statistics.arrived(32, 0)
    assert statistics.report().unanswered == 0


@pytest.mark.parametrize(("step", "clock", "still"), [(0, 1, 3.0), (1, 0, 0.0)])
def test_stamps_that_stand_still_while_images_come_are_noticed(now, step, clock, still):
    statistics = Statistics()
    for count in range(31):
        statistics.arrived(50 + step * count, clock * count)
        now[0] += 0.1
    assert statistics.report().still == pytest.approx(still)
    now[0] += 60
    statistics.arrived(50 + step * 31, 0)
    assert statistics.report().still == 0, "a camera that begins again after a pause"


def test_images_without_stamps_have_the_clocks_time(now):
    statistics = Statistics()
    for count in range(31):
        statistics.arrived(0, count)
        now[0] += 0.1
    assert statistics.report().still == 0


def test_what_happens_once_is_told_for_some_seconds_with_its_reason(now):
    statistics = Statistics()
    statistics.count("restarts", "a panic")
    for second in range(8):
        found = assess(statistics.report(), Situation("active"))
        assert ("ended (a panic)" in found.message) == (second <= statistics_module.RECENT)
        now[0] += 1
    assert found.values["worker restarts"] == "1"


def test_a_gpu_that_is_there_and_not_used_is_a_warning():
    sentence = "There is an NVIDIA GPU, and it is not used, since torch is not installed: pip install '.[torch]'."
    health = assess(Statistics().report(), Situation("active", unused_gpu=sentence))
    assert health.level == WARN
    assert sentence in health.message
