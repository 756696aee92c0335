"""The training loop is measured in turns with a bare loop, and leaves nothing behind."""

import pytest

from facial_attributes_ros.bench import training as bench_training
from facial_attributes_ros.bench.training import bench_training as measure
from facial_attributes_ros.errors import UserError


def test_both_loops_are_measured_and_the_runs_folder_stays_empty(make_recipe, monkeypatch):
    monkeypatch.setattr(bench_training, "LOOP_STEPS", 3)
    monkeypatch.setattr(bench_training, "BARE_STEPS", 2)
    recipe = make_recipe("timed", epochs=50)
    seconds = []
    found = measure(recipe, 0.2, seconds.append)
    assert found.batch == 8
    assert found.loop > 0
    assert found.bare > 0
    assert found.ratio == pytest.approx(found.loop / found.bare)
    assert found.steps >= 3
    assert sum(seconds) > 0
    assert not recipe.folder.exists()


def test_a_run_that_ends_too_soon_is_reported(make_recipe):
    with pytest.raises(UserError, match="ended before anything was measured"):
        measure(make_recipe("short", epochs=1), 5.0)
