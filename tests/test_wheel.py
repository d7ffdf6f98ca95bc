"""The wheel: it contains the command line and the three packages, and nothing else."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_contains_only_the_command_line_and_the_packages(tmp_path):
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv, which builds the wheel, is missing; use: uv run pytest")
    subprocess.run([uv, "build", "--wheel", "--out-dir", tmp_path, ROOT], check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name.split("/")[0] for name in wheel.namelist()}
        inside = set(wheel.namelist())
    shipped = {f"wavenet_app/voices/{path.name}" for path in (ROOT / "wavenet_app" / "voices").iterdir()}
    assert "wavenet_app/voices/README.md" in shipped
    assert shipped <= inside
    metadata = {name for name in names if name.endswith(".dist-info")}
    assert names - metadata == {"cli.py", "wavenet_app", "fast_gen", "segmentation"}
