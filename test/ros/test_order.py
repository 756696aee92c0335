import pytest

from facial_attributes_ros.ros.order import MOST_OVERTAKEN, OUT_OF_ORDER, ArrivalOrder


def kept(times):
    order = ArrivalOrder()
    return [time for time in times if not order.late(time)]


def test_images_that_were_overtaken_are_passed_over():
    assert kept([1.0, 1.1, 1.05, 1.2, 1.15, 1.18, 1.3]) == [1.0, 1.1, 1.2, 1.3]
    assert ArrivalOrder().late(5.0) == 0
    order = ArrivalOrder()
    order.late(2.0)
    assert order.late(1.92) == pytest.approx(0.08)


@pytest.mark.parametrize("length", [0.3, OUT_OF_ORDER, 3.0, 60.0])
def test_a_recording_that_starts_again_goes_on(length):
    once = [100 + k / 30 for k in range(round(30 * length))]
    assert len(kept(once * 4)) >= 4 * len(once) - 3 * MOST_OVERTAKEN


def test_stamps_that_stand_still_are_kept():
    assert kept([7.0, 7.0, 7.0]) == [7.0, 7.0, 7.0]
