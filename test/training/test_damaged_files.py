"""What a run or `prepare` wrote and somebody damaged is told in one sentence that names the file."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from facial_attributes_training.data.archive import index_archive
from facial_attributes_training.data.csv_tables import numbers, read_table
from facial_attributes_training.data.manifest import read_manifest
from facial_attributes_training.fit.step_log import read_steps
from facial_attributes_training.measure.paired import read_outcomes
from facial_attributes_training.prepare.scan import recorded_fingerprints, scan
from facial_attributes_training.reports.card.sources import read_json

from facial_attributes_ros.errors import UserError

DEEP, LONG = b"[" * 100_000 + b"]" * 100_000, b"9" * 5000
HEAD = b"path,source,gender,predicted_gender\n"


def read_log(path: Path) -> object:
    return scan(["/a.png"], path, {}, None)


@pytest.mark.parametrize("value", [DEEP, LONG, b'"wide"', b"1.5", b"true", b"\xff"])
def test_a_damaged_log_of_prepare_is_reported(value: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = tmp_path / "scan.jsonl"
    log.write_bytes(json.dumps({"settings": {}}).encode() + b'\n{"path": "/a.png", "width": ' + value + b"}\n")
    with pytest.raises(UserError, match=r"scan\.jsonl is damaged"):
        read_log(log)
    assert recorded_fingerprints(log) == {}
    assert "scan.jsonl is damaged" in caplog.text


@pytest.mark.parametrize("line", [b"[]", b'{"settings": 5}', b"{}", DEEP, b"\xff"], ids=repr)
def test_a_log_with_a_damaged_first_line_is_reported(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "scan.jsonl").write_bytes(line + b"\n")
    with pytest.raises(UserError, match=r"scan\.jsonl"):
        scan(["/a.png"], tmp_path / "scan.jsonl", {"boxes": "x"}, None)


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_outcomes, HEAD + b"x" * 140_000 + b",a,male,male\n"),
        (read_outcomes, HEAD + b"x\n"),
        (read_outcomes, HEAD + b"x,a,male,male,male\n"),
        (read_outcomes, HEAD + b"x,a,tall,male\n"),
        (read_outcomes, b"source,gender,predicted_gender\na,male,male\n"),
        (read_outcomes, HEAD + b"\xff,a,male,male\n"),
        (read_outcomes, b""),
        (read_manifest, b"path,gender\n" + b"x" * 140_000 + b",male\n"),
        (read_manifest, b"path,gender\na\0.png,male\n"),
        (read_manifest, "path,gender\na.png,male\n".encode("utf-16")),
        (read_manifest, b"path,gender\na.png,male\n" + b"x" * 5000 + b",male\n"),
        (read_json, DEEP),
        (read_json, LONG),
        (read_json, b"[]"),
        (read_json, b"\xff"),
    ],
)
def test_a_damaged_file_is_reported(read: Callable[[Path], object], content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match="file"):
        read(tmp_path / "file")


def test_a_pipe_that_is_named_as_an_archive_is_reported_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shard.tar")
    with pytest.raises(UserError, match=r"shard\.tar is not an ordinary file"):
        index_archive(tmp_path / "shard.tar")


def test_a_log_of_steps_may_end_in_the_middle_of_a_line_but_not_hold_anything_else(tmp_path: Path) -> None:
    (tmp_path / "steps.csv").write_text("step,loss\n1,0.5\n2")
    assert read_steps(tmp_path) == {"step": [1.0], "loss": [0.5]}
    (tmp_path / "steps.csv").write_text("step,loss\n1,low\n")
    with pytest.raises(UserError, match="something other than a number"):
        read_steps(tmp_path)


def test_a_table_without_a_column_is_reported(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,\n")
    with pytest.raises(UserError, match="has no column c"):
        read_table(tmp_path / "table.csv", ("a", "c"))
    (line,) = read_table(tmp_path / "table.csv", ("a",))
    assert str(numbers(tmp_path / "table.csv", line, line)) == "[1.0, nan]"
