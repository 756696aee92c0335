"""The arguments of a backbone's constructor that a model or a recipe may set: sizes and switches, nothing that loads.

The constructors of timm, open_clip and torchvision have many more: files to load, places on the hub to download from,
names of other networks, layers as code. A `model.json` may come from anybody, so only these arguments are passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CNNS: Final = ("mobilenet_v2", "resnet18")
"""Convolutional backbones of torchvision."""
DINOV2: Final = "dinov2-vits14"
TIMM_PREFIX: Final = "timm:"
NAMED_MODELS: Final = {"pe-l14-336": ("PE-Core-L-14-336", None), "small": (DINOV2, 112)}
"""Named models to their backbone and image size in pixels (None for the backbone's own)."""


@dataclass(frozen=True, slots=True)
class Argument:
    """The allowed values of one argument.

    Attributes:
        kind: bool, int, float (whole numbers included) or str.
        low, high: bounds of a number.
        choices: the allowed texts.
        several: the value is a list of this many numbers; 0 for a single one.
    """

    kind: type
    low: float = 0
    high: float = 1
    choices: tuple[str, ...] = ()
    several: int = 0

    def takes(self, value: object) -> bool:
        """Return True if a value is of this kind and in range."""
        if self.several:
            one = Argument(self.kind, self.low, self.high)
            return isinstance(value, list | tuple) and len(value) == self.several and all(map(one.takes, value))
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if self.kind is str:
            return value in self.choices
        number = isinstance(value, int | float) if self.kind is float else isinstance(value, int)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        """Return the kind in words."""
        if self.several:
            return f"{self.several} whole numbers from {self.low} to {self.high}"
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return "one of " + ", ".join(map(repr, self.choices))
        return f"a {'whole ' if self.kind is int else ''}number from {self.low} to {self.high}"


_FRACTION: Final = Argument(float, 0, 0.95)
_VIT: Final = {
    "embed_dim": Argument(int, 1, 8192),
    "depth": Argument(int, 1, 128),
    "num_heads": Argument(int, 1, 256),
    "num_classes": Argument(int, 0, 65536),
    "patch_size": Argument(int, 1, 64),
    "mlp_ratio": Argument(float, 0.1, 16),
    "init_values": Argument(float, 0, 10),
    "qkv_bias": Argument(bool),
    "qk_norm": Argument(bool),
    "class_token": Argument(bool),
    "reg_tokens": Argument(int, 0, 64),
    "global_pool": Argument(str, choices=("", "avg", "token", "map")),
    "ref_feat_shape": Argument(int, 1, 1024, several=2),
    "drop_rate": _FRACTION,
    "proj_drop_rate": _FRACTION,
    "attn_drop_rate": _FRACTION,
    "drop_path_rate": _FRACTION,
}
_OPEN_CLIP: Final = {"timm_drop": _FRACTION, "timm_drop_path": _FRACTION}
_CNN: Final = {
    "mobilenet_v2": {
        "width_mult": Argument(float, 0.05, 10),
        "round_nearest": Argument(int, 1, 64),
        "dropout": _FRACTION,
    },
    "resnet18": {"zero_init_residual": Argument(bool)},
}


def check_architecture(backbone: str, architecture: Mapping[str, Any]) -> None:
    """Check further arguments of a backbone's constructor.

    Args:
        backbone: its name for `models.backbones.build.build_backbone`.
        architecture: the arguments.

    Raises:
        ValueError: an argument is not allowed, or is out of its range.
    """
    allowed = _allowed(backbone)
    for key, value in architecture.items():
        if key not in allowed:
            raise ValueError(
                f"the architecture of {backbone} has {key!r}, which may not be set; allowed are "
                f"{', '.join(sorted(allowed))}"
            )
        if not allowed[key].takes(value):
            raise ValueError(f"{key} of the architecture of {backbone} must be {allowed[key]}, not {value!r}")


def _allowed(backbone: str) -> Mapping[str, Argument]:
    if backbone in CNNS:
        return _CNN[backbone]
    return _VIT if backbone == DINOV2 or backbone.startswith(TIMM_PREFIX) else _OPEN_CLIP
