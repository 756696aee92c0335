import numpy as np
import torch
from facial_attributes_training.data.datasets import Sample
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.fit.head_start import solve_expression_head
from facial_attributes_training.fit.run_data import RunData
from torch import nn
from torch.utils.data import Dataset

from facial_attributes_ros.models.expression import EXPRESSION, EXPRESSIONS
from facial_attributes_ros.models.heads import build_heads

COUNT, DIM = 200, 16


class Vectors(Dataset[Sample]):
    """Feature vectors instead of crops; one of them can't be read."""

    def __init__(self) -> None:
        self.values = 0.05 * torch.randn(COUNT, DIM, generator=torch.Generator().manual_seed(0)) + 2

    def __getitem__(self, draw: tuple[int, int, int]) -> Sample:
        return Sample(draw[0], self.values[draw[0]], "broken" if draw[0] == 7 else "")


class Heads(nn.Module):
    """Heads without a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(build_heads(DIM, ("emotion",), expression=True))

    def forward(self, inputs: torch.Tensor, outputs: tuple[str, ...]) -> dict[str, torch.Tensor]:
        return {name: self.heads[name](inputs) for name in outputs}


def test_a_trained_head_stays() -> None:
    model, data = Heads(), Vectors()
    rows = RunData(Manifest.from_rows([Row(str(row)) for row in range(COUNT)]), np.ones(COUNT), data)
    model.train().heads[EXPRESSION](data.values)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    solve_expression_head(model, model, rows, np.ones((COUNT, len(EXPRESSIONS)), np.float32))
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_the_head_starts_at_what_its_features_say() -> None:
    torch.manual_seed(1)
    model, data = Heads(), Vectors()
    rows = RunData(Manifest.from_rows([Row(str(row)) for row in range(COUNT)]), np.ones(COUNT), data)
    truth = 20 * (data.values - 2) @ torch.randn(DIM, len(EXPRESSIONS)) + 3
    targets = truth.numpy().copy()
    targets[::9] = np.nan
    others = {name: value.clone() for name, value in model.state_dict().items() if EXPRESSION not in name}
    solve_expression_head(model, model, rows, targets)
    spread = truth - truth.mean(0)
    # Training normalises by the batch, later calls by the running statistics: the head has to be right in both.
    for training in (False, True):
        head = model.heads[EXPRESSION].train(training)
        head.dropout.p = 0.0
        with torch.no_grad():
            found = head(data.values)
        assert (found - truth).square().mean() < 0.03 * spread.square().mean()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in others.items())
