"""The ladder's measurements build what they say, go on after a row that doesn't fit, and come out as a table."""

import json
from typing import Any

import pytest
import torch

from facial_attributes_ros.bench import ladder
from facial_attributes_ros.bench.ladder import OUT_OF_MEMORY, Step, ladder_steps
from facial_attributes_ros.cli import main as cli
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.counts import count

BACKBONE = "timm:vit_tiny_patch16_224"
TINY: dict[str, Any] = {"image_size": 32, "depth": 4, "embed_dim": 48, "num_heads": 2}


def run(steps: list[Step], precision: str = "float32", **changes: Any) -> dict[Step, ladder.Cost]:
    return dict(ladder.bench_ladder(BACKBONE, steps, "cpu", precision, 0.0, **(TINY | changes)))


def test_the_steps_are_those_of_the_ladder() -> None:
    steps = ladder_steps()
    forward = {(step.adaptation, step.batch) for step in steps if step.phase == "forward"}
    rungs = ("backbone", "lp", "ft-4", "lora", "mtlora", "full")
    assert forward == {(rung, batch) for rung in rungs for batch in (1, 4, 16, 32)}
    training = [(step.adaptation, step.batch, step.checkpointing) for step in steps if step.phase == "training"]
    assert len(training) == len(set(training)) == 5 * 2 * 2
    assert {step.batch for step in ladder_steps([1, 3]) if step.phase == "training"} == {3}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_rung_is_measured(precision: str) -> None:
    steps = [
        step for step in ladder_steps([2]) if precision == "float32" or step.adaptation in ("backbone", "lora", "dora")
    ]
    costs = run(steps, precision)
    assert list(costs) == steps
    for step, cost in costs.items():
        assert not cost.note
        assert cost.runs >= ladder.MINIMUM_RUNS
        assert cost.milliseconds is not None
        assert cost.milliseconds > 0
        assert cost.faces_per_second == pytest.approx(1e3 * step.batch / cost.milliseconds)
        assert (cost.teraflops is None) == (step.phase == "training")


def test_the_operations_of_a_forward_pass_are_those_that_info_counts() -> None:
    steps = [Step("forward", "lora", 2)]
    (cost,) = run(steps).values()
    counted = count(BACKBONE, Adaptation.named("lora"), **TINY)
    assert cost.milliseconds is not None
    assert cost.teraflops == pytest.approx(counted.gflops_attention * 2 / cost.milliseconds)


def test_the_limit_is_told_in_operations_of_a_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "MATRIX_SIDE", {"cpu": 100})
    monkeypatch.setattr(ladder, "_milliseconds", lambda run, _: run() or 4.0)
    # 2 x 100^3 operations in 4 ms.
    assert ladder.matrix_product("cpu", "bfloat16", 0.0) == pytest.approx(2e6 / 4e-3 / 1e12)


def test_a_step_trains_what_its_rung_trains_and_nothing_else() -> None:
    with torch.device("meta"):
        template = build_backbone(BACKBONE, **TINY)
    for rung in ("ft-4", "dora"):
        training = ladder._Training(template, rung, torch.device("cpu"), torch.float32)
        before = {name: tensor.clone() for name, tensor in training.module.named_parameters()}
        training.prepare(Step("training", rung, 4))()
        for name, parameter in training.module.named_parameters():
            if not parameter.requires_grad:
                assert torch.equal(before[name], parameter), name
        changed = [name for name, tensor in training.module.named_parameters() if not torch.equal(before[name], tensor)]
        assert any(".blocks." in name for name in changed)
        assert any(name.startswith("heads.") for name in changed)


def test_random_weights_give_finite_features() -> None:
    for name in ("timm:eva02_tiny_patch14_224", "resnet18"):  # rotary tables, batch normalisation
        with torch.device("meta"):
            template = build_backbone(name, image_size=28 if name.startswith("timm") else None)
        backbone = ladder.random_backbone(template, torch.device("cpu"))
        side = backbone.preprocess.image_size
        features = backbone(torch.randn(2, 3, side, side))
        assert features.shape == (2, backbone.feature_dim)
        assert features.isfinite().all()
    assert all(parameter.is_meta for parameter in template.parameters())


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_a_row_out_of_memory_says_so_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    measure = ladder._measure

    def fail(run: Any, batch: int, *rest: Any) -> ladder.Cost:
        if batch == 3:
            raise error
        return measure(run, batch, *rest)

    monkeypatch.setattr(ladder, "_measure", fail)
    steps = [Step(phase, "lp", batch) for phase in ("forward", "training") for batch in (2, 3, 4)]
    costs = run(steps)
    assert [cost.note for cost in costs.values()] == ["", OUT_OF_MEMORY, ""] * 2
    assert [cost.milliseconds is None for cost in costs.values()] == [False, True, False] * 2


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> ladder.Cost:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(ladder, "_measure", fail)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        run([Step("forward", "lp", 1)])


def test_a_rung_that_does_not_suit_the_backbone_is_a_row_that_says_why() -> None:
    costs = run([Step("forward", "ft-4", 1), Step("forward", "lp", 1)], depth=3)
    assert [("can't be trained" in cost.note, cost.runs > 0) for cost in costs.values()] == [
        (True, False),
        (False, True),
    ]


def test_an_unknown_backbone_is_told() -> None:
    with pytest.raises(UserError, match="no backbone 'nonsense'"):
        list(ladder.bench_ladder("nonsense", ladder_steps(), "cpu", "float32"))


def test_the_command_prints_a_table_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [Step("forward", "backbone", 1), Step("training", "dora", 16, True)]
    costs = [ladder.Cost(2.0, 500.0, 300.4, 1.5, 5), ladder.Cost(note=OUT_OF_MEMORY)]
    asked: list[Any] = []

    def measured(*arguments: Any) -> Any:
        asked.append(arguments)
        return zip(steps, costs, strict=True)

    monkeypatch.setattr(ladder, "bench_ladder", measured)
    monkeypatch.setattr(ladder, "matrix_product", lambda *_: 6.0)
    arguments = ["bench", "--ladder", "--device", "cpu", "--ladder-batches", "1,16"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[1].split()[:7] == ["a", "large", "matrix", "product", "runs", "at", "6.00"]
    assert lines[3].split() == ["forward", "backbone", "1", "2.00", "500.0", "300", "1.50", "25", "%"]
    assert lines[4].split() == ["training", "dora", "yes", "16", "out", "of", "memory"]
    assert printed.err == "", "the bar is for terminals"
    assert cli.main([*arguments, "--json", "--ladder-model", "small"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["precision"] == "float32"
    assert report["rows"][0] | {"adaptation": "backbone", "milliseconds": 2.0} == report["rows"][0]
    assert [(call[0], call[1], call[5]) for call in asked] == [
        ("PE-Core-L-14-336", ladder_steps((1, 16)), None),
        ("dinov2-vits14", ladder_steps((1, 16)), 112),
    ]


def test_two_measurements_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--ladder", "--end-to-end"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err
