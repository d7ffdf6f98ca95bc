"""The commands and the Python of the documentation: all parse, and all run with small budgets."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import typer
from PIL import Image
from tiny_run import TINY
from tiny_segmentation import TINY_DEEPLAB

from cli import app
from wavenet_app.core.shipped import VOICES_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
NOT_INSTRUCTIONS = {"reference/commands.md", "results/notebook.md", "help/changelog.md"}
"""Pages whose blocks say how options are spelt, or what was measured over hours."""

NEEDS_MORE = {
    "bench": "takes a minute; tests/fast_gen/bench runs it",
    "data get": "downloads; tests/wavenet_app/downloads runs it",
    "devices": "needs a sound system; tests/fast_gen/playing runs it",
    "studio": "serves until it is interrupted; tests/studio runs it",
}
"""Command -> why it is only parsed here."""

AS_THEY_SHIP = ("trio", "strings", "flemishguy")
"""Voices that this test takes from the package: a page names the speakers of one, or starts from it."""

PLACES = {"RUN": "recordings", "VOICE": "kathleen", "FOLDER": "recordings"}
"""What a page leaves to its reader -> what this test has."""


class Line(NamedTuple):
    """A command of a page."""

    page: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        return " ".join(self.words[:2] if self.words[0] == "data" and self.words[1:2] == ("get",) else self.words[:1])


def _pages() -> list[Path]:
    docs = sorted((ROOT / "docs").rglob("*.md"))
    return [
        ROOT / "README.md",
        ROOT / "data" / "README.md",
        *(path for path in docs if str(path.relative_to(ROOT / "docs")) not in NOT_INSTRUCTIONS),
    ]


def _lines() -> list[Line]:
    """Returns every `wavegen` line of the indented and fenced blocks, without comments and pipes."""
    found = []
    for page in _pages():
        for line in page.read_text(encoding="utf-8").splitlines():
            stripped = line.strip()
            indented = line.startswith("    ") or page.name == "play.md"
            if not indented or not re.match(r"wavegen [a-z]", stripped):
                continue
            text = re.split(r"\s+#|\s[|>]\s", stripped)[0]
            words = tuple(PLACES.get(word, word) for word in shlex.split(text)[1:])
            found.append(Line(str(page.relative_to(ROOT)), words))
    return found


LINES = _lines()


def test_there_are_commands_in_every_part_of_the_documentation():
    assert len(LINES) > 90
    parts = {"README.md", "data", "docs/tutorials", "docs/how-to", "docs/understanding", "docs/results"}
    for part in parts:
        assert any(line.page.startswith(part) for line in LINES), part


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.page}: {' '.join(line.words)}")
def test_every_command_of_the_documentation_parses(line):
    group = typer.main.get_command(app)
    words = list(line.words)
    context = group.make_context("wavegen", list(words))
    while hasattr(group, "commands") and words:
        _, group, words = group.resolve_command(context, words)
        context = group.make_context(group.name, list(words), parent=context, resilient_parsing=False)


def _tiny(words: list[str]) -> list[str]:
    """Returns the settings of a tiny training: one that starts from a voice as it ships keeps the shape of its net."""
    if set(AS_THEY_SHIP) & set(words):
        return [setting for setting in TINY if not setting.startswith("--set=model.")]
    return TINY


def _quick(line: Line) -> list[str]:
    """Returns the words of a command with small budgets in the place of its own, and without a sound device."""
    words = list(line.words)
    for flag in ("--play", "--forever", "--stdout", "--raw"):
        words = [word for word in words if word != flag]
    for option in ("--minutes", "--device", "--max-steps"):
        if option in words:
            del words[words.index(option) : words.index(option) + 2]
    budgets = {
        "sample": ["--seconds=0.02", "--engine=torch", "--overwrite"],
        "mel": ["--overwrite"],
        "vocode": ["--refine=0", "--engine=torch", "--overwrite"],
        "eval": ["--seconds=1", "--clips=1", "--clip-seconds=0.1", "--engine=torch"],
        "publish": ["--clips=1", "--seconds=0.1"],
        "receptive-field": ["--count=1"],
        "seg-check": ["--files=2"],
        "seg-eval": ["--images=1"],
    }
    words += budgets.get(words[0], [])
    if words[0] in ("train", "seg-train"):
        resumed = "--resume" in words
        words += ["--logger=none", f"--max-steps={2 if resumed else 1}"]
        words += [] if resumed else _tiny(words) if words[0] == "train" else TINY_DEEPLAB
        words += ["--set=training.window=1024"] if "mel" in words else []  # some frames long
    if "-n" in words and int(words[words.index("-n") + 1]) > 64:
        words[words.index("-n") + 1] = "66"
        words.append("--processes=1")
    return words


@pytest.fixture
def place(wavegen, tone_folder, tmp_path, monkeypatch, write_tone) -> Callable:
    """A folder with everything that the pages name, a shipped voice of its own, and the command to run there."""
    sounds = sorted(tone_folder.iterdir())
    names = {
        "recordings": ["clip", "b", "c", "d"],
        "loops": ["one", "b", "c"],
        "speech": ["a", "b", "c", "d"],
        "data/speech": ["a", "b", "c"],
        "data/speech/LJSpeech-1.1": ["LJ001-0001", "LJ001-0002"],
        "data/speech/ARCTIC/cmu_us_slt_arctic/wav": ["arctic_a0001", "arctic_a0002"],
        "data/speech/LibriTTS/dev-clean": ["84/1/84_1_1", "84/1/84_1_2", "174/1/174_1_1", "174/1/174_1_2"],
        "data/speech/VCTK-Corpus-0.92/wav48_silence_trimmed": [f"p22{i}/p22{i}_00{j}_mic1" for i in "56" for j in "12"],
        "data/audio_samples/free-spoken-digit-dataset/recordings": ["1_al_0", "2_al_0", "1_jo_0", "2_jo_0"],
        "speakers": ["ann/1", "ann/2", "jo/1", "jo/2"],
    }  # fmt: skip
    for folder, files in names.items():
        for index, name in enumerate(files):
            target = tmp_path / folder / f"{name}.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(sounds[index % len(sounds)], target)
    shutil.copy(sounds[0], tmp_path / "recording.wav")
    frames = np.full((4, 80), np.log(1e-5), np.float32)
    np.save(tmp_path / "frames.npy", frames)
    np.save(tmp_path / "theirs.npy", np.exp(2 * frames))
    np.save(tmp_path / "theirs-22k.npy", frames)
    generator = np.random.default_rng(0)
    for folder in ("photos", "data/custom/camvid"):
        for kind in ("images", "masks"):
            (tmp_path / folder / kind).mkdir(parents=True)
        for index in range(5):
            mask = generator.integers(0, 2, (40, 40)).astype(np.uint8)
            Image.fromarray(mask).save(tmp_path / folder / "masks" / f"{index}.png")
            Image.fromarray(np.repeat(100 * mask[..., None], 3, axis=2)).save(
                tmp_path / folder / "images" / f"{index}.jpg"
            )
        (tmp_path / folder / "classes.txt").write_text("background\ncat\n")
    for name in ("new.jpg", "street.jpg"):
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / name)

    def run(*words: object) -> str:
        outcome = wavegen(*words)
        return "" if outcome.code == 0 else f"exit code {outcome.code}: {outcome.err.strip()[-300:]}"

    quick = ["--logger=none", "--max-steps=1", *TINY]
    voices = tmp_path / "voices"
    voices.mkdir()
    for name, options in (("kathleen", []), ("trio-vocoder", ["--condition=mel", "--set=training.window=1024"])):
        assert not run("train", "recordings", "--name", name, *quick, *options)
        assert not run("publish", name, "--licence=CC0-1.0", "--clips=1", "--seconds=0.1")
        shutil.copy(tmp_path / "data" / "published" / name / f"{name}.safetensors", voices)
    for name in AS_THEY_SHIP:
        shutil.copy(ROOT / "wavenet_app" / "voices" / f"{name}.safetensors", voices)
    shutil.rmtree(tmp_path / "data" / "checkpoints")
    monkeypatch.setenv(VOICES_VARIABLE, str(voices))
    monkeypatch.setattr("wavenet_app.inspection.command.seconds_per_epoch", lambda *_: {})  # half a minute each time
    for name in ("recordings", "speech-small"):
        assert not run("train", "recordings", "--name", name, *quick)
    for name in ("camvid", "photos", "shapes", "pascal_voc"):
        assert not run("seg-train", "camvid", "--name", name, "--logger=none", "--max-steps=1", *TINY_DEEPLAB)
    return run


@pytest.mark.slow
def test_the_commands_of_the_documentation_run(place, tmp_path):
    """In the order of the pages; a run that a page trains replaces nothing, as it has a name of its own or a number."""
    ran, problems = 0, []
    for line in LINES:
        if line.command in NEEDS_MORE or set(line.words) & {"voc", "coco", "ade20k", "cityscapes"}:
            continue
        if "--write-classes" in line.words:  # it writes where there is none
            (tmp_path / "photos" / "classes.txt").rename(tmp_path / "kept")
        problem = place(*_quick(line))
        if "--write-classes" in line.words:
            (tmp_path / "kept").replace(tmp_path / "photos" / "classes.txt")
        ran += 1
        if problem:
            problems.append(f"{line.page}: wavegen {' '.join(line.words)}: {problem}")
    assert not problems, "\n".join(problems)
    assert ran > 70


def _quick_python(text: str) -> str:
    """Returns code of a page with small budgets, and with the engine that needs no compiling."""
    text = text.replace('load("kathleen")', 'load("kathleen", engine="torch")')
    text = re.sub(r"seconds=\d+", "seconds=0.02", text)
    settings = [option.removeprefix("--set=") for option in TINY]
    text = re.sub(r", settings=\[[^]]*\]", "", text)
    return re.sub(r"minutes=\d+", f"max_steps=1, logger='none', quiet=True, settings={settings}", text)


def _python_blocks() -> list[tuple[str, str]]:
    found = []
    for page in (path for path in _pages() if path.name != "README.md"):
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            found.append((str(page.relative_to(ROOT)), block))
    return found


@pytest.mark.slow
def test_the_python_of_the_documentation_runs(place):
    blocks = _python_blocks()
    assert len(blocks) >= 10
    for page, block in blocks:
        try:
            exec(_quick_python(block), {"__name__": page})  # noqa: S102 - the text of this repository
        except Exception as error:
            raise AssertionError(f"{page}:\n{block}") from error


@pytest.mark.slow
def test_the_notebook_runs(place, monkeypatch):
    heard = []
    display = ModuleType("IPython.display")
    display.Audio = lambda waveform, rate: heard.append((len(waveform), rate))
    display.Image = SimpleNamespace
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    notebook = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    found: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(_quick_python("".join(cell["source"])), found)  # noqa: S102 - the text of this repository
    assert len(heard) >= 3


@pytest.mark.slow
def test_the_frames_of_the_page_on_vocoding_are_those_of_training():
    from wavenet_app.audio.mel import MelFrames
    from wavenet_app.config import MelConfig

    waveform = np.random.default_rng(0).normal(size=5_037).astype(np.float32) * 0.1
    wanted = MelFrames(MelConfig().resolved(16_000), 16_000).of(waveform)
    blocks = [block for page, block in _python_blocks() if page == "docs/how-to/vocode.md"]
    assert len(blocks) == 2
    for block in blocks:
        found: dict[str, Callable] = {}
        exec(block, found)  # noqa: S102 - the text of this repository
        np.testing.assert_allclose(found["frames_of"](waveform), wanted, atol=2e-3)
