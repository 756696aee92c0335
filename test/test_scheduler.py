import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.attributes import Detection
from facial_attributes_ros.options import SchedulingOptions
from facial_attributes_ros.scheduler import Candidate, Scheduler, carry_over
from facial_attributes_ros.tracking.tracker import Track

RATE = 10.0


def waiting(seconds, estimated=True, uncertainty=0.5):
    return Candidate(estimated, seconds, seconds * RATE, uncertainty)


def scheduler(batch, **options):
    made = Scheduler(SchedulingOptions(budget=0.01, **options))
    made.note_cost(0.01, batch)
    assert made.batch == batch
    return made


def test_new_faces_first_then_the_most_uncertain_then_the_oldest():
    faces = [waiting(0.3), waiting(0.4), waiting(0.2, uncertainty=0.9), waiting(0.0, estimated=False)]
    assert scheduler(4).choose(faces) == [3, 2, 1, 0]


def test_who_has_waited_too_long_takes_turns_with_new_faces():
    faces = [waiting(0.0, estimated=False), waiting(1.1), waiting(1.5), waiting(0.2, estimated=False)]
    assert scheduler(4).choose(faces) == [3, 2, 0, 1]
    one_a_frame = scheduler(1)
    assert [one_a_frame.choose(faces) for _ in range(4)] == [[3], [2], [3], [2]]


@pytest.mark.parametrize("others", [10, 60])
def test_a_newcomer_is_estimated_soon_however_many_wait(others):
    made, last = scheduler(1), np.zeros(others)
    for frame in range(200):
        faces = [waiting(frame / 10 - seen) for seen in last]
        for index in made.choose(faces):
            last[index] = frame / 10
    newcomer = waiting(0.0, estimated=False)
    assert any(made.choose([*faces, newcomer]) == [others] for _ in range(2))


@pytest.mark.parametrize(("overdue", "late"), [(0.2, -0.1), (1.0, 0.0), (1.6, 0.6), (2.5, 0.0)])
def test_lateness_is_carried_over_but_missed_intervals_are_not(overdue, late):
    assert carry_over(overdue) == pytest.approx(late)


def test_faces_not_yet_due_are_left_alone():
    assert scheduler(8).choose([waiting(0.05), waiting(0.12)]) == [1]


@pytest.mark.parametrize(("cost", "batch"), [(1.0, 1), (0.01, 3), (1e-6, 32)])
def test_the_batch_follows_the_measured_cost(cost, batch):
    made = Scheduler(SchedulingOptions(budget=0.03))
    for _ in range(30):
        made.note_cost(cost, 1)
    assert made.batch == batch


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_of_thirty_faces_nobody_starves(batch):
    """Thirty faces, half of them for ever uncertain, a newcomer every half a second, 15 frames a second."""
    made, rng = scheduler(batch), np.random.default_rng(0)
    last, uncertain, known = np.zeros(30), np.repeat([0.1, 0.9], 15), np.zeros(30, bool)
    oldest = 0.0
    for frame in range(15 * 60):
        now = frame / 15
        if frame % 8 == 0:
            newcomer = rng.integers(30)
            last[newcomer], known[newcomer] = now, False
        faces = [waiting(now - last[index], known[index], uncertain[index]) for index in range(30)]
        for index in made.choose(faces):
            last[index], known[index] = now, True
        oldest = max(oldest, now - last.min())
    rounds = 30 / batch / 15
    assert oldest <= made.options.max_wait + 2 * rounds


def track(name, born=0.0):
    return Track(name, Detection(np.ones(4, np.float32), 0.9), born, True)


def test_a_track_is_due_at_once_and_then_at_the_rate_of_its_fastest_task():
    made, tracks = scheduler(4), [track("fa"), track("fb")]
    assert made.due(tracks, ("age", "emotion"), 0.0, [1, 1]) == tracks
    made.note(tracks[:1], ("age", "emotion"), 0.0)
    assert made.due(tracks, ("age", "emotion"), 0.05, [0.5, 1]) == tracks[1:]
    assert made.due(tracks[:1], ("age", "emotion"), 0.1, [0.5]) == tracks[:1]
    assert made.due(tracks[:1], ("age",), 0.1, [0.5]) == []
    assert made.due(tracks, (), 9.0, [0.5, 1]) == []


def test_a_task_that_was_never_estimated_makes_a_track_new():
    made, tracks = scheduler(4), [track("fa"), track("fb")]
    made.note(tracks, ("age",), 0.0)
    made.note(tracks[1:], ("emotion",), 0.0)
    assert made.due(tracks, ("age", "emotion"), 0.05, [0.5, 0.5]) == tracks[:1]


def test_a_track_that_is_gone_is_forgotten():
    made, one = scheduler(4), track("fa")
    made.note([one], ("age",), 0.0)
    made.keep({"fa"})
    assert made.due([one], ("age",), 0.1, [0.5]) == []
    made.keep(())
    assert made.due([one], ("age",), 0.1, [0.5]) == [one]


@given(st.floats(5, 60), st.lists(st.floats(-0.2, 0.2), min_size=10, max_size=10))
def test_the_mean_rate_is_met_at_any_frame_rate_above_it(frame_rate, jitter):
    """Ten seconds of age estimates at two a second."""
    made, one, count = scheduler(4), track("fa"), 0
    for frame in range(int(10 * frame_rate)):
        stamp = (1 + frame + jitter[frame % 10]) / frame_rate
        if made.due([one], ("age",), stamp, [0.5]):
            made.note([one], ("age",), stamp)
            count += 1
    assert abs(count - 20) <= 2
