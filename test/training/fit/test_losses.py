import pytest
import torch
import torch.nn.functional as F
from facial_attributes_training.fit.losses import (
    CombinedLoss,
    inverse_frequencies,
    known_rows,
    masked_cross_entropy,
    masked_expression_error,
    smoothed_targets,
)
from facial_attributes_training.recipe.schema import LossRecipe

from facial_attributes_ros.attributes import MISSING
from facial_attributes_ros.models.expression import EXPRESSION

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.3], [-1.0, 3.0]])
COUNTS = {"gender": torch.tensor([3, 1]), "emotion": torch.ones(7)}


def test_samples_without_a_label_do_not_count():
    labels = torch.tensor([0, MISSING, 0])
    expected = F.cross_entropy(LOGITS[[0, 2]], labels[[0, 2]], reduction="sum")
    torch.testing.assert_close(masked_cross_entropy(LOGITS, labels), expected)


def test_no_labels_give_zero_with_a_gradient():
    logits = LOGITS.clone().requires_grad_()
    loss = masked_cross_entropy(logits, torch.full((3,), MISSING))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_class_weights_are_one_in_the_mean_over_samples():
    weights = inverse_frequencies(torch.tensor([30, 10, 0]))
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2.0, 0.0]))
    loss = masked_cross_entropy(LOGITS, torch.tensor([0, 1, 1]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS[:1], torch.tensor([0])))


def test_an_age_beside_the_label_costs_less_than_a_far_one():
    targets = smoothed_targets(9, everywhere=0.09, neighbours=0.2)
    torch.testing.assert_close(targets.sum(1), torch.ones(9))
    torch.testing.assert_close(targets[4, 3:6], 0.91 * torch.tensor([0.1, 0.8, 0.1]) + 0.01)
    torch.testing.assert_close(targets[0, :2], 0.91 * torch.tensor([0.9, 0.1]) + 0.01)
    sure = 5 * torch.eye(9)
    beside, far = (masked_cross_entropy(sure[[index]], torch.tensor([4]), targets=targets) for index in (5, 8))
    assert beside < far


def test_expressions_count_where_a_row_has_them_in_units_of_their_spread():
    outputs = torch.tensor([[0.5, 1.0], [0.2, 0.0]], requires_grad=True)
    targets = torch.tensor([[0.1, 1.5], [float("nan")] * 2])
    assert known_rows(targets).tolist() == [True, False]
    loss = masked_expression_error(outputs, targets, torch.tensor([0.1, 1.0]))
    expected = (F.smooth_l1_loss(torch.tensor(4.0), torch.tensor(0.0)) + 0.5**2 / 2) / 2
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert outputs.grad is not None
    assert outputs.grad[0].abs().min() > 0
    assert torch.equal(outputs.grad[1], torch.zeros(2))


def test_the_loss_of_expressions_is_added_to_those_of_the_tasks():
    loss = CombinedLoss(("gender", EXPRESSION), LossRecipe(expression=2.0), COUNTS, deviations=torch.ones(2))
    labels = {"gender": torch.tensor([0, 1, 0]), EXPRESSION: torch.full((3, 2), 0.4)}
    sums = loss.sums({"gender": LOGITS, EXPRESSION: torch.zeros(3, 2)}, labels)
    torch.testing.assert_close(sums[0], masked_cross_entropy(LOGITS, labels["gender"]))
    torch.testing.assert_close(sums[1], torch.tensor(2 * 3 * 0.4**2 / 2))


def test_smoothing_everywhere_is_label_smoothing():
    labels = torch.tensor([0, MISSING, 1])
    expected = F.cross_entropy(LOGITS[[0, 2]], labels[[0, 2]], reduction="sum", label_smoothing=0.1)
    found = masked_cross_entropy(LOGITS, labels, targets=smoothed_targets(2, 0.1))
    torch.testing.assert_close(found, expected)


def test_uncertainty_is_learned_towards_the_size_of_each_loss():
    loss = CombinedLoss(("gender", "emotion"), LossRecipe(), COUNTS)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        loss(torch.tensor([4.0, 0.5]), torch.tensor([1, 1])).backward()
        optimizer.step()
    # d/ds (exp(-s) L + s / 2) = 0 at s = log 2 L
    torch.testing.assert_close(loss.log_variances.exp(), torch.tensor([8.0, 1.0]), rtol=0.05, atol=0.05)


def test_running_means_make_losses_alike():
    loss = CombinedLoss(("gender", "emotion"), LossRecipe(combine="running-means"), COUNTS)
    for _ in range(100):
        loss.note(torch.tensor([4.0, 0.5]), torch.tensor([1, 1]))
    assert loss(torch.tensor([4.0, 0.5]), torch.tensor([1, 1])).item() == pytest.approx(2)


@pytest.mark.parametrize("combine", ["uncertainty", "running-means", "sum"])
def test_an_absent_task_adds_nothing(combine):
    loss = CombinedLoss(("gender", "emotion"), LossRecipe(combine=combine), COUNTS)
    loss.note(torch.tensor([2.0, 0.0]), torch.tensor([4, 0]))
    both = loss(torch.tensor([8.0, 0.0]), torch.tensor([4, 0]))
    alone = CombinedLoss(("gender",), LossRecipe(combine=combine), COUNTS)
    alone.note(torch.tensor([2.0]), torch.tensor([4]))
    torch.testing.assert_close(both, alone(torch.tensor([8.0]), torch.tensor([4])))


@pytest.mark.parametrize("combine", ["uncertainty", "running-means", "sum"])
def test_the_parts_of_a_step_add_up_to_the_step(combine):
    loss = CombinedLoss(("gender",), LossRecipe(combine=combine), COUNTS)
    counts = torch.tensor([6])
    parts = loss(torch.tensor([2.0]), counts, 0.5) + loss(torch.tensor([5.0]), counts, 0.5)
    torch.testing.assert_close(parts, loss(torch.tensor([7.0]), counts))
