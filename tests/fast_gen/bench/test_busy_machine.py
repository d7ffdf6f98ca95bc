"""The benchmark says when other programs use the cores it measures."""

import os

import pytest

from fast_gen.bench import command
from fast_gen.bench.command import busy_note


@pytest.mark.parametrize(("load", "busy"), [(2.9, False), (3.0, False), (3.1, True)])
def test_a_load_above_all_cores_but_one_is_noted(monkeypatch: pytest.MonkeyPatch, load: float, busy: bool) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    note = busy_note()
    assert (note is not None) == busy
    assert note is None or "load average 3.1, 4 cores" in note


@pytest.mark.parametrize(("load", "noted"), [(64.0, True), (0.0, False)])
def test_bench_prints_the_note_beside_the_table(
    wavegen, monkeypatch: pytest.MonkeyPatch, load: float, noted: bool
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(command, "run_bench", lambda _job, _on_option: [])
    said = wavegen("bench")
    assert said.code == 0, said.err
    assert ("note: this machine is busy (load average 64.0" in said.err) == noted
    assert "busy" not in said.out
