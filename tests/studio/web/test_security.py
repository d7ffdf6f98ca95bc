"""The security table: request and answer."""

import gzip
import re
import socket

import pytest
from served_studio import Served, served

from studio.web.access import Access
from studio.web.requests import AUDIO_BYTES, JSON_BYTES

JSON = {"content-type": "application/json"}
PLAY = b'{"client": "a", "job": "b", "model": "noise", "seconds": 0.01, "engine": "torch"}'

TABLE = [
    # method, path, headers, body, status
    ("GET", "/", {}, b"", 200),
    ("GET", "/", {"host": "localhost:{port}"}, b"", 200),
    ("GET", "/", {"host": "evil.example"}, b"", 403),
    ("GET", "/", {"host": "evil.example:{port}"}, b"", 403),
    ("GET", "/", {"host": "127.0.0.1:1"}, b"", 403),
    ("GET", "/", {"host": "127.0.0.1.evil.example:{port}"}, b"", 403),
    ("GET", "/", {"host": ""}, b"", 403),
    ("GET", "/api/models", {"origin": "http://127.0.0.1:{port}"}, b"", 200),
    ("GET", "/api/models", {"origin": "http://evil.example"}, b"", 403),
    ("GET", "/api/models", {"origin": "https://127.0.0.1:{port}"}, b"", 403),
    ("GET", "/api/models", {"origin": "null"}, b"", 403),
    ("GET", "/api/models", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, b"", 403),
    ("GET", "/api/models", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, b"", 403),
    (
        "GET",
        "/",
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
        b"",
        200,
    ),
    ("GET", "/", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, b"", 403),
    ("POST", "/api/play", JSON, PLAY, 200),
    ("POST", "/api/play", {**JSON, "origin": "http://evil.example"}, PLAY, 403),
    ("POST", "/api/play", {"content-type": "text/plain"}, PLAY, 415),
    ("POST", "/api/play", JSON, b"{", 400),
    ("POST", "/api/play", JSON, b"[" * 50_000, 400),
    ("POST", "/api/play", JSON, b" " * (JSON_BYTES + 1), 413),
    ("POST", "/api/play", JSON, PLAY.replace(b'"noise"', b'"../../etc/passwd"'), 400),
    ("POST", "/api/play", JSON, PLAY.replace(b'"noise"', b'"/etc/passwd"'), 400),
    ("POST", "/api/segment?client=a&model=/etc/passwd", {}, b"x", 400),
    ("GET", "/api/training/runs/..", {}, b"", 400),
    ("GET", "/api/training/runs/%2e%2e", {}, b"", 400),
    ("POST", "/api/training/start", {"content-type": "text/plain"}, b"{}", 415),
    ("POST", "/api/training/start", {**JSON, "origin": "http://evil.example"}, b"{}", 403),
    ("POST", "/api/play", JSON, PLAY.replace(b'"b"', b'"<script>"'), 400),
    ("GET", "/api/play", {}, b"", 405),
    ("GET", "/page/app.js", {}, b"", 200),
    ("GET", "/page/../server/app.py", {}, b"", 404),
    ("GET", "/page/..%2fserver%2fapp.py", {}, b"", 404),
    ("GET", "/page/%2e%2e/cli.py", {}, b"", 404),
    ("GET", "/api/clips/nothing?rate=8000", {}, b"", 404),
    ("GET", "/api/clips/..%2f..%2fetc%2fpasswd?rate=8000", {}, b"", 404),
    ("POST", "/api/clips?client=a&name=x.wav", {}, b"no sound at all", 400),
    ("POST", "/api/clips?client=a&name=x.wav", {"content-length": str(3 * AUDIO_BYTES)}, b"", 413),
    ("GET", "/nowhere", {}, b"", 404),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), TABLE)
def test_request_and_answer(studio: Served, method, path, headers, body, status):
    filled = {name: value.format(port=studio.port) for name, value in headers.items()}
    if "content-length" in headers:  # announced, and then only begun
        assert _begun(studio, path, filled["content-length"]) == status
    else:
        answer = studio.ask(method, path, body, filled)
        assert answer.status == status
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"Traceback" not in answer.body
        assert str(studio.scratch).encode() not in answer.body
    assert list(studio.scratch.iterdir()) == []


def test_an_oversized_upload_of_unknown_length_leaves_nothing(studio: Served):
    connection = studio.connect()
    part = bytes(2**20)
    connection.request(
        "POST", "/api/clips?client=a&name=x.wav", (part for _ in range(AUDIO_BYTES // 2**20 + 2)), encode_chunked=True
    )
    response = connection.getresponse()
    assert response.status == 413
    assert "at most" in response.read().decode()
    assert list(studio.scratch.iterdir()) == []


TOKENS = [
    ("/", 403),
    ("/wrong/", 403),
    ("/secret", 307),
    ("/secret/", 200),
    ("/secretx/", 403),
    ("/secret/api/models", 200),
    ("/api/models", 403),
    ("/api/models?token=secret", 403),
    ("/SECRET/api/models", 403),
]


@pytest.fixture(scope="module")
def open_studio(data, tmp_path_factory):
    with served(data, tmp_path_factory.mktemp("scratch"), host="0.0.0.0", token="secret") as found:
        yield found


@pytest.mark.parametrize(("path", "status"), TOKENS)
def test_the_token_and_only_the_token(open_studio: Served, path, status):
    assert open_studio.get(path).status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.168.1.7:{port}", 200), (socket.gethostname() + ":{port}", 200), ("evil.example:{port}", 403)],
)
def test_hosts_where_others_can_connect(open_studio: Served, host, status):
    assert open_studio.get("/secret/", host=host.format(port=open_studio.port)).status == status


def test_a_token_is_made_unless_only_this_machine_can_connect():
    assert Access.of("127.0.0.1", 80).token is None
    assert Access.of("::1", 80).token is None
    one, other = Access.of("0.0.0.0", 80), Access.of("0.0.0.0", 80)
    assert one.token
    assert one.token != other.token
    assert one.url.endswith(f":80/{one.token}/")


def _begun(studio: Served, path: str, length: str) -> int:
    connection = studio.connect()
    connection.putrequest("POST", path)
    connection.putheader("content-length", length)
    connection.endheaders()
    connection.send(b"x" * 10)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_files_of_the_page_are_compressed_where_the_browser_can_read_that(studio: Served):
    for name in ("", "page/app.js", "page/style.css"):
        plain, small = studio.get(f"/{name}"), studio.get(f"/{name}", accept_encoding="gzip, br")
        assert "content-encoding" not in plain.headers
        assert small.headers["content-encoding"] == "gzip"
        assert gzip.decompress(small.body) == plain.body
        assert len(small.body) < 0.6 * len(plain.body)
        assert small.headers["content-security-policy"] == plain.headers["content-security-policy"]


def test_every_module_of_the_first_page_is_asked_for_at_once(studio: Served):
    """Or the browser finds them one after the other, each after the one that imports it."""
    asked = set(re.findall(r'rel="modulepreload" href="page/([a-z]+\.js)"', studio.get("/").body.decode()))
    needed, new = set(), {"app.js"}
    while new:
        name = new.pop()
        needed.add(name)
        text = studio.get(f"/page/{name}").body.decode()
        new |= set(re.findall(r'^(?:import|export) [^;]*from "\./([a-z]+\.js)"', text, flags=re.MULTILINE)) - needed
    assert asked == needed - {"app.js"}
