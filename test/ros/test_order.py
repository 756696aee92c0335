import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.ros.perception.order import MOST_REFUSED, ArrivalOrder


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
