"""The wheel: it contains the command line and the packages, and works in an environment of its own."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from image_sets import picture, save

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def uv() -> str:
    """The program that builds the wheel and makes environments."""
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        pytest.skip("uv, which builds the wheel, is missing; use: uv run pytest")
    return found


@pytest.fixture(scope="module")
def wheel(uv, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([uv, "build", "--wheel", "--out-dir", folder, ROOT], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_contains_only_the_command_line_and_the_packages(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = {name.split("/")[0] for name in content.namelist()}
        inside = set(content.namelist())
    shipped = {f"wavenet_app/voices/{path.name}" for path in (ROOT / "wavenet_app" / "voices").iterdir()}
    assert "wavenet_app/voices/README.md" in shipped
    assert shipped <= inside
    manuals = {path.name for path in (ROOT / "share" / "man" / "man1").iterdir()}
    assert manuals == {name.rpartition("/")[2] for name in inside if ".data/data/share/man/man1/wavegen" in name}
    metadata = {name for name in names if name.endswith((".dist-info", ".data"))}
    assert names - metadata == {"cli.py", "wavenet_app", "fast_gen", "segmentation", "studio"}


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_of_its_own(uv, wheel, tmp_path):
    """Version, data sets, a short demo, and a mask from a model trained on the built-in shapes."""
    environment = tmp_path / "environment"
    subprocess.run([uv, "venv", "--quiet", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, wheel], check=True)
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "UV")}
    clean["PATH"] = "/usr/bin:/bin"  # without the environment of the tests

    def wavegen(*arguments: object) -> str:
        command = [str(environment / "bin" / "wavegen"), *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert wavegen("--version").startswith("wavegen ")
    assert "wavegen data get voc" in wavegen("data")
    assert "VOCdevkit/VOC2012/JPEGImages" in wavegen("data", "info", "voc")
    assert "environment/bin/wavegen train FOLDER" in wavegen("demo", "--minutes", 0.1)
    wavegen("seg-train", "--name", "net", "--max-steps", 2, "--logger", "none")
    save(tmp_path / "a.png", picture())
    wavegen("seg-predict", "net", "a.png")
    assert (tmp_path / "data" / "segmentation_results" / "net" / "masks" / "a.png").is_file()
