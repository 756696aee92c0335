"""What running needs: `predict`, the library and the node work where PyTorch and its companions can't be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facial_attributes_ros.cache import cache_dir

ARRAY = "facial_attributes_ros/FaceAttributesArray"
TORCH = ("torch", "torchvision", "timm", "peft", "open_clip", "accelerate", "huggingface_hub")
BLOCK = f"import sys; sys.modules.update(dict.fromkeys({TORCH!r}))"
LIBRARY = """
from facial_attributes_ros.detection.load import load_detector
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.imaging.sample_camera import SampleCamera
from facial_attributes_ros.pipeline import FramePipeline
image = SampleCamera(640, 480).frame(0)
print(len(FramePipeline(load_detector(), load_engine("small", "cpu")).still(image)))
"""


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """Return the variables of a process that has no PyTorch and no engine that was built before."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    paths = [str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        "PYTHONPATH": os.pathsep.join(paths),
        "FACIAL_ATTRIBUTES_CACHE": str(tmp_path / "cache"),
        "FACIAL_ATTRIBUTES_ASSETS": str(cache_dir() / "assets"),
    }


def test_predict_builds_its_engine_and_finds_faces(without_torch: dict[str, str], tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage")
    image = Path(skimage.__file__).parent / "data" / "astronaut.png"
    command = [sys.executable, "-m", "facial_attributes_ros.cli.main", "predict", str(image), "--device", "cpu"]
    done = subprocess.run(command, env=os.environ | without_torch, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (face,) = json.loads(done.stdout)["faces"]
    assert face["gender_probabilities"].keys() == {"male", "female"}
    assert 20 < face["age"] < 60
    library = subprocess.run(
        [sys.executable, "-c", LIBRARY], env=os.environ | without_torch, capture_output=True, text=True, check=False
    )
    assert library.returncode == 0, library.stderr[-2000:]
    assert int(library.stdout) >= 1


def test_the_torch_engine_names_the_command_that_brings_it(without_torch: dict[str, str]) -> None:
    code = "from facial_attributes_ros.engines.load import load_engine; load_engine('small', 'cpu', 'torch')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | without_torch, capture_output=True, text=True, check=False
    )
    assert "UserError: Engine torch needs PyTorch, which is not installed: pip install '.[torch]'." in done.stderr


def test_the_node_publishes_faces(graph, without_torch: dict[str, str]) -> None:
    del without_torch["FACIAL_ATTRIBUTES_CACHE"]  # its engine was built by the set-up
    path = os.pathsep.join([without_torch["PYTHONPATH"].split(os.pathsep)[0], graph.env["PYTHONPATH"]])
    node = graph.node("perception", "--must-start", "--ros-args", "-p", "device:=cpu", PYTHONPATH=path)
    listener = graph.peer()
    listener.listen("faces", ARRAY)
    node.wait_for_text("Waiting for images")
    graph.node("camera", "--ros-args", "-p", "source:=sample", "-p", "rate:=5.0")
    listener.wait_for(lambda _: any(m["faces"] for m in listener.messages("faces")), what="a face")
    names = {line.split("'")[1] for line in node.lines if "No module named" in line}
    assert names == set()


def test_importing_the_node_imports_none_of_the_heavy_libraries() -> None:
    code = "import facial_attributes_ros.ros.perception.node, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {*TORCH, "onnxruntime", "onnx", "scipy.optimize", "PIL", "matplotlib"}
