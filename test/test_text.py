import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facial_attributes_ros.files import utf8_name
from facial_attributes_ros.text import age_text, json_line, plus_minus, printable, with_interval


@given(st.binary(max_size=20).map(os.fsdecode), st.sampled_from(["utf-8", "ascii", "latin-1"]))
def test_any_name_goes_through_json_and_back(name, encoding):
    line = json_line({"path": name}, encoding)
    assert json.loads(line.encode(encoding).decode(encoding)) == {"path": name}
    assert line.count("\n") == 1


@given(st.binary(max_size=20).map(os.fsdecode))
def test_any_name_is_shown_on_one_line(name):
    shown = printable(name)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not any(ord(char) < 32 for char in shown)


def test_letters_of_all_scripts_are_shown_as_they_are():
    assert printable("Müller, Jörg 脸 👤") == "Müller, Jörg 脸 👤"
    assert printable("a\nb\x1b[0m\u202e\udce9") == r"a\nb\x1b[0m\u202e\xe9"


@pytest.mark.parametrize("name", ["plain.txt", "Jörg.txt", os.fsdecode(b"caf\xe9.txt"), os.fsdecode(b"caf\xe9/a.txt")])
def test_a_library_that_wants_utf8_reads_and_writes_any_name(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    with utf8_name(tmp_path / name) as given_name:
        given_name.encode()
        assert given_name.startswith("/")
        assert given_name.endswith(".txt")
        with Path(given_name).open("w") as file:
            file.write("hello")
    assert (tmp_path / name).read_text() == "hello"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (plus_minus(31.4, 5.6, "years"), "31 ± 6 years"),
        (plus_minus(0.12, 0.034, digits=2), "0.12 ± 0.03"),
        (plus_minus(31.4, math.nan, "years"), "31 years"),
        (plus_minus(math.nan, math.nan, "years"), "unknown"),
        (age_text(29.8, 5.6), "29 ± 6 years"),
        (age_text(math.nan, math.nan), "unknown"),
        (with_interval(0.539, 0.516, 0.556, percent=True, unit="%"), "53.9 % [51.6, 55.6]"),
        (with_interval(0.539, 0.516, 0.556, percent=True), "53.9 [51.6, 55.6]"),
        (with_interval(5.123, 4.9, 5.4, 2, unit="years"), "5.12 years [4.90, 5.40]"),
        (with_interval(0.01, -0.002, 0.02, percent=True, sign=True), "+1.0 [-0.2, +2.0]"),
    ],
)
def test_estimates_are_written_with_their_errors(written, expected):
    assert written == expected
