"""Commands that use a model never import what only training needs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from image_sets import picture, save
from tiny_run import TINY

from segmentation.checkpoints.pretrained import KIND
from segmentation.checkpoints.segmenter import ClassTable
from segmentation.config import SegmentationConfig, SegmentationModelConfig
from segmentation.datasets.formats.shapes import CLASSES, ShapesDataset
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from segmentation.network.deeplab import build_model
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.shipped import VOICES_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
REPORT = """
import json, sys
import cli
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["wavegen", *arguments]
    cli.app(standalone_mode=False)
print("lightning" in sys.modules)
"""


def import_lightning(folder: Path, *commands: Sequence[object]) -> bool:
    """Runs commands one after the other in a fresh interpreter and returns whether one imported Lightning.

    The answer is the last line of standard output.
    """
    arguments = json.dumps([[str(argument) for argument in command] for command in commands])
    found = subprocess.run(
        [sys.executable, "-c", REPORT, arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {"True": True, "False": False}[found.stdout.splitlines()[-1]]


@pytest.fixture
def tiny_deeplab(tmp_path) -> Path:
    config = SegmentationConfig(
        name="net", model=SegmentationModelConfig(backbone="dilated", aspp_channels=8, num_classes=len(CLASSES))
    )
    content = {
        "config": config.model_dump(mode="json"),
        **ClassTable.of_dataset(ShapesDataset("val", count=1)).to_plain(),
        "normalisation": {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        "weights": build_model(config.model, torch.Generator().manual_seed(0)).state_dict(),
    }
    write_checkpoint(tmp_path / "net.pth", KIND, content)
    return tmp_path / "net.pth"


def test_labelling_and_scoring_images_do_not_import_lightning(tiny_deeplab, tmp_path):
    save(tmp_path / "a.png", picture())
    assert not import_lightning(
        tmp_path, ["seg-predict", tiny_deeplab, "a.png"], ["seg-eval", tiny_deeplab, "shapes", "--images", 1]
    )
    assert (tmp_path / "data" / "segmentation_results" / "net" / "masks" / "a.png").is_file()


def test_measuring_audio_models_does_not_import_lightning(wavegen, tone_folder, tmp_path):
    assert wavegen("train", tone_folder, "--max-steps", 2, "--name", "x", "--logger", "none", *TINY).code == 0
    assert not import_lightning(
        tmp_path,
        ["info", "x"],
        ["inspect", tone_folder],
        ["eval", "x", "--clips", 1, "--clip-seconds", 0.1, "--seconds", 1, "--engine", "torch"],
    )


def test_training_imports_lightning():
    """So that the tests above look for the right name."""
    import wavenet_app.core.loop.loop  # noqa: F401

    assert "lightning" in sys.modules


MISTAKES = [
    ["train", "nowhere"],
    ["train", "no-audio"],
    ["train", "--preset", "bas"],
    ["train", "--set", "model.skip=1"],
    ["train", "--set", "skip_channels=1"],
    ["train", "--head", "nope"],
    ["train", "--condition", "nope"],
    ["train", "--logger", "nope"],
    ["train", "--resume", "nope"],
    ["train", "--start-from", "nope"],
    ["train", "--name", "taken"],
    ["sample", "nope"],
    ["vocode", "nope", "x.wav"],
    ["eval", "nope"],
    ["bench", "nope"],
    ["info", "nope"],
    ["export", "nope"],
    ["inspect", "nowhere"],
    ["receptive-field", "nope"],
    ["seg-train", "nowhere"],
    ["seg-train", "--preset", "bas"],
    ["seg-train", "--set", "model.nope=1"],
    ["seg-train", "--resume", "nope"],
    ["seg-eval", "nope", "shapes"],
    ["seg-predict", "nope", "x.png"],
]
ANSWER_MISTAKES = """
import contextlib, io, json, sys
import cli
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["wavegen", *arguments]
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        try:
            cli.main()
        except SystemExit as end:
            assert end.code == 2, arguments
    assert error.getvalue().startswith("error: "), (arguments, error.getvalue())
    assert error.getvalue().count("\\n") == 1, (arguments, error.getvalue())
    assert "torch" not in sys.modules, arguments
"""


COMPLETE = """
import contextlib, io, json, os, sys
import cli
found = []
sys.argv = ["wavegen"]
for words in json.loads(os.environ["CASES"]):
    os.environ |= {"COMP_WORDS": " ".join(["wavegen", *words]), "COMP_CWORD": str(len(words))}
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        cli.main()
    found.append(out.getvalue().split())
assert "torch" not in sys.modules
print(json.dumps(found))
"""
COMPLETED = {
    ("train", "--preset", "b"): ["base"],
    ("seg-train", "--preset", "res"): ["resnet50", "resnet101"],
    ("train", "--resume", ""): ["half", "voices"],
    ("train", "--data-dir", "other", "--resume", ""): ["elsewhere"],
    ("seg-train", "--resume", ""): ["cells"],
    ("sample", ""): ["kept", "vera", "voices"],
    ("sample", "vo"): ["voices"],
    ("train", "--start-from", "v"): ["vera", "voices"],
    ("seg-eval", ""): ["cells", "deeplab_v3_x.pth"],
    ("vocode", "ke"): ["kept"],
    ("sample", "--engine", ""): ["auto", "cpu", "cluster", "pipeline", "cuda", "graph", "torch"],
    ("eval", "--engine", "c"): ["cpu", "cluster", "cuda"],
    ("vocode", "--precision", "b"): ["bfloat16"],
    ("sample", "--format", "f"): ["flac"],
    ("train", "--logger", "w"): ["wandb"],
    ("train", "--head", "g"): ["gaussian"],
    ("train", ""): ["audio_samples", "data", "other", "shipped", "speech", "yesno"],
    ("inspect", "sp"): ["speech"],
    ("train", "oth"): [],  # the shell completes paths itself
    ("seg-train", ""): ["ade20k", "cityscapes", "coco", "data", "leaves", "other", "shapes", "shipped", "voc"],
    ("seg-check", "le"): ["leaves"],
    ("seg-eval", "cells", "s"): ["shapes", "shipped"],
    ("seg-eval", "--coco-classes", "v"): ["voc"],
}


def test_names_are_completed_without_torch(tmp_path):
    for name in (
        "data/checkpoints/half/last.pth",
        "data/checkpoints/voices/last.pth",
        "data/checkpoints/voices/best.pth",
        "data/checkpoints/segmentation/cells/last.pth",
        "data/checkpoints/segmentation/cells/best.pth",
        "data/pretrained/wavenet_kept.pth",
        "data/pretrained/deeplab_v3_x.pth",
        "data/speech/a.wav",
        "data/audio_samples/waves_yesno/a.wav",
        "data/custom/leaves/images/a.png",
        "data/pascal_voc/a.txt",
        "other/checkpoints/elsewhere/last.pth",
        "shipped/vera.safetensors",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_WAVEGEN_COMPLETE": "complete_bash"}
    environment["CASES"] = json.dumps(list(COMPLETED))
    environment[VOICES_VARIABLE] = str(tmp_path / "shipped")
    environment.pop("WAVEGEN_DATA", None)
    command = [sys.executable, "-c", COMPLETE]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == list(COMPLETED.values())


def test_cheap_mistakes_are_answered_before_torch_is_imported(tmp_path):
    taken = tmp_path / "data" / "checkpoints" / "taken"
    taken.mkdir(parents=True)
    (taken / "last.pth").touch()
    (tmp_path / "no-audio").mkdir()
    (tmp_path / "no-audio" / "notes.txt").touch()
    command = [sys.executable, "-c", ANSWER_MISTAKES, json.dumps(MISTAKES)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("WAVEGEN_DATA", None)
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_the_completion_that_the_install_page_names_works_in_bash(tmp_path):
    """Installed into a home folder of its own, then asked through bash as Tab does."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is missing")
    assert "wavegen --install-completion" in (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    program = tmp_path / "bin" / "wavegen"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'wavegen'\nimport cli\ncli.main()\n")
    program.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    environment |= {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",  # the parent of this process is no shell
    }
    subprocess.run([program, "--install-completion", "bash"], env=environment, capture_output=True, check=True)
    asked = ". ~/.bashrc; COMP_WORDS=(wavegen seg-pre); COMP_CWORD=1; _wavegen_completion wavegen; echo ${COMPREPLY[@]}"
    found = subprocess.run([bash, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["seg-predict"]
