"""How the learning rate goes."""

import pytest
import torch
from facial_attributes_training.fit.schedule import Schedule
from facial_attributes_training.recipe.schema import ScheduleRecipe


def schedule(**fields: object) -> Schedule:
    weights = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1.0, 0.1)]
    return Schedule(torch.optim.SGD(weights), ScheduleRecipe.model_validate(fields), epochs=10)


def rates(found: Schedule, epoch: float) -> list[float]:
    found.before_step(epoch)
    return [group["lr"] for group in found.optimizer.param_groups]


def test_the_rates_rise_in_the_warm_up_and_then_stay():
    found = schedule(name="constant", warmup_epochs=2.0)
    assert rates(found, 0.5) == pytest.approx([0.25, 0.025])
    assert rates(found, 1.0) == pytest.approx([0.5, 0.05])
    assert rates(found, 2.0) == rates(found, 7.0) == pytest.approx([1.0, 0.1])
    assert 0 < rates(found, 0.0)[0] < 0.01


def test_the_cosine_falls_from_the_warm_up_to_nothing_at_the_end():
    found = schedule(name="cosine", warmup_epochs=2.0)
    assert rates(found, 2.0)[0] == pytest.approx(1.0)
    assert rates(found, 6.0)[0] == pytest.approx(0.5)
    assert rates(found, 10.0)[0] == pytest.approx(0.0)


def test_the_rates_drop_on_a_plateau_and_only_there():
    found = schedule(name="plateau", patience=2, factor=0.5)
    for loss in (1.0, 0.9, 0.9, 0.95):
        found.after_epoch(loss)
    assert rates(found, 4.0)[0] == 1.0
    found.after_epoch(0.9)
    assert rates(found, 5.0) == pytest.approx([0.5, 0.05])
    for loss in (0.8, 0.85, 0.85):
        found.after_epoch(loss)
    assert rates(found, 8.0)[0] == 0.5, "a better loss starts the count anew"
    found.after_epoch(0.85)
    assert rates(found, 9.0)[0] == 0.25


def test_a_resumed_schedule_resumes_where_it_stopped():
    found, resumed = (schedule(name="plateau", patience=1, factor=0.5) for _ in range(2))
    for loss in (1.0, 1.0, 1.0, 1.0):
        found.after_epoch(loss)
    resumed.load_state_dict(found.state_dict())
    for each in (found, resumed):
        each.after_epoch(1.0)
    assert rates(found, 5.0) == rates(resumed, 5.0) == pytest.approx([0.25, 0.025])
