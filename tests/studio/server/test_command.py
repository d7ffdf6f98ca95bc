"""`wavegen studio` as a command: it starts at once, stops at once, and says what is missing."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def started(folder: Path, *arguments: str) -> tuple[subprocess.Popen, str]:
    """Starts the command and returns it with the address that it prints."""
    command = [sys.executable, str(ROOT / "cli.py"), "studio", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return process, found.group()
    raise AssertionError("it printed no address")


def test_it_serves_until_it_is_interrupted_and_writes_nothing(tmp_path):
    process, url = started(tmp_path)
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert b"<title>wavegen studio" in answer.read()
        with urllib.request.urlopen(f"{url}api/events?client=a", timeout=10) as events:
            assert events.readline().startswith(b"data: ")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in (0, 130)
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.iterdir()) == []


def test_where_others_can_connect_there_is_a_token(tmp_path):
    process, url = started(tmp_path, "--host", "0.0.0.0")
    process.kill()
    process.wait()
    assert re.fullmatch(r"http://[^/]+:\d+/[\w-]{20,}/", url)


def test_a_port_that_is_taken_is_one_line(wavegen):
    with socket.create_server(("127.0.0.1", 0)) as bound:
        found = wavegen("studio", "--port", bound.getsockname()[1])
    assert found.code == 2
    assert re.fullmatch(r"error: cannot serve at 127\.0\.0\.1, port \d+: [^\n]*; choose another[^\n]*\n", found.err)


def test_without_the_extra_it_says_how_to_install_it(wavegen, monkeypatch):
    monkeypatch.setattr("studio.cli.find_spec", lambda name: None if name == "uvicorn" else name)
    found = wavegen("studio")
    assert (found.code, found.out) == (2, "")
    assert found.err == "error: the studio needs uvicorn; install it with: uv sync --extra studio\n"


@pytest.mark.parametrize("host", ["nowhere.invalid", "300.1.1.1"])
def test_an_address_that_does_not_exist_is_one_line(wavegen, host):
    found = wavegen("studio", "--host", host)
    assert found.code == 2
    assert found.err.count("\n") == 1
