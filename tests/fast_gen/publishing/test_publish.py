"""Publishing makes a folder with weights, card and samples, that every command reads, and replaces nothing."""

import json
import sys
from io import StringIO
from pathlib import Path

import pytest
import soundfile
from tiny_run import TINY

from fast_gen.publishing.command import read_evaluation
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.checkpoints.voices import read_shipped_voice
from wavenet_app.core.errors import UserError

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
LICENCE = ["--licence", "CC0-1.0"]
SHORT = ["--clips", 2, "--seconds", 0.2]


@pytest.fixture
def trained(wavegen, tone_folder, tmp_path) -> Path:
    """The data folder with a run called tones."""
    outcome = wavegen("train", tone_folder, "--max-steps", 3, "--logger", "none", *TINY)
    assert outcome.code == 0, outcome.err
    return tmp_path / "data"


def test_a_run_becomes_a_folder_to_share(wavegen, trained, tmp_path):
    (tmp_path / "eval.json").write_text(
        json.dumps(
            {
                "verdict": ["0.1 bits | below"],
                "generated": {
                    "voiced": [0.5, 0.7],
                    "paused": [0.1, None],
                    "likeness": {"frechet": 12.34},
                    "failures": [None, "hum", None],
                    "real_failures": [None, None],
                    "whistles": [1, 0],
                },
                "vocoded": {
                    "versions": {
                        "as sampled": {"against_reference": {"STOI": {"value": 0.9}, "PESQ": {"value": None}}},
                        "refined": {"against_reference": {"STOI": {"value": 0.98}, "PESQ": {"value": None}}},
                    }
                },
            }
        ),
        encoding="utf-8",
    )
    details = ["--data", "six tones", "--language", "none at all", "--eval", "eval.json", "--name", "pure"]
    outcome = wavegen("publish", *LICENCE, *SHORT, *details)
    assert outcome.code == 0, outcome.err
    folder = trained / "published" / "pure"
    names = {path.name for path in folder.iterdir()}
    clips = {f"pure-seed0-{number}.{kind}" for number in (0, 1) for kind in ("wav", "png")}
    assert names == {"pure.safetensors", "README.md", *clips}
    assert soundfile.info(folder / "pure-seed0-0.wav").duration == pytest.approx(0.2)
    assert "data/published/pure/README.md (the model card" in outcome.out
    assert "2 audio samples" in outcome.out
    card = (folder / "README.md").read_text(encoding="utf-8")
    before = load_trained(trained / "checkpoints" / "tones" / "best.pth")
    for text in (
        "# pure\n",
        "| language | none at all |",
        "| sample rate | 8000 Hz |",
        "six tones. 0.0 minutes of it were trained on. 10% of the files were held out.",
        "The weights are under CC0-1.0.",
        "3 steps of 1 x 1 windows in 0 minutes, with one process.",
        "| `model.residual_channels` | 4 |",
        f"| this model | {before.content['validation']:.3f} |",
        f"| LPC-24 | {before.content['baseline']['lpc']:.3f} |",
        "- 0.1 bits | below",
        "- clips with a whistle: 1 of 3 generated ones, 0 of 2 real ones",
        "- frames with a pitch: 50% of the time in generated clips, 70% in real ones",
        "- pauses: 10% of the time in generated clips, ? in real ones",
        "- Frechet distance of generated clips to real ones: 12.3 dB^2\n",
        "| clips | STOI |\n| --- | --- |\n| as sampled | 0.900 |\n| refined | 0.980 |\n",
        "[pure-seed0-1.wav](pure-seed0-1.wav)",
        "wavegen sample pure.safetensors --play",
        "it has no text to read",
    ):
        assert text in card, text
    assert str(tmp_path) not in card
    assert str(tmp_path).encode() not in (folder / "pure.safetensors").read_bytes()
    voice = read_shipped_voice(folder / "pure.safetensors")
    assert (voice.config.name, voice.licence, voice.steps) == ("pure", "CC0-1.0", 3)
    sampled = wavegen("sample", folder / "pure.safetensors", "--seconds", 0.1)
    assert sampled.code == 0, sampled.err


@pytest.mark.parametrize(("name", "start"), [("next", "tones"), ("tones", "an earlier tones")])
def test_the_card_says_what_a_run_started_from(wavegen, trained, tone_folder, name, start):
    again = ["--start-from", "tones", "--name", "next", "--max-steps", 1, "--logger", "none"]
    assert wavegen("train", tone_folder, *again).code == 0
    assert wavegen("publish", "next", *LICENCE, *SHORT, "--name", name).code == 0
    card = (trained / "published" / name / "README.md").read_text(encoding="utf-8")
    assert f"The run started from the weights of {start}." in " ".join(card.split())


def test_nothing_is_replaced(wavegen, trained, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    refused = wavegen("publish", "tones", *LICENCE, "--out", out)
    assert refused.code == 2
    assert "mine exists, and nothing in it is replaced" in refused.err
    assert list(out.iterdir()) == []
    assert wavegen("publish", *LICENCE, *SHORT).code == 0
    before = {path: path.read_bytes() for path in (trained / "published" / "tones").iterdir()}
    assert wavegen("publish", *LICENCE, *SHORT, "--language", "x").code == 2
    assert {path: path.read_bytes() for path in (trained / "published" / "tones").iterdir()} == before


def test_the_licence_is_asked_for_in_a_terminal_only(wavegen, trained, monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO("ignored\n"))
    refused = wavegen("publish")
    assert refused.code == 2
    assert "--licence CC0-1.0" in refused.err

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(" my own \n"))
    outcome = wavegen("publish", *SHORT)
    assert outcome.code == 0, outcome.err
    assert read_shipped_voice(trained / "published" / "tones" / "tones.safetensors").licence == "my own"


@pytest.mark.parametrize(
    "options",
    [
        ["--licence", " "],
        ["--licence", "a\nb"],
        ["--eval", "absent.json"],
        ["--eval", "data/checkpoints/tones/config.json"],
        ["--name", "../x"],
        ["--out", "data/checkpoints/tones/best.pth/x"],
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(wavegen, trained, options):
    refused = wavegen("publish", *LICENCE, *SHORT, *options)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert not any((trained / "published").glob("*"))


def test_a_vocoder_is_published_with_held_out_recordings(wavegen, tone_folder, tmp_path):
    train = [
        "train",
        tone_folder,
        "--condition",
        "mel",
        "--max-steps",
        1,
        "--logger",
        "none",
        *TINY,
        "--set=training.window=400",
    ]
    assert wavegen(*train).code == 0
    assert wavegen("publish", *LICENCE).code == 0
    folder = tmp_path / "data" / "published" / "tones"
    assert (folder / "tones-0.wav").is_file()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "wavegen vocode tones.safetensors RECORDING" in card
    assert "A WaveNet vocoder" in card
    tone_folder.rename(tmp_path / "elsewhere")
    outcome = wavegen("publish", *LICENCE, "--out", tmp_path / "again")
    assert outcome.code == 0, outcome.err
    assert "note: without audio samples: the held-out clips are missing" in outcome.out
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"README.md", "tones.safetensors"}


def test_the_script_makes_a_voice_with_its_card(wavegen, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    script = __import__("ship_voice")
    out = tmp_path / "voices"
    arguments = [
        "tones",
        "--name=pure",
        "--licence=CC0-1.0",
        "--language=Tone",
        f"--data-dir={trained}",
        f"--out={out}",
    ]
    monkeypatch.setattr(sys, "argv", ["ship_voice.py", *arguments])
    script.main()
    assert "bits per sample" in capsys.readouterr().out
    voice = read_shipped_voice(out / "pure.safetensors")
    assert (voice.name, voice.language, voice.data) == ("pure", "Tone", "Recordings: tones")
    assert voice.audio_minutes == pytest.approx(5 * 0.5 / 60, rel=0.1)
    assert "this file needs" in (out / "pure.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="exists; --overwrite replaces it"):
        script.main()
    monkeypatch.setenv("WAVEGEN_VOICES", str(out))
    assert "pure" in wavegen("voices").out


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"verdict": 3}', '{"verdict": [], "generated": {"voiced": [1]}}', "[" * 9_999, "\udc80"],
)
def test_what_is_no_evaluation_is_one_line(tmp_path, content):
    path = tmp_path / "eval.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"eval\.json holds no evaluation.*wavegen eval RUN --json"):
        read_evaluation(path)
