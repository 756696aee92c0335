"""The streams of real people with which the resting face is measured, on made-up people."""

from dataclasses import replace

import numpy as np
import pytest
import resting_face_figures
from person_streams import NEUTRAL, RATE, SAD, PersonViews, Streams, everyday, make_streams, only, score

from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

KINDS = np.array(["plain", "jitter", "turn", "light"])


@pytest.fixture(scope="module")
def views():
    """Return people of two sources with two neutral images and one of every other emotion, some of them sad at rest."""
    rng, people = np.random.default_rng(0), 44
    emotions = np.tile([NEUTRAL, NEUTRAL, *range(6)], people)
    person = np.repeat(np.arange(people), 8)
    offsets = 1.5 * rng.normal(size=(people, 1, 7))
    logits = 4 * np.eye(7)[emotions][:, None] + offsets[person] + rng.normal(size=(len(emotions), 4, 7))
    sources = np.where(person % 2, "one", "two")
    return PersonViews(logits, KINDS, emotions, sources, np.char.add(sources, person.astype(str)))


def test_a_stream_shows_the_images_of_its_person_in_the_views_that_are_asked_for(views):
    person = views.people_of({"one"}, {NEUTRAL, SAD})[0]
    streams = make_streams(views, [person], np.random.default_rng(1), everyday, 60.0, kinds=("turn",))
    own = views.people == person
    for logits, emotion in zip(streams.logits[0], streams.truth[0], strict=True):
        shown = views.logits[own & (views.emotions == emotion), 2]
        assert (shown == logits).all(axis=1).any()
    assert streams.truth.shape == (1, 60 * RATE)
    assert 0.4 < (streams.truth == NEUTRAL).mean() < 0.95


def test_views_are_kept_in_a_file(views, tmp_path):
    views.write(tmp_path / "views.npz")
    found = PersonViews.read(tmp_path / "views.npz")
    np.testing.assert_array_equal(found.logits, views.logits)
    assert found.people_of({"two"}, {SAD}) == views.people_of({"two"}, {SAD})


def test_scores_count_what_settled_labels_get_right():
    truth = np.full((1, 200), NEUTRAL)
    truth[0, 100:120] = SAD
    labels = np.roll(truth, 3, axis=1)
    labels[0, 150:160] = SAD
    found = score(labels, truth, settled=0.0)
    assert found.sad == 1.0, "the second after a change is not counted"
    assert found.neutral == pytest.approx(165 / 175)
    assert found.sad_at_rest == pytest.approx(10 / 175)
    assert found.delay == pytest.approx(4 / RATE)
    assert score(truth, truth, settled=0.0).neutral == 1.0


def test_the_tables_have_a_row_for_every_filter_and_disturbance(views, monkeypatch):
    monkeypatch.setattr(resting_face_figures, "_MOST", 4)
    monkeypatch.setattr(resting_face_figures, "_FEWEST", 2)

    def shorter(views, people, rng, episodes=everyday, seconds=120.0, kinds=("plain", "jitter")):
        return make_streams(views, people, rng, episodes, 40.0, kinds)

    monkeypatch.setattr(resting_face_figures, "make_streams", shorter)
    spec = replace(ModelSpec.read(model_folder("small")), temperatures=dict.fromkeys(("age", "gender", "emotion"), 1.0))
    rows = list(resting_face_figures.comparison(views, spec, ["one"]))
    assert len(rows) == 2 + 7
    assert all(row.count("|") == rows[0].count("|") for row in rows)
    names = [row.split("|")[2].strip() for row in resting_face_figures.disturbances(views, spec, ["one"])][2:]
    assert names == [
        "none",
        "head turned",
        "lit from one side",
        "head turned after a minute",
        "light changed after a minute",
        "id jumps to another person after a minute",
    ]


def test_one_emotion_throughout_is_one_emotion(views):
    person = views.people_of({"two"}, {SAD})[0]
    streams = make_streams(views, [person], np.random.default_rng(2), only(SAD), 10.0)
    assert isinstance(streams, Streams)
    assert (streams.truth == SAD).all()
