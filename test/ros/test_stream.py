"""The stream of images: lost ones leave gaps, those out of order are dropped, and without frames the faces are gone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facial_attributes_ros.ros.perception.stream import MOST_REFUSED, ArrivalOrder, ImageStream, Presence


def watch(stamps, every=15):
    """The last report of a stream whose reports are asked for every so many images."""
    stream = ImageStream()
    for count, stamp in enumerate(stamps):
        stream.add(round(stamp * 1e9))
        if count % every == 0:
            report = stream.report()
    return report if count % every == 0 else stream.report()


def camera(rate, seconds=20.0, jitter=0.0, seed=0):
    ideal = 1 + np.arange(int(rate * seconds)) / rate
    return ideal + np.random.default_rng(seed).normal(0, jitter / rate, len(ideal))


@settings(deadline=None, max_examples=80)
@given(
    rate=st.sampled_from([15, 30, 60]),
    lost=st.floats(0.1, 0.7),
    jitter=st.floats(0, 0.1),
    seed=st.integers(0, 10**6),
)
def test_the_fraction_of_lost_images_is_estimated_from_what_arrives(rate, lost, jitter, seed):
    stamps = camera(rate, 100.0, jitter, seed)
    arrives = np.random.default_rng(seed + 1).random(len(stamps)) >= lost
    report = watch(stamps[arrives])
    assert report.period == pytest.approx(1 / rate, rel=0.1)
    truth = 1 - arrives[-200:].mean()
    assert report.lost_fraction == pytest.approx(truth, abs=0.25)
    # The first few, before the period is known, do not count.
    assert 0.5 * np.count_nonzero(~arrives) < report.lost <= 1.1 * np.count_nonzero(~arrives)


@settings(deadline=None, max_examples=80)
@given(rate=st.sampled_from([0.3, 1, 5, 15, 30, 60]), jitter=st.floats(0, 0.1), seed=st.integers(0, 10**6))
def test_a_camera_of_which_nothing_is_lost_is_not_accused(rate, jitter, seed):
    report = watch(camera(rate, 30.0, jitter, seed))
    assert (report.lost, report.lost_fraction) == (0, 0.0)


@pytest.mark.parametrize(
    "stamps",
    [
        np.r_[camera(30, 5), 6 + camera(15, 5)],  # changes its rate in the dark
        np.r_[camera(15, 5), 6 + camera(30, 5)],
        np.r_[camera(30, 5), 60 + camera(30, 5)],  # paused
        np.r_[camera(30, 5), camera(30, 5)],  # a recording that starts again
        np.r_[camera(30, 5), 6.3 + camera(30, 5)],  # hung once
        np.cumsum(np.random.default_rng(0).uniform(0.01, 0.3, 300)),  # has no period
        np.full(300, 7.0),
        np.zeros(300),
    ],
    ids=["slower", "faster", "pause", "again", "hung", "uneven", "still", "unstamped"],
)
def test_what_is_no_loss_is_not_told_as_one(stamps):
    report = watch(stamps)
    assert (report.lost, report.lost_fraction) == (0, 0.0)


def test_images_that_overtake_each_other_are_not_lost():
    stamps = camera(15)
    for index in range(10, len(stamps) - 1, 7):
        stamps[[index, index + 1]] = stamps[[index + 1, index]]
    assert watch(stamps).lost == 0


def test_a_loss_that_ends_is_told_no_longer_but_stays_in_the_sum():
    stamps = camera(30, 20)
    lost = np.arange(len(stamps)) % 3 == 0
    lost[300:] = False
    report = watch(stamps[~lost])
    assert report.lost_fraction == 0
    assert 80 <= report.lost <= 100


def test_faces_are_gone_after_death_after_and_the_interval_of_a_slow_camera():
    presence = Presence()
    assert not presence.over(1000.0, 1.0), "no frame has named anybody"
    for now in (0.0, 0.1, 0.2):
        presence.frame(now)
    assert not presence.over(1.2, 1.0)
    assert presence.over(1.4, 1.0)
    for now in (10.0, 15.0, 20.0):
        presence.frame(now)
    assert not presence.over(25.9, 1.0)
    assert presence.over(27.6, 1.0)


def test_one_pause_does_not_make_a_camera_slow():
    presence = Presence()
    for now in (0.0, 0.1, 0.2, 60.0, 60.1):
        presence.frame(now)
    assert presence.over(61.4, 1.0)


def kept(stamps, arrivals=None):
    """The stamps of the images that are used; they arrive a thirtieth of a second apart unless told otherwise."""
    order = ArrivalOrder()
    arrivals = [k / 30 for k in range(len(stamps))] if arrivals is None else arrivals
    return [stamp for stamp, arrived in zip(stamps, arrivals, strict=True) if not order.offset(stamp, arrived)]


def test_images_that_were_overtaken_are_refused():
    assert kept([1.0, 1.1, 1.05, 1.2, 1.15, 1.18, 1.3]) == [1.0, 1.1, 1.2, 1.3]
    order = ArrivalOrder()
    assert order.offset(5.0, 0.0) == 0
    assert order.offset(4.92, 0.01) == pytest.approx(-0.08)


@given(st.integers(3, 30), st.floats(-1000, 1000).filter(lambda ahead: abs(ahead) > 0.7), st.sampled_from([2, 15, 60]))
def test_one_odd_stamp_costs_one_image(odd, ahead, rate):
    arrivals = [k / rate for k in range(40)]
    stamps = [1000 + arrived + ahead * (k == odd) for k, arrived in enumerate(arrivals)]
    assert kept(stamps, arrivals) == [stamp for k, stamp in enumerate(stamps) if k != odd]


@pytest.mark.parametrize("ahead", [0.05, 0.1, 0.15, 0.2, 0.3, 1.0])
@pytest.mark.parametrize("rate", [10, 15, 30])
def test_a_stamp_that_is_a_little_ahead_never_makes_time_jump_back(ahead, rate):
    arrivals = [k / rate for k in range(40)]
    used = kept([1000 + arrived + ahead * (k == 20) for k, arrived in enumerate(arrivals)], arrivals)
    assert used == sorted(used)
    assert len(used) >= 36


@pytest.mark.parametrize("length", [0.3, 0.5, 3.0, 60.0])
def test_a_recording_that_starts_again_goes_on(length):
    once = [100 + k / 30 for k in range(round(30 * length))]
    assert len(kept(once * 4)) >= 4 * len(once) - 3 * MOST_REFUSED


def test_a_clock_that_is_set_goes_on_at_its_new_time():
    used = kept([k / 30 for k in range(10)] + [5000 + k / 30 for k in range(10)])
    assert len(used) == 20 - MOST_REFUSED
    assert used[-1] == 5000 + 9 / 30


@pytest.mark.parametrize("speed", [0.1, 1, 10])
def test_a_pause_and_a_recording_at_another_speed_are_in_order(speed):
    stamps = [*(k / 15 for k in range(30)), *(60 + k / 15 for k in range(30))]
    assert len(kept(stamps, [stamp / speed for stamp in stamps])) >= 60 - MOST_REFUSED * (speed > 1)


def test_images_that_arrive_in_a_burst_are_in_order():
    stamps = [k / 5 for k in range(20)]
    assert kept(stamps, [2.0 if 5 <= k < 10 else stamp for k, stamp in enumerate(stamps)]) == stamps


def test_stamps_that_stand_still_are_kept():
    assert kept([7.0, 7.0, 7.0]) == [7.0, 7.0, 7.0]
