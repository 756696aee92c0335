"""Every engine gives the same answers, and the ONNX network is built once, whole, and without torch from then on."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from facial_attributes_ros.attributes import LABELS
from facial_attributes_ros.engines import load, onnx_export
from facial_attributes_ros.engines.base import Engine, probabilities
from facial_attributes_ros.engines.deployed import DeployedModel
from facial_attributes_ros.engines.load import load_engine
from facial_attributes_ros.engines.onnx import BATCH_SIZES, INT8_BATCH_SIZES, OnnxEngine, build_engine
from facial_attributes_ros.engines.onnx_export import example_crops
from facial_attributes_ros.engines.onnx_parts import part_paths
from facial_attributes_ros.errors import UserError
from facial_attributes_ros.imaging.crop import crop_faces
from facial_attributes_ros.models.spec import ModelSpec

SIZE = 32


@pytest.fixture(scope="module", params=["torch", "onnx", "onnx-int8"])
def engine(request: pytest.FixtureRequest, tiny_model: Path) -> Engine:
    return load_engine(tiny_model, device="cpu", engine=request.param, threads=1)


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Engine:
    return load_engine(tiny_model, device="cpu", engine="torch")


@pytest.fixture
def frame() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def assert_like(engine: Engine, got: dict[str, NDArray[np.float32]], expected: dict[str, NDArray[np.float32]]) -> None:
    assert got.keys() == expected.keys()
    if engine.name == "onnx-int8":
        got, expected = probabilities(got, engine.spec), probabilities(expected, engine.spec)
    for task in expected:
        np.testing.assert_allclose(got[task], expected[task], atol=0.15 if engine.name == "onnx-int8" else 2e-3)


def test_engines_agree(engine: Engine, reference: Engine) -> None:
    crops = example_crops(3, SIZE)
    logits = engine.logits(crops)
    assert {task: values.shape for task, values in logits.items()} == {t: (3, len(n)) for t, n in LABELS.items()}
    assert all(values.dtype == np.float32 for values in logits.values())
    assert_like(engine, logits, reference.logits(crops))


def test_task_streams_survive_the_export(task_specific_model: Path) -> None:
    engines = [load_engine(task_specific_model, device="cpu", engine=name) for name in ("onnx", "torch")]
    crops = example_crops(2, SIZE)
    assert_like(engines[0], engines[0].logits(crops), engines[1].logits(crops))
    assert_like(engines[0], engines[0].logits(crops, ["emotion"]), engines[1].logits(crops, ["emotion"]))


def test_more_faces_than_a_batch_holds_come_out_in_their_order(engine: Engine) -> None:
    if engine.name == "onnx-int8":
        pytest.skip("its activations are scaled over the batch, so that results differ slightly with the company")
    crops = example_crops(BATCH_SIZES[-1] + 3, SIZE)
    together = engine.logits(crops)
    for index in (0, BATCH_SIZES[-1] - 1, BATCH_SIZES[-1], BATCH_SIZES[-1] + 2):
        alone = engine.logits(crops[index : index + 1])
        for task in LABELS:
            np.testing.assert_allclose(together[task][index], alone[task][0], atol=1e-3)


def test_int8_sees_few_faces_a_call_since_they_share_a_scale(tiny_model: Path) -> None:
    engine = load_engine(tiny_model, device="cpu", engine="onnx-int8")
    most = INT8_BATCH_SIZES[-1]
    crops = example_crops(most + 3, SIZE)
    together = engine.logits(crops)
    parts = [engine.logits(crops[:most]), engine.logits(crops[most:])]
    for task in LABELS:
        np.testing.assert_array_equal(together[task], np.concatenate([part[task] for part in parts]))


def test_int8_leaves_the_first_and_the_last_block_as_they_are(tiny_model: Path) -> None:
    nodes = onnx.load(build_engine(tiny_model, int8=True)).graph.node
    whole = onnx.load(build_engine(tiny_model)).graph
    weights = {tensor.name for tensor in whole.initializer}
    linear = [node.name for node in whole.node if node.op_type == "MatMul" and weights & set(node.input)]
    kept = {node.name for node in nodes if node.op_type == "MatMul"} & set(linear)
    blocks = sorted({int(re.search(r"blocks\.(\d+)/", name)[1]) for name in linear})  # type: ignore[index]
    assert len(blocks) > 2
    assert kept == {name for name in linear if f"blocks.{blocks[0]}/" in name or f"blocks.{blocks[-1]}/" in name}


class Profiled:
    """Sessions of onnxruntime that write down which nodes they run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.sessions = folder, []
        real = onnxruntime.InferenceSession

        def session(path: str, options: onnxruntime.SessionOptions, **more: Any) -> onnxruntime.InferenceSession:
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / Path(path).name)
            self.sessions.append(real(path, options, **more))
            return self.sessions[-1]

        monkeypatch.setattr(onnxruntime, "InferenceSession", session)

    def nodes(self) -> list[str]:
        """End the profiles, and return the names of the nodes that ran, a row a run."""
        events = [event for each in self.sessions for event in json.loads(Path(each.end_profiling()).read_text())]
        return [event["name"] for event in events if event["cat"] == "Node"]


def serving(nodes: list[str], task: str) -> list[str]:
    """Return the nodes of a task's head and of its stream's low-rank matrices."""
    return [name for name in nodes if f"/{task}/" in name or f"heads.{task}/" in name]


@pytest.mark.parametrize("kind", ["tiny_model", "task_specific_model", "years_model"])
def test_nothing_of_a_task_that_nobody_wants_is_computed_or_even_loaded(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build_engine(request.getfixturevalue(kind))
    spec = ModelSpec.read(request.getfixturevalue(kind))
    crops = example_crops(2, SIZE)
    expected = OnnxEngine(path, spec).logits(crops)
    profiled = Profiled(tmp_path, monkeypatch)
    engine = OnnxEngine(path, spec)
    engine.warm_up((1, 2), ["age", "gender"])
    opened = {output.name for session in profiled.sessions for output in session.get_outputs()}
    assert {"age", "gender"} <= opened
    assert "emotion" not in opened
    for tasks in (["gender"], ["age", "gender"], []):  # as they are switched while faces come
        found = engine.logits(crops, tasks)
        assert list(found) == tasks
        for task in tasks:
            np.testing.assert_allclose(found[task], expected[task], atol=1e-5)
    nodes = profiled.nodes()
    assert not serving(nodes, "emotion")
    assert len(serving(nodes, "gender")) > len(serving(nodes, "age")) > 0


def test_a_task_that_is_switched_on_opens_its_own_part_only(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiled = Profiled(tmp_path, monkeypatch)
    engine = OnnxEngine(build_engine(tiny_model), ModelSpec.read(tiny_model))
    engine.warm_up(tasks=["gender"])
    sessions = len(profiled.sessions)
    for tasks in (["gender", "emotion"], ["emotion"], ["gender"], ["gender", "emotion"]):
        engine.logits(example_crops(1, SIZE), tasks)
    assert len(profiled.sessions) == sessions + 1
    assert serving(profiled.nodes(), "emotion")


def test_the_parts_of_a_network_hold_no_weight_twice(task_specific_model: Path) -> None:
    path = build_engine(task_specific_model)
    parts = [onnx.load(part).graph for part in (path, *part_paths(path, tuple(LABELS)).values())]
    held = [tensor.name for part in parts for tensor in part.initializer if len(tensor.raw_data) > 1000]
    assert sorted(held) == sorted(set(held))
    assert all(len(part.SerializeToString()) < 0.1 * path.stat().st_size for part in parts[1:])


def test_only_the_tasks_asked_for_come_back(engine: Engine) -> None:
    crops = example_crops(1, SIZE)
    assert list(engine.logits(crops, ["emotion", "age"])) == ["age", "emotion"]
    assert engine.logits(crops, []) == {}
    with pytest.raises(UserError, match="has no task height"):
        engine.logits(crops, ["height"])


def test_no_faces_give_no_rows(engine: Engine, frame: NDArray[np.uint8]) -> None:
    for logits in (engine.logits(example_crops(1, SIZE)[:0]), engine.from_frame(frame, np.empty((0, 4)))):
        assert {task: values.shape for task, values in logits.items()} == {t: (0, len(n)) for t, n in LABELS.items()}


def test_a_frame_gives_what_its_crops_give(engine: Engine, frame: NDArray[np.uint8]) -> None:
    boxes = np.array([[10, 20, 50, 60], [120, 80, 70, 70]], np.float32)
    crops = crop_faces(frame, boxes, SIZE, engine.spec.crop_margin)
    assert_like(engine, engine.from_frame(frame, boxes), engine.logits(crops))


@pytest.mark.parametrize(
    "crops",
    [np.zeros((1, SIZE, SIZE + 1, 3), np.uint8), np.zeros((1, SIZE, SIZE, 3)), np.zeros((SIZE, SIZE, 3), np.uint8)],
)
def test_crops_of_another_kind_are_refused(engine: Engine, crops: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="crops must be uint8"):
        engine.logits(crops)


def test_distributions_sum_to_one_and_the_temperature_flattens_them(reference: Engine) -> None:
    logits = reference.logits(example_crops(4, SIZE))
    cool = probabilities(logits, reference.spec)
    warm = probabilities({task: values / 10 for task, values in logits.items()}, reference.spec)
    for task in LABELS:
        np.testing.assert_allclose(cool[task].sum(axis=1), 1, atol=1e-6)
        assert (warm[task].max(axis=1) < cool[task].max(axis=1)).all()
    assert probabilities({"age": np.empty((0, 9), np.float32)}, reference.spec)["age"].shape == (0, 9)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_never_become_a_distribution(value: float, years_model: Path) -> None:
    spec = ModelSpec.read(years_model)
    logits = {task: np.zeros((3, spec.outputs(task)), np.float32) for task in LABELS}
    for values in logits.values():
        values[1, 0] = value
    for found in probabilities(logits, spec).values():
        assert np.isnan(found[1]).all()
        np.testing.assert_allclose(found[[0, 2]].sum(axis=1), 1, atol=1e-6)


def test_a_cached_engine_starts_without_torch(tiny_model: Path) -> None:
    build_engine(tiny_model)
    script = (
        "import sys\nfrom facial_attributes_ros.engines.load import load_engine\n"
        f"load_engine({str(tiny_model)!r}, device='cpu', engine='onnx').warm_up()\nprint('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "False"


def copy_of(model: Path, folder: Path, **changes: object) -> Path:
    shutil.copytree(model, folder)
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, **changes}))
    return folder


def test_an_engine_is_built_again_only_when_its_network_changed(tiny_model: Path, tmp_path: Path) -> None:
    built = build_engine(tiny_model)
    again = copy_of(tiny_model, tmp_path / "calibrated", temperatures=dict.fromkeys(LABELS, 2.0))
    assert build_engine(again) == built
    other = copy_of(tiny_model, tmp_path / "brighter", mean=[0.4, 0.4, 0.4])
    assert build_engine(other) != built


def fresh(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache for a model that has no engine yet."""
    monkeypatch.setenv("FACIAL_ATTRIBUTES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


def test_what_a_killed_build_left_is_removed_and_old_engines_go(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build_engine(tiny_model).name
    engines = fresh(tiny_model, tmp_path, monkeypatch)
    (engines / f".{built}-killed").mkdir(parents=True)
    old = [engines / f"tiny-{index:016x}-float32.onnx" for index in range(6)]
    (engines / old[0].name.replace(".onnx", ".age.onnx")).write_bytes(b"")
    others = [engines / "tiny-two-0123456789abcdef-float32.onnx", engines / "mine.onnx"]
    for seconds, path in enumerate((*old, *others)):
        path.write_bytes(b"")
        os.utime(path, (seconds, seconds))
    build_engine(tiny_model)
    left = {path.name for path in engines.iterdir() if path.suffix != ".lock"}
    parts = [built.replace(".onnx", f".{part}") for part in ("sha256", *(f"{task}.onnx" for task in LABELS))]
    assert left == {built, *parts, *(path.name for path in (*old[-3:], *others))}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["Ctrl-C", "disk"])
def test_a_build_that_is_cut_short_leaves_nothing(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def cut_short(_: object, __: object, ___: object, path: Path) -> None:
        path.write_bytes(b"half a network")
        raise error

    engines = fresh(tiny_model, tmp_path, monkeypatch)
    monkeypatch.setattr(onnx_export, "write_onnx", cut_short)
    with pytest.raises((KeyboardInterrupt, UserError)):
        build_engine(tiny_model)
    assert [path for path in engines.iterdir() if path.suffix != ".lock"] == []


def test_a_network_that_computes_something_else_is_not_accepted(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = fresh(tiny_model, tmp_path, monkeypatch)
    write = onnx_export.write_onnx

    def write_another(deployed: DeployedModel, *arguments: object) -> None:
        scale = deployed.scale.clone()
        deployed.scale.mul_(2)
        write(deployed, *arguments)
        deployed.scale.copy_(scale)

    monkeypatch.setattr(onnx_export, "write_onnx", write_another)
    with pytest.raises(UserError, match="differs from PyTorch's"):
        build_engine(tiny_model)
    assert [path for path in engines.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize(("damage", "part"), [("cut", ".onnx"), ("changed", ".gender.onnx"), ("gone", ".age.onnx")])
def test_a_damaged_engine_in_the_cache_is_built_again(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, part: str
) -> None:
    fresh(tiny_model, tmp_path, monkeypatch)
    built = build_engine(tiny_model).with_suffix(part)
    crops, whole = example_crops(2, 32), built.read_bytes()
    expected = load_engine(tiny_model, device="cpu", engine="onnx").logits(crops)
    middle = len(whole) // 2
    built.write_bytes(whole[:middle] if damage == "cut" else whole[:middle] + b"damage" + whole[middle + 6 :])
    if damage == "gone":
        built.unlink()
    again = load_engine(tiny_model, device="cpu", engine="onnx").logits(crops)
    for task, values in expected.items():
        np.testing.assert_allclose(again[task], values, atol=1e-5)


def test_a_file_that_is_no_network_is_told(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(b"not a network")
    with pytest.raises(UserError, match="network.onnx.*: make the file again"):
        OnnxEngine(tmp_path / "network.onnx", ModelSpec.read(tiny_model))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "tflite"}, "no engine 'tflite'"),
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"device": "cpu:1"}, "no device 'cpu:1'"),
        ({"device": "cuda:99"}, "no CUDA device 99"),
        ({"threads": 0}, "at least one thread"),
        ({"model": "nobody"}, "no model 'nobody'"),
    ],
)
def test_a_wrong_choice_is_told(tiny_model: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_engine(**{"model": tiny_model, **options})


def test_auto_takes_int8_only_where_the_model_allows_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facial_attributes_ros.engines.load._has_int8_instructions", lambda: True)
    allowed = copy_of(tiny_model, tmp_path / "allowed", int8=True)
    assert load_engine(tiny_model, device="cpu").name == "onnx"
    assert load_engine(allowed, device="cpu").name == "onnx-int8"


def test_a_gpu_that_is_there_and_not_used_is_never_silent(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(load, "_has_nvidia_device", lambda: True)
    monkeypatch.setattr(load, "_cuda_devices", lambda _: 0)
    assert "torch finds no CUDA device" in load.unused_gpu()
    assert load.unused_gpu("cpu") == load.unused_gpu("cuda:0") == load.unused_gpu("auto", "onnx-int8") == ""
    load.load_engine(tiny_model, "auto", "onnx")
    assert "it is not used" in caplog.text
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "torch is not installed: pip install '.[torch]'" in load.unused_gpu()
    assert "install onnxruntime-gpu" in load.unused_gpu("auto", "onnx")
    with pytest.raises(UserError, match="device cuda needs PyTorch"):
        load.resolve_device("cuda")
    monkeypatch.setattr(load, "_cuda_devices", lambda _: 1)
    assert load.unused_gpu() == ""
