"""The engine is compiled beside the reading of a checkpoint where it has to be, and by nobody where it has not."""

import subprocess

import pytest

from fast_gen.engines.cpu import ahead
from fast_gen.engines.cpu.ahead import compiling_ahead


class Child:
    """Stands in for the process that compiles."""

    def __init__(self, command, env, **streams):
        self.command, self.environment = command, env
        self.ended = []

    def wait(self):
        self.ended.append("waited for")

    def kill(self):
        self.ended.append("killed")


@pytest.fixture
def children(monkeypatch):
    started = []

    def start(*arguments, **options):
        started.append(Child(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(ahead, "is_compiled", lambda *_: False)
    return started


def test_what_is_not_compiled_is_compiled_by_a_process_that_is_waited_for(children):
    said = []
    with compiling_ahead("int8", 2, said.append):
        assert children[0].ended == []
    assert "compile_ahead('int8', 2)" in children[0].command[-1]
    assert children[0].ended[0] == "waited for"
    assert len(said) == 1
    assert "compiling the engine for int8" in said[0]


def test_where_the_block_fails_the_process_ends_at_once(children):
    with pytest.raises(KeyboardInterrupt), compiling_ahead("float32", 1, print):
        raise KeyboardInterrupt
    assert children[0].ended[0] == "killed"


@pytest.mark.parametrize("why", ["compiled", "cannot be kept", "no llvmlite"])
def test_where_it_is_of_no_use_no_process_is_started(children, monkeypatch, why):
    def refuse(*_):
        raise ImportError("no module named llvmlite")

    if why == "compiled":
        monkeypatch.setattr(ahead, "is_compiled", lambda *_: True)
    elif why == "cannot be kept":
        monkeypatch.setattr(ahead.CACHE, "folder", None)
    else:
        monkeypatch.setattr(ahead, "is_compiled", refuse)
    said = []
    with compiling_ahead("float32", 1, said.append):
        pass
    assert children == []
    assert said == []
