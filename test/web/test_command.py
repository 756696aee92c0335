"""`facial-attributes web` prints where the page is, and ends cleanly; what it is given wrongly is one sentence."""

import re
import threading

import pytest

from facial_attributes_ros.cli.main import main
from facial_attributes_ros.web.serve import WebServer


def test_the_address_is_printed_and_ctrl_c_stops_the_server(capsys, monkeypatch):
    def interrupted(server):
        assert server.running
        raise KeyboardInterrupt

    monkeypatch.setattr(WebServer, "wait", interrupted)
    assert main(["web"]) == 130
    assert re.fullmatch(r"Open http://127\.0\.0\.1:\d+/ in a browser; Ctrl-C ends\.\n", capsys.readouterr().out)
    assert "web-server" not in {thread.name for thread in threading.enumerate()}


def test_beyond_this_machine_it_warns_and_the_address_has_a_token(capsys, monkeypatch, caplog):
    monkeypatch.setattr(WebServer, "wait", lambda server: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["-v", "web", "--host", "0.0.0.0"]) == 130
    printed = capsys.readouterr()
    token = re.search(r"\?token=([\w-]{32})", printed.out)[1]
    assert printed.err.count("warning: ") == 2
    assert token not in printed.err + caplog.text


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--model", "nothing"], "There is no model 'nothing'"),
        (["--tasks", "age,mood"], "no task mood"),
        (["--port", "70000"], "from 0 to 65535"),
        (["--host", "192.0.2.1"], "cannot be had"),
        (["--device", "tpu"], "no device"),
        (["--certificate", "missing.pem"], "cannot be used"),
    ],
)
def test_a_mistake_is_one_sentence(capsys, wrong, sentence):
    assert main(["web", *wrong]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
