"""The server takes a free port, says which, and leaves nothing behind."""

import socket
import threading

import pytest
from websockets.exceptions import ConnectionClosed

from facial_attributes_ros.errors import UserError


def test_stop_ends_threads_and_open_connections_and_frees_the_port(make_server, client_of):
    before = threading.active_count()
    running = make_server()
    running.start()
    client = client_of(running)
    with client.socket("/frame/echo") as open_one:
        running.stop()
        with pytest.raises(ConnectionClosed):
            open_one.recv(timeout=5)
    assert not running.running
    assert threading.active_count() <= before + 1  # a thread of the client
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", client.address.port))


def test_two_servers_have_two_ports(make_server):
    one, two = make_server(), make_server()
    assert one.url != two.url
    one.stop()
    two.stop()


@pytest.mark.parametrize("wrong", [{"port": 70000}, {"host": "192.0.2.1"}, {"host": "no such host"}], ids=str)
def test_an_address_that_cannot_be_had_is_a_sentence(make_server, wrong):
    with pytest.raises(UserError, match=r"cannot be had|no port"):
        make_server(**wrong)


def test_a_port_that_is_taken_is_a_sentence(make_server):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="cannot be had"):
        make_server(port=taken.getsockname()[1])


def test_a_certificate_that_is_none_is_a_sentence(make_server, tmp_path):
    (tmp_path / "none.pem").write_text("nothing")
    for name in ("none.pem", "missing.pem"):
        with pytest.raises(UserError, match="cannot be used"):
            make_server(certificate=tmp_path / name)
