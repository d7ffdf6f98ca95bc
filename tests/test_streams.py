"""Standard output that is full, closed or gone: one line, or nothing lost."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from wavenet_app.core.console import PlainConsole, output_may_vanish

ROOT = Path(__file__).resolve().parents[1]


def run(redirection: str, *arguments: str) -> subprocess.CompletedProcess:
    line = f'"$0" cli.py {" ".join(arguments)} {redirection}'
    return subprocess.run(["bash", "-c", line, sys.executable], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("--version",), ("--help",)])
def test_a_full_standard_output_is_one_line_and_code_2(arguments):
    found = run("> /dev/full", *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.splitlines() == ["error: standard output: No space left on device"]


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_error(redirection):
    found = run(redirection, "--version")
    assert (found.returncode, found.stderr) == (0, "")


def test_a_training_goes_on_without_its_output():
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError

        def flush(self):
            raise OSError

    stream = Gone()
    console = PlainConsole(file=stream)
    with output_may_vanish(console):
        console.print("step 1")
        console.print("step 2")
    assert console.file is stream
    with pytest.raises(OSError):  # noqa: PT011 - any
        console.print("step 3")


def test_without_memory_is_one_line(monkeypatch, wavegen):
    message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    for error in (MemoryError(), RuntimeError(message)):

        def full(*, _error=error, **_):
            raise _error

        monkeypatch.setattr("cli.app", full)
        outcome = wavegen("devices")
        assert outcome.code == 2
        assert outcome.err.startswith("error: there is not enough memory; ")
        assert len(outcome.err.splitlines()) == 1

    def mistaken(**_):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("cli.app", mistaken)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        wavegen("devices")
