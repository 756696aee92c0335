"""torchvision's CNNs: which parts are trained, what stays frozen, and files of weights."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.adaptations.ladder import Adaptation, build_model
from facial_attributes_ros.models.backbones.build import build_backbone
from facial_attributes_ros.models.counts import count
from facial_attributes_ros.models.multitask import MultiTaskModel

LINEAR = {"hidden": False, "batch_norm": False}


def resnet(adaptation: str) -> MultiTaskModel:
    torch.manual_seed(0)
    return build_model(
        build_backbone("resnet18", image_size=32), Adaptation.named(adaptation, **LINEAR), ("age",), True
    )


@pytest.mark.parametrize(
    ("adaptation", "trained"),
    [
        ("lp", ()),
        ("ft-1", ("layer4",)),
        ("ft-2", ("layer3", "layer4")),
        ("ft-4", ("layer1", "layer2", "layer3", "layer4")),
    ],
)
def test_frozen_stages_keep_their_running_statistics(adaptation: str, trained: tuple[str, ...]) -> None:
    model = resnet(adaptation)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    model(torch.randn(8, 3, 32, 32))["age"].square().mean().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    parts = {name.removeprefix("backbone.trunk.").partition(".")[0] for name in changed}
    assert parts == {"heads", *trained}
    statistics = {name.removeprefix("backbone.trunk.") for name in changed if "running_mean" in name}
    assert {name.partition(".")[0] for name in statistics} == set(trained)


def test_everything_of_mobilenet_is_trained_with_its_statistics() -> None:
    backbone = build_backbone("mobilenet_v2", image_size=32, width_mult=0.25)
    model = build_model(backbone, Adaptation.named("full", **LINEAR), ("age",), True).train()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def test_the_final_layer_is_torchvisions_own_with_one_output() -> None:
    # 513 of ResNet18's and 1281 of MobileNetV2's numbers: Linear(512, 1) and Linear(1280, 1).
    linear = Adaptation.named("lp", **LINEAR)
    assert count("resnet18", linear, ("age",), age_in_years=True).trained == 513
    assert count("mobilenet_v2", linear, ("age",), age_in_years=True).trained == 1281


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
@pytest.mark.parametrize("counted", [True, False])
@torch.no_grad()
def test_torchvisions_files_give_torchvisions_features(name: str, counted: bool, tmp_path: Path) -> None:
    network = getattr(torchvision.models, name)().eval()
    state = {key: value for key, value in network.state_dict().items() if counted or "num_batches" not in key}
    torch.save(state, tmp_path / "weights.pth")
    features = build_backbone(name, tmp_path / "weights.pth", 64)(images := torch.randn(2, 3, 64, 64))
    last = network.fc if name == "resnet18" else network.classifier
    torch.testing.assert_close(last(features), network(images))


def test_a_wrong_file_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(torchvision.models.mobilenet_v2().state_dict(), tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("weights: none\n" * 20)
    whole = (tmp_path / "other.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    for weights, told in (
        (tmp_path / "other.pth", "doesn't fit resnet18: missing conv1.weight"),
        (tmp_path / "text.pth", "neither a PyTorch nor a safetensors file"),
        (tmp_path / "cut.pth", "not a whole PyTorch file"),
        (tmp_path / "none.pth", "there is no file"),
        ("hub", "give hub@NAME with IMAGENET1K_V1"),
        ("hub@IMAGENET1K_V1", r"resnet18-\w+\.pth is not in .* bring that file here"),
    ):
        with pytest.raises(UserError, match=told):
            build_backbone("resnet18", weights)
    with pytest.raises(UserError, match="the architecture of resnet18 has 'depth', which may not be set"):
        build_backbone("resnet18", depth=3)


def no_network(*_args: object, **_options: object) -> None:
    raise OSError("no network")
