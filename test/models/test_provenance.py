"""A model's papers: the strictest terms of everything that it was made from, and never more than was stated."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.assets import ASSETS
from facial_attributes_ros.models.backbones.published import backbone_licence, backbone_parent, moved_weights
from facial_attributes_ros.models.backbones.reference import BackboneReference
from facial_attributes_ros.models.provenance import Licence, strictest
from facial_attributes_ros.models.registry import model_folder
from facial_attributes_ros.models.spec import ModelSpec

USES = ("no", "unknown", "yes")
licences = st.builds(
    Licence,
    spdx=st.sampled_from(["MIT", "Apache-2.0", "MIT OR Apache-2.0", "MIT AND CC-BY-4.0", "LicenseRef-unknown"]),
    commercial_use=st.sampled_from(USES),
    sources=st.lists(st.sampled_from(["Faces", "Ages"]), max_size=2).map(tuple),
    text=st.sampled_from(["", "For research.", "As you like."]),
)


@given(st.lists(licences, min_size=1, max_size=5))
def test_the_strictest_terms_count_and_nothing_is_lost(parts: list[Licence]) -> None:
    found = strictest(parts)
    uses = {part.commercial_use for part in parts}
    assert found.commercial_use == next(use for use in USES if use in uses)
    assert set(found.sources) == {source for part in parts for source in part.sources}
    assert all(part.text in found.text for part in parts)
    assert all(name in found.spdx for part in parts for name in part.spdx.split(" AND "))
    # Adding the same again changes nothing, so licences do not grow from model to model.
    assert strictest([found, found]) == strictest([found])
    assert strictest([found]).commercial_use == found.commercial_use


def test_of_nothing_nothing_is_known() -> None:
    assert strictest([]) == Licence()
    assert strictest([]).commercial_use == "unknown"


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("", "unknown"),
        ("free for all", "unknown"),
        ("for research and non-commercial use only.", "no"),
        ("Noncommercial.", "no"),
    ],
)
def test_a_sentence_alone_never_allows_commercial_use(text: str, use: str) -> None:
    found = Licence.from_json(text)
    assert (found.commercial_use, found.text) == (use, text)


def test_alternatives_stay_together_in_a_conjunction() -> None:
    both = [Licence("MIT OR Apache-2.0", "yes"), Licence("CC-BY-4.0", "yes")]
    assert strictest(both).spdx == "(MIT OR Apache-2.0) AND CC-BY-4.0"
    assert strictest([strictest(both), Licence("MIT", "yes")]).spdx == "(MIT OR Apache-2.0) AND CC-BY-4.0 AND MIT"


def test_the_shipped_model_has_its_papers() -> None:
    spec = ModelSpec.read(model_folder("small"))
    assert spec.sha256 == ModelSpec.identified(model_folder("small")).sha256
    assert spec.version.startswith("1.2.")
    assert spec.parent is not None
    assert (spec.parent.name, spec.parent.version) == ("small", "1.1.0")
    assert spec.backbone.sha256 == ASSETS["dinov2-vits14"].sha256
    assert spec.licence.commercial_use == "no"
    assert "CC-BY-4.0" in spec.licence.spdx
    assert set(spec.licence.sources) >= {"FairFace", "AffectNet", "FFHQ", "APPA-REAL"}
    assert spec.samples.keys() >= {"affectnet", "appareal", "fairface", "fer2013", "genki", "muxspace", "fgnet", "lag"}
    assert any("small-2-fine" in command for command in spec.commands)


def test_only_known_weights_of_a_backbone_have_known_terms() -> None:
    pinned = ASSETS["dinov2-vits14"].sha256
    assert backbone_licence(BackboneReference("dinov2-vits14", "asset", pinned)) == Licence(
        "Apache-2.0", "yes", ("DINOv2 ViT-S/14",)
    )
    copy = backbone_licence(BackboneReference("dinov2-vits14", "../weights.onnx", pinned))
    assert copy is not None
    assert copy.commercial_use == "yes"
    for reference in (
        BackboneReference("dinov2-vits14", "../others.safetensors", "ab" * 32),
        BackboneReference("timm:vit_tiny_patch16_224", "hub@" + "1" * 40),
    ):
        found = backbone_licence(reference)
        assert found is not None
        assert found.commercial_use == "unknown"
    assert backbone_licence(BackboneReference("dinov2-vits14", None)) is None
    assert backbone_parent(BackboneReference("dinov2-vits14", "included")) is None


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ("asset", "asset"),
        ("hub@main", "hub@main"),
        ("included", "included"),
        (None, None),
        ("/models/weights.pt", "/models/weights.pt"),
        ("weights.pt", "weights.pt"),
        ("../weights.pt", "../../runs/weights.pt"),
    ],
)
def test_a_copy_finds_the_weights_of_its_backbone(weights: str | None, found: str | None) -> None:
    source, target = Path("/work/runs/model"), Path("/work/other/copy")
    assert moved_weights(BackboneReference("name", weights), source, target) == found
