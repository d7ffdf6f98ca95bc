"""The commands that the demo advises run as they are printed."""

import shutil
import sys

import pytest

import cli


@pytest.fixture
def on_path(monkeypatch, tmp_path):
    """Sets which programs the path has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(sys, "argv", ["/opt/my tools/wavegen", "demo"])

    def has(*names):
        monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in names else None)

    return has


def test_an_installed_wavegen_is_typed_by_its_name(on_path):
    on_path("wavegen")
    assert cli._typed_command() == "wavegen"


def test_a_wavegen_off_the_path_is_typed_as_it_was_run(on_path):
    on_path()
    assert cli._typed_command() == "'/opt/my tools/wavegen'"


def test_in_a_checkout_uv_runs_it(on_path, monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setenv("UV", str(tmp_path / ".bootstrap" / "bin" / "uv"))
    on_path("wavegen")  # the path inside `uv run` has it, that of the shell does not
    assert cli._typed_command() == ".bootstrap/bin/uv run wavegen"
    on_path("wavegen", "uv")
    assert cli._typed_command() == "uv run wavegen"
