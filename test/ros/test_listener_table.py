"""The table of the listener: what it says at every width, and that it stays in its place. Needs no ROS."""

import fcntl
import os
import pty
import re
import struct
import termios
from types import SimpleNamespace

import pytest

from facial_attributes_ros.ros.listener.display import Lines, Table, open_display
from facial_attributes_ros.ros.listener.screen import can_draw
from facial_attributes_ros.ros.listener.table import table_lines

PERSON = {
    "id": "f382t3df",
    "age": 44.6,
    "age_stddev": 9.0,
    "age_group": "40-49",
    "age_group_probabilities": {"40-49": 0.93},
    "gender": "male",
    "gender_probabilities": {"male": 0.87},
    "emotion": None,
    "emotion_probabilities": {"happy": 0.4},
}


class Terminal:
    """A terminal of a size, and what stands on it: enough of an emulator for what a screen writes."""

    def __init__(self, columns=80, rows=24):
        self.master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w")
        self.lines, self.row = [""], 0
        self.resize(columns, rows)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """Everything that was written since."""
        os.set_blocking(self.master, False)
        data = b""
        while True:
            try:
                data += os.read(self.master, 65536)
            except BlockingIOError:
                return data.decode()

    def shown(self):
        """The lines that stand on the terminal after what was written since."""
        for token in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.read()):
            if token == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif token.endswith("A") and token.startswith("\x1b"):
                self.row -= int(token[2:-1])
            elif token == "\x1b[J":
                del self.lines[self.row + 1 :]
                self.lines[self.row] = ""
            elif token == "\x1b[H":
                self.row = 0
            elif token == "\x1b[2J":
                self.lines = [""]
            elif not token.startswith("\x1b") and token != "\r":
                self.lines[self.row] += token
        return [line for line in self.lines if line]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def message(*ids):
    roi = SimpleNamespace(x_offset=1, y_offset=2, width=30, height=40)
    stamp = SimpleNamespace(sec=1, nanosec=2)
    faces = [
        SimpleNamespace(
            id=name, roi=roi, detection_confidence=0.9, landmarks=[0.0] * 10, age=31.0, age_stddev=6.0,
            age_group=4, age_group_probabilities=[0, 0, 0, 0.2, 0.8, 0, 0, 0, 0], gender=1,
            gender_probabilities=[0.1, 0.9], emotion=255, emotion_probabilities=[1 / 7] * 7, observations=7,
            updated=stamp,
        )
        for name in ids
    ]  # fmt: skip
    return SimpleNamespace(faces=faces, header=SimpleNamespace(stamp=stamp))


def test_a_line_a_person_with_what_is_unknown():
    title, line = table_lines([PERSON], 79, 20)
    assert title.split() == ["id", "age", "group", "gender", "emotion"]
    assert line == "f382t3df   44 ± 9 years   40-49 93%     male 87%      unknown"


@pytest.mark.parametrize("columns", [1, 10, 25, 38, 45, 60, 200])
@pytest.mark.parametrize("rows", [1, 2, 5, 40])
def test_a_table_fits_its_terminal_and_says_how_many_are_not_shown(columns, rows):
    people = [PERSON | {"id": f"f{number}"} for number in range(24)]
    lines = table_lines(people, columns, rows)
    assert len(lines) <= rows
    assert max(len(line) for line in lines) <= columns
    if 2 < rows < 24 and columns > 20:
        assert lines[-1] == f"... and {24 - (len(lines) - 2)} more"
    if rows > 24 and columns >= 38:
        assert all("44 ± 9" in line and "unknown" in line for line in lines[1:])


def test_the_table_stays_in_its_place_and_what_is_logged_stands_above(terminal):
    display = open_display(terminal.stream)
    display.refresh()
    assert terminal.shown() == ["No message yet."]
    display.show(message("fa", "fb"), 0.05)
    display.refresh()
    display.print("[perception]: Model small runs")
    display.show(message("fb"), 0.05)
    display.show(message("fb", "fc", "fa"), 0.05)
    display.refresh()
    log, status, _, *people = terminal.shown()
    assert log == "[perception]: Model small runs"
    assert status.startswith("faces: 3, ")
    assert [line.split()[0] for line in people] == ["fb", "fc", "fa"]
    assert "31 ± 6 years" in people[0]


def test_a_terminal_that_changes_its_size_is_drawn_anew(terminal):
    display = open_display(terminal.stream)
    display.print("a line of a log")
    display.show(message("fa"), 0.05)
    display.refresh()
    terminal.shown()
    terminal.resize(30, 5)
    display.refresh()
    log, status, _, person = terminal.shown()
    assert (log, status) == ("a line of a log", "faces: 1, latency 50 ms")
    assert person.startswith("31 ± 6")


def test_nothing_is_written_while_nothing_changes(terminal):
    display = open_display(terminal.stream)
    display.refresh()
    terminal.read()
    display.refresh()
    assert terminal.read() == ""


def test_no_color_leaves_the_text_without_styles(terminal, monkeypatch):
    open_display(terminal.stream).refresh()
    assert "\x1b[1m" in terminal.read()
    monkeypatch.setenv("NO_COLOR", "1")
    open_display(terminal.stream).refresh()
    assert "m" not in terminal.read().replace("No message yet.", "")


def test_a_pipe_and_a_simple_terminal_get_lines(tmp_path, terminal, monkeypatch):
    with (tmp_path / "out").open("w") as file:
        assert isinstance(open_display(file), Lines)
    assert isinstance(open_display(terminal.stream), Table)
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw(terminal.stream)
