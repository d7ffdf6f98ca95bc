"""The benchmark says when other programs use the cores it measures."""

import os

import pytest

from fast_gen.bench.command import busy_note


@pytest.mark.parametrize(("load", "busy"), [(2.9, False), (3.0, False), (3.1, True)])
def test_a_load_above_all_cores_but_one_is_noted(monkeypatch: pytest.MonkeyPatch, load: float, busy: bool) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    note = busy_note()
    assert (note is not None) == busy
    assert note is None or "load average 3.1, 4 cores" in note
