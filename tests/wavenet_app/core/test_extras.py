"""What to type for an optional part depends on how wavegen was installed."""

import sys

import pytest

from wavenet_app.core import extras


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["pyproject.toml"], "install it with: uv sync --extra eval"),
        (["uv-receipt.toml"], "install it in wavegen's source folder with: uv tool install '.[eval]'"),
        ([], "install it in wavegen's source folder with: pip install '.[eval]'"),
    ],
)
def test_the_command_is_that_of_the_installation(tmp_path, monkeypatch, files, said):
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setattr(extras, "_ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert extras.how_to_install("eval") == said
