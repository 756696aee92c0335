"""What the node says of its health for what has happened."""

from types import SimpleNamespace

import pytest

from facial_attributes_ros.ros import diagnostics
from facial_attributes_ros.ros.diagnostics import ERROR, OK, WARN, Report, Statistics, assess


def report(counts=None, latencies=(), silence=0.0, faces=0, timings=None):
    counts = {"in": 15, "out": 15} if counts is None else counts
    return Report(1.0, counts, counts, tuple(latencies), timings or {}, faces, silence)


@pytest.mark.parametrize(
    ("events", "level", "words"),
    [
        ({"latencies": [0.05] * 15, "faces": 2}, OK, "15.0 images/s in, 15.0 arrays/s out, faces: 2"),
        ({"silence": 1.9, "faces": None}, OK, "faces: ?"),
        ({"silence": 2.5}, WARN, "No image has come for 2 s"),
        ({"latencies": [0.4] * 15}, OK, "images/s"),
        ({"latencies": [0.6] * 15}, WARN, "0.6 s after"),
        ({"latencies": [2.1] * 15}, ERROR, "2.1 s after"),
        ({"latencies": [1.7e9]}, ERROR, "not of this clock"),
        ({"latencies": [-1.7e9]}, ERROR, "not of this clock"),
        ({"counts": {"in": 5, "bad": 5}}, WARN, "could be read"),
        ({"counts": {"in": 5, "out": 4, "failed": 1}}, ERROR, "failed"),
    ],
)
def test_the_level_follows_what_happened(events, level, words):
    health = assess(report(**events), "active")
    assert health.level == level
    assert words in health.message


def test_a_node_that_is_not_active_does_not_miss_images_but_says_why_it_was_not_configured():
    assert assess(report(silence=60), "inactive").level == OK
    health = assess(report(silence=60), "unconfigured", "The model is gone.")
    assert (health.level, health.message) == (ERROR, "The model is gone.")


def test_rates_totals_latencies_and_timings_are_among_the_values():
    statistics = Statistics()
    for _ in range(4):
        statistics.count("in")
    statistics.count("skipped")
    for latency in (0.010, 0.020, 0.030):
        statistics.published(2, latency, {"detection": 0.004})
    values = assess(statistics.report(), "active").values
    assert values["images passed over"] == "1"
    assert values["latency p50 ms"] == "20.0"
    assert values["detection ms"] == "4.0"
    assert values["faces"] == "2"
    assert float(values["images in per second"]) > 0
    again = statistics.report()
    assert again.counts.get("in", 0) == 0
    assert again.totals["in"] == 4
    assert assess(again, "active").values["latency p50 ms"] == ""


def test_faces_and_images_are_known_for_two_seconds_only(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(diagnostics, "time", SimpleNamespace(monotonic=lambda: now[0]))
    statistics = Statistics()
    assert assess(statistics.report(), "active").values["faces"] == ""
    statistics.count("in")
    statistics.published(3, 0.05, {})
    for later, faces, level in ((1.0, "3", OK), (1.0, "3", OK), (0.5, "", WARN)):
        now[0] += later
        health = assess(statistics.report(), "active")
        assert (health.values["faces"], health.level) == (faces, level)
    # An array that comes late is of a scene that was.
    statistics.published(1, 3.0, {})
    assert assess(statistics.report(), "active").values["faces"] == ""
    statistics.count("in")
    statistics.published(1, 0.05, {})
    assert assess(statistics.report(), "active").values["faces"] == "1"
    statistics.restart()
    assert assess(statistics.report(), "active").values["faces"] == ""
