import numpy as np
import pytest

from facial_attributes_ros.options import SchedulingOptions
from facial_attributes_ros.scheduler import Candidate, Scheduler, delay

RATE = 10.0


def waiting(seconds, estimated=True, uncertainty=0.5):
    return Candidate(estimated, seconds, seconds * RATE, uncertainty)


def scheduler(batch, **options):
    made = Scheduler(SchedulingOptions(budget=0.01, **options))
    made.spent(0.01, batch)
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
def test_a_newcomer_is_looked_at_soon_however_many_wait(others):
    made, last = scheduler(1), np.zeros(others)
    for frame in range(200):
        faces = [waiting(frame / 10 - seen) for seen in last]
        for index in made.choose(faces):
            last[index] = frame / 10
    newcomer = waiting(0.0, estimated=False)
    assert any(made.choose([*faces, newcomer]) == [others] for _ in range(2))


@pytest.mark.parametrize(("overdue", "late"), [(0.2, -0.1), (1.0, 0.0), (1.6, 0.6), (2.5, 0.0)])
def test_what_a_look_is_late_is_made_up_for_but_not_what_was_missed(overdue, late):
    assert delay(overdue) == pytest.approx(late)


def test_faces_not_yet_due_are_left_alone():
    assert scheduler(8).choose([waiting(0.05), waiting(0.12)]) == [1]


@pytest.mark.parametrize(("cost", "batch"), [(1.0, 1), (0.01, 3), (1e-6, 32)])
def test_the_batch_follows_the_measured_cost(cost, batch):
    made = Scheduler(SchedulingOptions(budget=0.03))
    for _ in range(30):
        made.spent(cost, 1)
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
