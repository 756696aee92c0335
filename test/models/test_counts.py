"""The figures of Sessa's thesis, recomputed without weights."""

import json

import pytest
import torch
from torch import nn

from facial_attributes_ros.attributes import AGE, TASKS
from facial_attributes_ros.cli.info import add_arguments, run
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.counts import count, ladder, operations

PE_L = "PE-Core-L-14-336"


@pytest.fixture(scope="module")
def rungs() -> dict[tuple[str, int], object]:
    return {(row.adaptation, len(row.tasks)): row for row in ladder(PE_L)}


def test_trained_percentages_are_those_of_the_thesis(rungs) -> None:
    assert round(rungs["lp", 1].trained_percent, 2) == 0.33
    assert round(rungs["ft-4", 1].trained_percent, 2) == 20.13
    assert rungs["lora-reference", 3].trained == 29_352_978
    assert round(rungs["lora-reference", 3].trained_percent, 2) == 8.47
    assert round(rungs["lora", 3].trained_percent, 2) == 8.56
    assert rungs["full", 3].trained_percent == 100


def test_parameters_and_operations_are_those_of_the_thesis(rungs) -> None:
    assert rungs["zero-shot", 3].parameters == 671_138_817
    assert rungs["zero-shot", 3].gflops_linear == pytest.approx(700, rel=0.002)
    merged = rungs["lora", 3]
    assert round(merged.merged / 1e6, 1) == 320.3
    assert merged.merged == rungs["lora-reference", 3].merged == rungs["full", 3].parameters
    assert merged.gflops_linear == pytest.approx(352, rel=0.01)
    assert merged.gflops_attention == pytest.approx(385, rel=0.01)


def test_task_streams_cost_less_than_those_of_the_thesis(rungs) -> None:
    streams = rungs["mtlora", 3]
    assert streams.gflops_linear == pytest.approx(362, rel=0.005)
    assert streams.merged < 329e6
    assert round(streams.trained_percent, 2) == 9.86


def test_the_difference_to_the_reported_share_of_mtlora_is_accounted_for(rungs) -> None:
    """As in docs/adaptations.md: shared matrices of scale 0, and magnitudes left uncounted, give 10.38 %."""
    streams = rungs["mtlora", 3]
    shared_matrices = 6 * 131_072 + 4 * 163_840 * 2 + 2 * 131_072
    assert shared_matrices == 2_359_296
    magnitudes = 23 * (3072 + 1024 + 4096 + 1024)
    kept_projection, spare_query = 1024 * 1024, 1024
    trained = streams.trained + shared_matrices
    total = streams.parameters + shared_matrices + kept_projection - spare_query
    assert round(100 * trained / total, 2) == 10.43
    assert round(100 * (trained - magnitudes) / (total - magnitudes), 2) == 10.38


def test_operations_are_counted_in_both_conventions() -> None:
    with torch.device("meta"):
        layer = nn.Linear(10, 20)
        linear, attention = operations(lambda: layer(torch.empty(3, 10)))
        query = torch.empty(1, 2, 5, 8)
        products = operations(lambda: nn.functional.scaled_dot_product_attention(query, query, query))
    assert linear * 1e9 == attention * 1e9 == pytest.approx(2 * 3 * 10 * 20)
    assert products[0] == 0
    assert products[1] * 1e9 == pytest.approx(2 * 2 * 2 * 5 * 5 * 8)


def test_a_backbone_without_a_text_encoder_or_linear_layers_has_a_shorter_ladder() -> None:
    assert [row.adaptation for row in ladder("resnet18", 64)] == ["lp", "lp", "ft-4", "ft-4", "full"]
    assert "mtlora" in {row.adaptation for row in ladder("timm:test_vit")}
    with pytest.raises(UserError, match="there is no backbone"):
        ladder("nothing")
    with pytest.raises(UserError, match="text encoder"):
        count("timm:test_vit", Adaptation.named("zero-shot"))


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args(arguments)) == 0
    return capsys.readouterr().out


def test_the_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    table = _run(capsys, "--model", "timm:test_vit", "--adaptation", "lp")
    assert [line.split()[:2] for line in table.splitlines()[2:4]] == [["lp", "age"], ["lp", "all"]]
    assert "linear and convolution layers only" in table
    document = json.loads(_run(capsys, "--model", "small", "--adaptation", "lora", "--rank", "8", "--json"))
    assert document["backbone"] == "dinov2-vits14"
    (rung,) = document["adaptations"]
    assert rung["tasks"] == list(TASKS)
    assert rung["merged"] < rung["parameters"]
    one = json.loads(_run(capsys, "--model", "timm:test_vit", "--adaptation", "ft-2", "--tasks", AGE, "--json"))
    assert [row["tasks"] for row in one["adaptations"]] == [[AGE]]
