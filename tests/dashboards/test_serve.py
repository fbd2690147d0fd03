"""What the server lets in and sends: this machine's browser alone, nothing from elsewhere."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import urllib.request

import pytest

from dpprof.dashboards.app.app import make_app
from dpprof.dashboards.app.callback_bodies import is_known
from dpprof.dashboards.app.serve import address_of, guard, listen, serve
from dpprof.errors import DpprofError


@pytest.fixture(scope="module")
def client(library):
    app = make_app(library)
    guard(app.server, "127.0.0.1")
    return app.server.test_client()


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            DpprofError, match=rf"port {port} of 127\.0\.0\.1 cannot be used .*--port"
        ):
            listen("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_an_error():
    with pytest.raises(DpprofError, match="no such address here"):
        listen("no.such.host.invalid", 0)


def test_any_free_port():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port > 0
        assert address_of(listener, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        assert address_of(listener, "::1") == f"http://[::1]:{port}/"


def test_the_production_server_answers(library):
    listener = listen("127.0.0.1", 0)
    ready, failed = threading.Event(), []

    def run():
        try:
            serve(make_app(library), listener, "127.0.0.1", ready.set)
        except OSError as error:  # the listener is closed beneath it at the end
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    with urllib.request.urlopen(address_of(listener, "127.0.0.1")) as answer:
        assert answer.headers["Server"] == "dpprof"
        assert b"dash-renderer" in answer.read()


def test_an_interrupt_while_it_says_where_it_is_ends_it_well(library):
    def interrupted():
        raise KeyboardInterrupt

    serve(make_app(library), listen("127.0.0.1", 0), "127.0.0.1", interrupted)


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:80", 200), ("localhost", 200), ("[::1]:8050", 200), ("evil.example", 403)],
)
def test_only_local_names_are_answered(client, host, status):
    assert client.get("/", headers={"Host": host}).status_code == status


def test_a_host_of_ones_own_choice_is_answered_by_any_name(library):
    app = make_app(library)
    guard(app.server, "0.0.0.0")
    answer = app.server.test_client().get("/", headers={"Host": "node7.cluster"})
    assert answer.status_code == 200


def test_nothing_comes_from_elsewhere(client):
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "//cdn" not in answer.text
    assert "https://" not in answer.text


def test_the_trace_of_a_run_for_perfetto(client):
    answer = client.get("/perfetto/dualpipe.json.gz")
    assert answer.status_code == 200
    assert "dualpipe.json.gz" in answer.headers["Content-Disposition"]
    trace = json.loads(gzip.decompress(answer.data))
    assert {event["pid"] for event in trace["traceEvents"]} == {1, 2, 3, 4}


@pytest.mark.parametrize("id", ["nobody", "..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "traces"])
def test_no_other_file_is_served(client, id):
    answer = client.get(f"/perfetto/{id}.json.gz")
    assert answer.status_code == 404 or b"dash-renderer" in answer.data
    assert b"root:" not in answer.data


def test_answers_are_compressed_where_the_browser_takes_it(client):
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    layout = client.get("/_dash-layout", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert layout.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(layout.data))


def test_a_page_elsewhere_that_opens_this_one_gets_no_handle_of_it(client):
    policy = client.get("/").headers["Cross-Origin-Opener-Policy"]
    assert policy == "same-origin-allow-popups"


CROSS = {"Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/perfetto/dualpipe.json.gz", CROSS | {"Sec-Fetch-Mode": "no-cors"}, 403),
        ("/perfetto/dualpipe.json.gz", CROSS | {"Sec-Fetch-Mode": "navigate"}, 403),
        ("/", CROSS | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
        ("/", CROSS | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ("/", {"Origin": "http://evil.example"}, 403),
        ("/", {"Origin": "null"}, 403),
        ("/", {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_a_page_elsewhere_asks_for_nothing(client, path, headers, status):
    assert client.get(path, headers=headers).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b"\xff", b"[" * 20_000),
        b'{"output": 1}',
        b'{"output": "x.y", "inputs": 7, "outputs": {}}',
        b'{"output": "nav.children", "outputs": [], "inputs": [], "changedPropIds": []}',
    ],
)
def test_a_malformed_callback_is_refused(client, body, capsys):
    answer = client.post("/_dash-update-component", data=body, content_type="application/json")
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in capsys.readouterr().err


def test_unknown_components_are_not_there(client):
    assert client.get("/_dash-component-suites/nobody/x.js").status_code == 404


def test_with_a_token_only_those_who_know_it_are_answered(library):
    app = make_app(library)
    guard(app.server, "0.0.0.0", "secret")
    client = app.server.test_client()
    for path in ("/", "/_dash-layout", "/perfetto/dualpipe.json.gz", "/?token=wrong", "/?token="):
        assert client.get(path).status_code == 403
    answer = client.get("/?token=secret")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert client.get("/").status_code == 200
    client.set_cookie("dpprof-token", "wrong")
    assert client.get("/").status_code == 403


def test_connections_that_say_nothing_shut_nobody_out(library):
    listener = listen("127.0.0.1", 0)
    ready = threading.Event()
    threading.Thread(
        target=serve, args=(make_app(library), listener, "127.0.0.1", ready.set), daemon=True
    ).start()
    assert ready.wait(30)
    silent = [socket.create_connection(listener.getsockname()) for _ in range(300)]
    try:
        for one in silent:
            one.send(b"GET / HTTP/1.1\r\n")
        with urllib.request.urlopen(address_of(listener, "127.0.0.1"), timeout=30) as answer:
            assert answer.status == 200
    finally:
        for one in silent:
            one.close()


def test_every_input_of_every_callback_has_a_type(library):
    app = make_app(library)
    app.server.test_client().get("/")
    for known in app.callback_map.values():
        for one in (*known["inputs"], *known["state"]):
            id = json.loads(one["id"]) if one["id"].startswith("{") else one["id"]
            assert is_known(id, one["property"]), one
