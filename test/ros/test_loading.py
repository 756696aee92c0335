"""Loading beside everything else: what comes of it, and what it says meanwhile."""

import logging
import re
import threading

import pytest

from facial_attributes_ros.progress import announce
from facial_attributes_ros.ros.loading import LIBRARY, Loading

DEADLINE = 30.0


def test_the_stage_is_said_with_what_the_library_announces():
    begun, go_on = threading.Event(), threading.Event()

    def work(stages):
        stages.enter(2, 3, "loading the model")
        announce("  20 of 90 MB")
        begun.set()
        assert go_on.wait(DEADLINE)
        stages.enter(3, 3, "warming up")
        return 42

    loading = Loading(work)
    assert begun.wait(DEADLINE)
    assert re.fullmatch(r"loading the model \(step 2 of 3, \d+ s so far\): 20 of 90 MB", loading.stages.text)
    go_on.set()
    assert loading.result() == 42
    assert loading.stages.text.startswith("warming up (step 3 of 3, ")
    assert loading.stages not in logging.getLogger(LIBRARY).handlers


def test_what_is_raised_is_raised_again_and_the_end_is_told_either_way():
    done = threading.Event()

    def work(_):
        raise KeyError("no such model")

    loading = Loading(work, done.set)
    with pytest.raises(KeyError, match="no such model"):
        loading.result()
    assert done.wait(DEADLINE)
