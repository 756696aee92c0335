"""Shards that are read from front to back, from disk and from a web server that breaks off."""

import io
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from facial_attributes_training.archive import PictureReader
from facial_attributes_training.manifest import Manifest, Row
from facial_attributes_training.streaming import ShardStream, acceptance
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.errors import UserError

SHARDS, EACH = 4, 25


def make_shard(path: Path, first: int) -> None:
    with tarfile.open(path, "w") as archive:
        for index in range(first, first + EACH):
            data = bytes(cv2.imencode(".png", np.full((8, 8, 3), index, np.uint8))[1])
            entry = tarfile.TarInfo(f"{index}.png")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four shards of 25 pictures; every picture's shade is its number."""
    for shard in range(SHARDS):
        make_shard(tmp_path / f"{shard}.tar", EACH * shard)
    return tmp_path


def manifest(base: object) -> Manifest:
    return Manifest.from_rows(Row(f"{base}/{index // EACH}.tar#{index}.png") for index in range(SHARDS * EACH))


def rows(stream: ShardStream, epoch: int = 0, **share: int) -> list[int]:
    found = []
    for row, picture in stream.epoch(epoch, **share):
        assert picture[0, 0, 0] == row
        found.append(row)
    return found


def test_every_row_comes_once_and_mixed(folder: Path) -> None:
    stream = ShardStream(manifest(folder), buffer=20)
    first = rows(stream)
    assert sorted(first) == list(range(SHARDS * EACH))
    assert first != sorted(first)
    assert first == rows(ShardStream(manifest(folder), buffer=20))
    assert first != rows(stream, epoch=1)
    assert first != rows(ShardStream(manifest(folder), seed=1, buffer=20))


def test_workers_share_the_shards_and_accept_the_same_rows(folder: Path) -> None:
    stream = ShardStream(manifest(folder), np.full(SHARDS * EACH, 0.5))
    parts = [rows(stream, worker=worker, workers=3) for worker in range(3)]
    assert sorted(row for part in parts for row in part) == sorted(rows(stream))


def test_rows_are_accepted_by_their_chance(folder: Path) -> None:
    chances = np.where(np.arange(SHARDS * EACH) % 2, 0.9, 0.1)
    stream = ShardStream(manifest(folder), chances)
    counts = Counter(row for epoch in range(40) for row in rows(stream, epoch))
    odd, even = (sum(counts[row] for row in range(start, SHARDS * EACH, 2)) for start in (1, 0))
    assert odd == pytest.approx(40 * 50 * 0.9, rel=0.05)
    assert even == pytest.approx(40 * 50 * 0.1, rel=0.2)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.floats(0.01, 1))
def test_chances_are_proportional_and_have_the_share_for_their_mean(weights: list[float], share: float) -> None:
    chances = acceptance(weights, share)
    assert chances.mean() == pytest.approx(share, rel=1e-6)
    assert (chances <= 1).all()
    free = chances < 1
    ratios = chances[free] / np.array(weights)[free]
    assert ratios == pytest.approx(np.full(len(ratios), ratios.max(initial=0)), rel=1e-9)


@pytest.mark.parametrize(("weights", "share"), [([0, 0], 0.5), ([-1, 1], 0.5), ([1], 0), ([1], 1.5)])
def test_weights_and_shares_that_make_no_sense_are_refused(weights: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="weights must"):
        acceptance(weights, share)


@pytest.fixture
def server(folder: Path) -> Iterator[ThreadingHTTPServer]:
    """A web server that breaks off in the middle of shard 1 once, and of shard 2 always."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = Path(self.path).name
            asked[name] += 1
            data = (folder / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            cut = name == "2.tar" or (name == "1.tar" and asked[name] == 1)
            self.wfile.write(data[: len(data) // 2] if cut else data)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_shard_that_broke_off_goes_on_where_it_was(server: ThreadingHTTPServer) -> None:
    remote = manifest(f"http://127.0.0.1:{server.server_port}")
    assert sorted(rows(ShardStream(remote.take(np.arange(2 * EACH))))) == list(range(2 * EACH))
    with pytest.raises(UserError, match="can't be read to its end"):
        rows(ShardStream(remote))


def test_a_broken_picture_is_passed_over(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = PictureReader()
    index.index([f"{folder}/0.tar#0.png"])
    offset, _ = index._index_of(f"{folder}/0.tar")["3.png"]
    with (folder / "0.tar").open("r+b") as file:
        file.seek(offset)
        file.write(b"rubbish")
    assert sorted(rows(ShardStream(manifest(folder)))) == [row for row in range(SHARDS * EACH) if row != 3]
    assert "0.tar#3.png" in caplog.text


def test_what_can_not_be_streamed_gets_a_sentence(folder: Path) -> None:
    for path, sentence in ((f"{folder}/a.jpg", "only pictures in tar"), ("pipe://x/a.tar#b", "may begin with http")):
        with pytest.raises(UserError, match=sentence):
            ShardStream(Manifest.from_rows([Row(path)]))
    with pytest.raises(UserError, match="on another machine"):
        PictureReader().read("http://127.0.0.1/a.tar#b.jpg")
    with pytest.raises(UserError, match="can't be read to its end"):
        rows(ShardStream(Manifest.from_rows([Row(f"{folder}/none.tar#a.jpg")])))
