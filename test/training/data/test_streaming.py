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
from facial_attributes_training.data import streaming
from facial_attributes_training.data.archive import ImageReader, decode_image
from facial_attributes_training.data.manifest import Manifest, Row
from facial_attributes_training.data.streaming import ShardStream, acceptance
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
    """Four shards of 25 images; every image's shade is its number."""
    for shard in range(SHARDS):
        make_shard(tmp_path / f"{shard}.tar", EACH * shard)
    return tmp_path


def manifest(base: object) -> Manifest:
    return Manifest.from_rows(Row(f"{base}/{index // EACH}.tar#{index}.png") for index in range(SHARDS * EACH))


def rows(stream: ShardStream, number: int = 0, **share: int) -> list[int]:
    found = []
    for row, data in stream.round(number, **share):
        assert decode_image(data, "")[0, 0, 0] == row
        found.append(row)
    return found


def test_every_sample_comes_once_and_mixed(folder: Path) -> None:
    stream = ShardStream(manifest(folder), buffer=20)
    first = rows(stream)
    assert sorted(first) == list(range(SHARDS * EACH))
    assert first != sorted(first)
    assert first == rows(ShardStream(manifest(folder), buffer=20))
    assert first != rows(stream, 1)
    assert first != rows(ShardStream(manifest(folder), seed=1, buffer=20))


def test_readers_share_the_shards_or_the_samples_and_accept_the_same(folder: Path) -> None:
    stream = ShardStream(manifest(folder), np.full(SHARDS * EACH, 0.5))
    for readers in (3, 7):
        parts = [rows(stream, reader=reader, readers=readers) for reader in range(readers)]
        assert sorted(row for part in parts for row in part) == sorted(rows(stream))


def test_samples_are_accepted_by_their_probability(folder: Path) -> None:
    probabilities = np.where(np.arange(SHARDS * EACH) % 2, 0.9, 0.1)
    stream = ShardStream(manifest(folder), probabilities)
    counts = Counter(row for number in range(40) for row in rows(stream, number))
    odd, even = (sum(counts[row] for row in range(start, SHARDS * EACH, 2)) for start in (1, 0))
    assert odd == pytest.approx(40 * 50 * 0.9, rel=0.05)
    assert even == pytest.approx(40 * 50 * 0.1, rel=0.2)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.floats(0.01, 1))
def test_probabilities_are_proportional_and_have_the_wanted_mean(weights: list[float], share: float) -> None:
    probabilities = acceptance(weights, share)
    assert probabilities.mean() == pytest.approx(share, rel=1e-6)
    assert (probabilities <= 1).all()
    free = probabilities < 1
    ratios = probabilities[free] / np.array(weights)[free]
    assert ratios == pytest.approx(np.full(len(ratios), ratios.max(initial=0)), rel=1e-9)


@pytest.mark.parametrize(("weights", "share"), [([0, 0], 0.5), ([-1, 1], 0.5), ([1], 0), ([1], 1.5)])
def test_weights_and_fractions_that_make_no_sense_are_refused(weights: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="weights must"):
        acceptance(weights, share)


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A web server that breaks off in the middle of shard 1 once, and of shard 2 always."""
    monkeypatch.setattr(streaming, "PAUSE", 0.0)
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = Path(self.path).name
            asked[name] += 1
            if not (folder / name).exists():
                self.send_error(404)
                return
            data = (folder / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            cut = name == "2.tar" or (name == "1.tar" and asked[name] == 1)
            self.wfile.write(data[: len(data) // 2] if cut else data)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = asked  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_shard_that_broke_off_resumes_where_it_stopped(server: ThreadingHTTPServer) -> None:
    remote = manifest(f"http://127.0.0.1:{server.server_port}")
    assert sorted(rows(ShardStream(remote.take(np.arange(2 * EACH))))) == list(range(2 * EACH))
    with pytest.raises(UserError, match="can't be read to its end"):
        rows(ShardStream(remote))


def test_what_the_server_does_not_have_is_not_asked_for_again(server: ThreadingHTTPServer) -> None:
    missing = Manifest.from_rows([Row(f"http://127.0.0.1:{server.server_port}/none.tar#0.png")])
    with pytest.raises(UserError, match=r"none\.tar can't be read to its end: HTTP Error 404"):
        rows(ShardStream(missing))
    assert server.asked["none.tar"] == 1  # type: ignore[attr-defined]


def test_rounds_follow_each_other_without_end(folder: Path) -> None:
    stream = ShardStream(manifest(folder), np.full(SHARDS * EACH, 0.5))
    endless = stream.endless(3, reader=1, readers=2)
    taken = [next(endless)[0] for _ in range(3 * SHARDS * EACH)]
    assert len(set(taken)) > EACH
    again = stream.endless(3, reader=1, readers=2)
    assert [next(again)[0] for _ in range(100)] == taken[:100]
    nothing = Manifest.from_rows([Row(f"{folder}/0.tar#none.png")])
    with pytest.raises(UserError, match="none of the manifest's samples"):
        next(ShardStream(nothing).endless(0))


def test_what_can_not_be_streamed_gets_a_sentence(folder: Path) -> None:
    for path, sentence in ((f"{folder}/a.jpg", "only images in tar"), ("pipe://x/a.tar#b", "may begin with http")):
        with pytest.raises(UserError, match=sentence):
            ShardStream(Manifest.from_rows([Row(path)]))
    with pytest.raises(UserError, match="on another machine"):
        ImageReader().read("http://127.0.0.1/a.tar#b.jpg")
    with pytest.raises(UserError, match="can't be read to its end"):
        rows(ShardStream(Manifest.from_rows([Row(f"{folder}/none.tar#a.jpg")])))
