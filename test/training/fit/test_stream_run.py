"""Training from shards on a web server."""

import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from facial_attributes_training.data import streaming
from facial_attributes_training.data.manifest import Manifest, Row, read_manifest, write_manifest
from facial_attributes_training.data.stream_inputs import StreamedCrops, StreamPlan
from facial_attributes_training.data.streaming import acceptance
from facial_attributes_training.fit.loop import StepReport
from facial_attributes_training.fit.run import train
from facial_attributes_training.fit.run_folder import LAST
from safetensors.torch import load_file

from facial_attributes_ros.errors import UserError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture
def shards(manifest, tmp_path):
    """Return a manifest of the same images in three shards, in which one image is broken."""
    folder = tmp_path / "shard s"
    folder.mkdir()
    rows = list(read_manifest(manifest).rows())
    (tmp_path / "faces" / "5.png").write_bytes(b"no picture")
    for number in range(3):
        with tarfile.open(folder / f"{number}.tar", "w") as archive:
            for index in range(number, len(rows), 3):
                archive.add(rows[index].path, f"{index}.png")
    moved = [
        Row(f"{folder}/{index % 3}.tar#{index}.png", row.split, row.source, row.labels, box=row.box)
        for index, row in enumerate(rows)
    ]
    write_manifest(tmp_path / "shards.csv", Manifest.from_rows(moved))
    return tmp_path / "shards.csv"


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "PAUSE", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def make_streamed(make_recipe, manifest, shards, server):
    """Return a function from a run's name to a recipe that trains from the server."""
    data = {
        "train": [{"manifest": str(shards), "address": server}],
        "validation": [{"manifest": str(manifest)}],
    }
    return partial(
        make_recipe,
        data=data,
        augmentation={},
        checkpoint_minutes=0,
        sampler={"balance": 1.0, "stream_share": 0.6, "epoch_rows": 24},
    )


class StopAfter(StepReport):
    def __init__(self, steps):
        self.left = steps

    def step(self, *_args):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_streamed_run_that_is_stopped_resumes_bit_for_bit(tmp_path, make_streamed, caplog):
    whole = train(make_streamed("whole"))
    assert "5.png" in caplog.text
    recipe = make_streamed("stopped")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, make_report=lambda *_args: StopAfter(4))
    resumed = train(recipe, resume=True)
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    ends = [torch.load(tmp_path / run / "stage" / LAST, weights_only=True)["progress"] for run in ("whole", "stopped")]
    assert ends[0]["history"] == ends[1]["history"]


def test_batches_are_the_same_whoever_takes_turns_and_wherever_they_begin(shards):
    crops = StreamedCrops(read_manifest(shards), 16, 0.0)

    def batches(workers, **plan):
        found = crops.batches(StreamPlan(1, 24, 8, parts=2, **plan), workers, False)
        return [batch.rows.tolist() for batch in found]

    for workers in (0, 2):
        whole = batches(workers)
        assert [len(rows) for rows in whole] == [4] * 6
        assert batches(workers) == whole
        assert batches(workers, start=1) == whole[2:]
    assert [len(rows) for rows in batches(0, rank=1, processes=2)] == [2] * 6


def test_what_is_rare_is_seen_as_often(shards):
    rare = np.arange(24) % 4 == 0
    probabilities = acceptance(np.where(rare, 3.0, 1.0), 0.5)
    crops = StreamedCrops(read_manifest(shards), 16, 0.0).accepting(probabilities)
    taken = np.concatenate([batch.rows for batch in crops.batches(StreamPlan(0, 2000, 50), 0, False)])
    assert rare[taken].mean() == pytest.approx(0.5, abs=0.06)


def test_a_server_that_is_gone_or_data_that_can_not_be_streamed_is_reported(tmp_path, make_streamed, shards, server):
    gone = {"train": [{"manifest": str(shards), "address": "http://127.0.0.1:9"}]}
    recipe = make_streamed("gone", workers=1)
    broken = recipe.model_copy(update={"data": type(recipe.data).model_validate(recipe.data.model_dump() | gone)})
    with pytest.raises(UserError, match=r"^the shard http://127\.0\.0\.1:9/shard%20s/\d\.tar can't be read"):
        train(broken)
    assert not (tmp_path / "gone").exists()
    with pytest.raises(UserError, match="set cache=null"):
        train(make_streamed("cached", adaptation="lp", cache={"folder": str(tmp_path / "cache")}, augmentation=None))
