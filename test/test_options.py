from dataclasses import fields

import numpy as np
import pytest

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.options import (
    DetectorOptions,
    FusionOptions,
    PipelineOptions,
    SchedulingOptions,
    TrackingOptions,
)
from facial_attributes_ros.setting import Setting, settings_of

CLASSES = (DetectorOptions, TrackingOptions, FusionOptions, SchedulingOptions, PipelineOptions)
SETTINGS = [(options, name, one) for options in CLASSES for name, one in settings_of(options).items()]
NUMBERS = [row for row in SETTINGS if not isinstance(row[2].default, bool | str)]


def each(rows):
    return pytest.mark.parametrize(("options", "name", "one"), rows, ids=lambda value: str(getattr(value, "name", "")))


@each(SETTINGS)
def test_a_setting_is_named_described_and_its_default_is_in_its_range(options, name, one):
    assert one.name.partition(".")[0] in {"camera", "detection", "tracking", "fusion", "scheduling"}
    assert one.description.endswith(".")
    assert isinstance(one.default, bool | str) or one.low < one.high
    assert getattr(options(), name) == one.default


@each(NUMBERS)
def test_the_ends_of_a_range_are_allowed_and_what_lies_beyond_is_a_sentence_with_the_name(options, name, one):
    kind = type(one.default)
    for value in (one.low, one.high):
        assert getattr(options(**{name: kind(value)}), name) == value
    for value in (one.low - 1, one.high + 1, float("nan"), "3", True):
        with pytest.raises(UserError, match=f"^{one.name} takes a .*number.* from {one.low:g}"):
            options(**{name: value})


def test_every_field_of_a_group_is_a_setting_and_no_two_have_one_name():
    for options in CLASSES[:-1]:
        assert list(settings_of(options)) == [item.name for item in fields(options)]
    assert len({one.name for _, _, one in SETTINGS}) == len(SETTINGS)


def test_numbers_of_numpy_are_numbers_and_fractions_no_whole_numbers():
    assert TrackingOptions(gate=np.float32(4)).gate == 4
    assert SchedulingOptions(max_batch=np.int64(4)).max_batch == 4
    with pytest.raises(UserError, match="takes a whole number from 1 to 1024, not 4.0"):
        SchedulingOptions(max_batch=4.0)


def test_a_task_that_there_is_not_is_a_sentence():
    with pytest.raises(UserError, match="There is no task height"):
        PipelineOptions(tasks=("age", "height"))


@pytest.mark.parametrize(
    ("one", "good", "bad"),
    [
        (Setting("count", 3, "A count.", low=1, high=5), "4", ["4.0", "6", "four", ""]),
        (Setting("rate", 3.0, "A rate.", low=1, high=5, unit="Hz"), "4", ["5.1", "nan", "inf", "x"]),
    ],
)
def test_a_number_is_read_from_a_text(one, good, bad):
    assert one.parse(good) == 4
    for text in bad:
        with pytest.raises(UserError, match=f"^{one.name} takes a "):
            one.parse(text)


def test_the_text_of_a_setting_names_its_unit():
    assert Setting("rate", 3.0, "A rate.", unit="Hz").text == "A rate. Unit: Hz."
    assert Setting("rate", 3.0, "A rate.").text == "A rate."
