"""Parameters, operations and sizes of every adaptation of the ladder, counted on the meta device without weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from facial_attributes_ros.attributes import AGE, LABELS, TASKS
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model, merge, trained_tensors
from facial_attributes_ros.models.backbones.build import build_backbone

LADDER: Final = ("zero-shot", "lp", "ft-4", "lora", "lora-reference", "mtlora", "full")
SINGLE_HEAD: Final = ("lp", "ft-4")
"""Adaptations that Sessa's thesis reports with the age head alone; the table has both."""
_LINEAR_OPS: Final = ("mm", "addmm", "convolution", "_convolution")
_GIGA: Final = 1e9


@dataclass(frozen=True, slots=True)
class Counts:
    """The cost of one adaptation.

    Attributes:
        adaptation: its name.
        tasks: of its heads.
        parameters: in training, adapters included.
        trained: trained parameters.
        merged: parameters after adapters are merged, as the model runs.
        gflops_linear: 10^9 operations for one face and all its tasks, merged: linear and convolution layers only, 2
            per multiply-add (the convention of Sessa's thesis).
        gflops_attention: the same with the two products inside attention.
        checkpoint_bytes: size of the tensors that training changes, in float32.
    """

    adaptation: str
    tasks: tuple[str, ...]
    parameters: int
    trained: int
    merged: int
    gflops_linear: float
    gflops_attention: float
    checkpoint_bytes: int

    @property
    def trained_percent(self) -> float:
        """Trained parameters as a percentage of all parameters in training."""
        return 100 * self.trained / self.parameters

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain values, with `share_percent` rounded to two decimals."""
        return asdict(self) | {"tasks": list(self.tasks), "share_percent": round(self.trained_percent, 2)}


def count(
    backbone: str,
    adaptation: Adaptation,
    tasks: Sequence[str] = TASKS,
    image_size: int | None = None,
    age_in_years: bool = False,
    **architecture: Any,
) -> Counts:
    """Count one adaptation of a backbone by its name for `build_backbone`; `age_in_years` is that of `build_model`.

    Raises:
        UserError: the backbone or a task is unknown, or the adaptation doesn't suit the backbone.
    """
    if adaptation.name == "zero-shot":
        return _count_zero_shot(backbone, tasks)
    with torch.device("meta"):
        network = build_backbone(backbone, image_size=image_size, **architecture)
        model = build_model(network, adaptation, tasks, age_in_years)
        side = model.backbone.preprocess.image_size
        image = torch.empty(1, 3, side, side)
        parameters = _parameters(model)
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        size = sum(tensor.numel() * tensor.element_size() for tensor in trained_tensors(model).values())
        merge(model)
        linear, attention = operations(lambda: model(image))
    return Counts(adaptation.name, tuple(tasks), parameters, trained, _parameters(model), linear, attention, size)


def ladder(
    backbone: str,
    image_size: int | None = None,
    tasks: Sequence[str] | None = None,
    rank: int | None = None,
    age_in_years: bool = False,
    **architecture: Any,
) -> list[Counts]:
    """Count every adaptation that suits a backbone, from zero-shot to full fine-tuning.

    Args:
        backbone: its name for `build_backbone`.
        image_size: side of the input in pixels, if not the backbone's own.
        tasks: heads to count; by default all, and for `SINGLE_HEAD` the age head alone too.
        rank: of the low-rank matrices, if not the adaptation's own.
        age_in_years: as in `count`.
        architecture: as in `build_backbone`.

    Raises:
        UserError: there is no such backbone.
    """
    counted: list[Counts] = []
    for name in LADDER:
        adaptation = with_rank(Adaptation.named(name), rank)
        default = ((AGE,), TASKS) if name in SINGLE_HEAD else (TASKS,)
        for heads in default if tasks is None else (tuple(tasks),):
            try:
                counted.append(count(backbone, adaptation, heads, image_size, age_in_years, **architecture))
            except UserError:
                # A CNN has no low-rank adaptations, and only open_clip's models have a text encoder.
                if name == "lp":
                    raise
    return counted


def with_rank(adaptation: Adaptation, rank: int | None) -> Adaptation:
    """Return the adaptation with low-rank matrices of another rank and scale 1; unchanged if it has none."""
    return replace(adaptation, rank=rank, alpha=float(rank)) if rank and adaptation.rank else adaptation


def operations(run: Callable[[], object]) -> tuple[float, float]:
    """Return 10^9 operations (2 per multiply-add) of a call: linear and convolution layers, and with attention.

    On the meta device, attention runs as two batched products, an operation that no other layer uses.
    """
    counter = FlopCounterMode(display=False)
    # With gradients on, PyTorch's transformer layers take the path that the counter sees into.
    with torch.enable_grad(), counter:
        run()
    by_operator: Mapping[Any, int] = counter.get_flop_counts()["Global"]
    linear = sum(flops for operator, flops in by_operator.items() if operator.__name__ in _LINEAR_OPS)
    return linear / _GIGA, sum(by_operator.values()) / _GIGA


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _count_zero_shot(backbone: str, tasks: Sequence[str]) -> Counts:
    from facial_attributes_ros.models.zero_shot import build_clip

    with torch.device("meta"):
        model = build_clip(backbone).eval()
        prompts = sum(len(LABELS[task]) for task in tasks)
        side = model.visual.image_size
        side = side if isinstance(side, int) else side[0]
        image = torch.empty(1, 3, side, side)
        # One prompt per class, encoded along with the image, as in Sessa's thesis.
        text = torch.zeros(prompts, model.context_length, dtype=torch.long)
        linear, attention = operations(lambda: (model.encode_image(image), model.encode_text(text)))
    total = _parameters(model)
    return Counts("zero-shot", tuple(tasks), total, 0, total, linear, attention, 0)
