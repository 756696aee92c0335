"""Nobody but our own pages is answered, whatever a browser can be made to send; every response has the headers."""

import pytest

from facial_attributes_ros.web.security import SESSIONS, Access, host_name, is_loopback

LOCAL = Access.of("127.0.0.1")


def test_a_page_of_this_machine_is_answered(client):
    assert client.get("/frame").status == 200
    assert client.status_of_socket("/frame/echo") == 101


def test_the_first_page_is_at_the_root(client):
    response = client.get("/")
    assert (response.status, response.headers["location"]) == (303, "/frame")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.0.2.1", "", "a@b", "[::1"]
)
def test_a_foreign_name_is_refused_by_requests_and_sockets(client, host):
    """DNS rebinding: a foreign name that resolves to this machine."""
    assert client.get("/frame", Host=host).status in (400, 403)
    if host and "@" not in host and "[" not in host:
        assert client.status_of_socket("/frame/echo", Host=host, Origin=f"http://{host}") == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
    ids=str,
)
def test_what_another_site_asks_for_is_refused(client, headers):
    assert client.get("/frame", **headers).status == 403
    assert client.get("/static/style.css", **headers).status == 403
    assert client.status_of_socket("/frame/echo", **headers) == 403


def test_a_link_from_another_site_opens_a_page_and_no_socket(client):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert client.get("/frame", **link).status == 200
    assert client.status_of_socket("/frame/echo", **link) == 403
    assert client.get("/frame/length", "POST", b"x", **link).status == 403


def test_a_change_without_an_origin_is_refused(client):
    assert client.get("/frame/length", "POST", b"x").status == 403
    assert client.get("/frame/length", "POST", b"x", Origin=f"http://{client.host}").text == "1"


def test_a_forwarded_port_works(client):
    assert client.get("/frame", Host="localhost:9000", Origin="http://localhost:9000").status == 200


def test_a_body_that_is_too_long_is_not_received(client):
    with pytest.raises(ConnectionError):  # the server hangs up
        status = client.get("/frame/length", "POST", bytes(3 << 20), Origin=f"http://{client.host}").status
        raise ConnectionError(status) if status >= 400 else AssertionError(status)


def test_every_response_has_the_headers(client):
    for path in ("/frame", "/static/style.css", "/nowhere", "/"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert f"ws://{client.host}" in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
    assert client.get("/frame", Host="evil.example").headers["x-frame-options"] == "DENY"


def test_a_name_that_was_allowed_is_answered():
    access = Access.of("127.0.0.1", ["robot.example"])
    assert access.knows("Robot.example:8000")
    assert not access.knows("other.example:8000")


class TestBeyondThisMachine:
    @pytest.fixture(scope="class")
    def access(self):
        return Access.of("0.0.0.0")

    @pytest.fixture(scope="class")
    def client(self, access, serve):
        with serve(access=access, host="0.0.0.0") as client:
            yield client

    def test_the_address_has_the_token_and_nothing_works_without_it(self, client, access):
        assert access.token in client.address.query
        for path in ("/frame", "/static/style.css", "/frame?token=wrong", "/frame?token="):
            assert client.get(path).status == 401
        assert client.status_of_socket("/frame/echo") == 403
        assert client.status_of_socket(f"/frame/echo?token={access.token}") == 403

    def test_the_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_do_not_get(self, client, access):
        response = client.get(f"/frame?token={access.token}")
        assert (response.status, response.headers["location"]) == (303, "/frame")
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert access.token not in cookie
        pair = cookie.partition(";")[0]
        page = client.get("/frame", Cookie=pair, Host="192.0.2.1:80")
        assert page.status == 401  # the cookie is of another port
        assert "cross-origin-opener-policy" not in page.headers  # browsers ignore it there, with an error
        assert client.get("/frame", Cookie=pair).status == 200
        assert client.status_of_socket("/frame/echo", Cookie=pair) == 101
        assert client.get(f"/frame?token={access.token}", Cookie=pair).headers["location"] == "/frame"

    def test_the_exchange_leads_to_no_other_server(self, client, access):
        assert client.get(f"//evil.example?token={access.token}").headers["location"] == "/evil.example"

    def test_an_address_is_answered_and_a_foreign_name_is_not(self, access):
        assert access.knows("192.0.2.1:80")
        assert not access.knows("evil.example")

    def test_a_wrong_cookie_is_refused(self, client):
        assert client.get("/frame", Cookie=f"facial-attributes-{client.address.port}=wrong").status == 401
        assert client.get("/frame", Cookie="=;;;\x7f").status == 401

    def test_old_browsers_leave_when_new_ones_come(self):
        access = Access.of("0.0.0.0")
        sessions = [access.new_session() for _ in range(SESSIONS + 1)]
        assert not access.admits(sessions[0])
        assert access.admits(sessions[1])


def test_loopback_and_names_of_hosts():
    assert [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "robot")] == [True] * 3 + [
        False
    ] * 2
    assert host_name("[::1]:80") == "::1"
    assert host_name("a/b") == host_name("a:port") == ""
    assert not LOCAL.token
