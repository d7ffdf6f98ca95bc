"""`wavegen eval` and `wavegen sample --rank` from the command line."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from in_process import exit_code
from tiny_run import TINY


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder in which a tiny model was trained on six tones; its audio is in tones/."""
    folder = tmp_path_factory.mktemp("eval")
    rng = np.random.default_rng(0)
    for index in range(6):
        times = np.arange(round(0.5 * 8_000)) / 8_000
        waveform = 0.5 * np.sin(2 * np.pi * 220 * 2 ** (index / 6) * times) + 0.003 * rng.standard_normal(len(times))
        path = folder / "tones" / f"tone{index}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, waveform, 8_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert exit_code(patch, "train", "tones", "--max-steps=30", "--logger=none", *TINY) == 0
    return folder


@pytest.fixture
def evaluating(wavegen, monkeypatch, trained):
    """Runs a command in the folder of the trained model."""
    monkeypatch.chdir(trained)
    monkeypatch.delenv("WAVEGEN_DATA", raising=False)
    return wavegen


QUICK = ("-n", 2, "--clip-seconds", 0.3)


def test_the_table_shows_bits_failures_and_distances(evaluating) -> None:
    found = evaluating("eval", "tones", *QUICK)
    assert found.code == 0, found.err
    plan = "measuring bits per sample on up to 60 s of held-out audio, then generating 2 clips of 0.3 s and comparing"
    assert found.err.startswith(plan)
    assert " s, loading included" in found.out
    for text in ("bits per sample, held-out audio", "LPC-24", "ran away to noise", "collapsed to silence",
                 "clips with a whistle", "not comparable with VGGish", "the run's training clips",
                 "real against real"):  # fmt: skip
        assert text in found.out


def test_json_stands_alone_and_agrees_with_training(evaluating, trained) -> None:
    found = evaluating("eval", "tones", *QUICK, "--json", "--seconds", 0)
    facts = json.loads(found.out)
    assert [file["name"] for file in facts["bits"]["files"]] == json.loads(
        (trained / "data/checkpoints/tones/split.json").read_text()
    )["validation"]
    overall = facts["bits"]["overall"]
    # training measures the first 30 ms too and multiplies in the precision of the machine
    assert overall["model"] == pytest.approx(facts["trained_validation"], abs=2e-3)
    assert overall["model"] < 8 - 0.01  # an untrained model needs 8 bits
    assert overall["samples"] == sum(file["samples"] for file in facts["bits"]["files"])
    assert len(facts["generated"]["bits"]) == 2
    assert facts["generated"]["whistles"] == [0, 0]  # the only held-out tone is below 500 Hz
    assert len(facts["verdict"]) == 3
    assert facts["verdict"][1].startswith("only 1 clip (")
    again = json.loads(evaluating("eval", "tones", *QUICK, "--json", "--seconds", 0).out)
    assert {**again, "seconds": 0} == {**facts, "seconds": 0}


def test_audio_of_the_training_set_is_skipped_with_its_name(evaluating, trained) -> None:
    facts = json.loads(evaluating("eval", "tones", "tones", *QUICK, "--json").out)
    split = json.loads((trained / "data/checkpoints/tones/split.json").read_text())
    assert [file["name"] for file in facts["bits"]["files"]] == split["validation"]
    assert {file["name"] for file in facts["skipped"]} == set(split["training"])
    assert all("trained on" in file["reason"] for file in facts["skipped"])
    refused = evaluating("eval", "tones", trained / "tones" / split["training"][0], *QUICK)
    assert refused.code == 2
    assert "trained on" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_other_audio_and_broken_files(evaluating, trained, tmp_path, write_tone) -> None:
    write_tone(tmp_path / "new" / "other.wav", frequency=300, sample_rate=16_000)
    (tmp_path / "new" / "broken.wav").write_bytes(b"RIFF nonsense")
    (tmp_path / "new" / "notes.txt").write_text("no audio")
    found = evaluating("eval", "tones", tmp_path / "new", *QUICK)
    assert found.code == 0, found.err
    assert "skipped: 1" in found.out
    assert "broken.wav" in found.out
    assert "1 file is not audio: .txt 1" in found.out
    nowhere = evaluating("eval", "tones", tmp_path / "nowhere")
    assert nowhere.code == 2
    assert "nowhere" in nowhere.err


def test_without_training_audio_the_predictors_are_fitted_on_the_measured_clips(evaluating, trained, tmp_path) -> None:
    checkpoint = tmp_path / "moved.pth"
    shutil.copy(trained / "data/checkpoints/tones/best.pth", checkpoint)
    shutil.copytree(trained / "tones", tmp_path / "held" / "out")
    (trained / "tones").rename(trained / "elsewhere")
    try:
        refused = evaluating("eval", checkpoint, *QUICK)
        assert refused.code == 2
        assert "name other audio to evaluate on" in refused.err
        facts = json.loads(evaluating("eval", checkpoint, tmp_path / "held", *QUICK, "--json").out)
    finally:
        (trained / "elsewhere").rename(trained / "tones")
    assert facts["fitted_on"].startswith("the evaluated clips, which favours the predictors")


class Sources(HTMLParser):
    """The sources that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value or "") for name, value in attrs if name in ("src", "href", "data", "srcset")]


def test_the_page_contains_all_its_media(evaluating, tmp_path) -> None:
    target = tmp_path / "deep" / "page.html"
    found = evaluating("eval", "tones", *QUICK, "--report", target)
    assert found.code == 0, found.err
    text = target.read_text()
    parser = Sources()
    parser.feed(text)
    kinds = [(tag, value.split(";")[0]) for tag, value in parser.found]
    # two generated clips and two real pieces: a player and a picture each, and two figures of curves
    real = kinds.count(("audio", "data:audio/wav")) - 2
    assert 1 <= real <= 2
    assert kinds.count(("img", "data:image/png")) == 2 + real + 2
    assert len(kinds) == kinds.count(("audio", "data:audio/wav")) + kinds.count(("img", "data:image/png"))
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text
    assert "bits per sample, held-out audio" in text
    folder = evaluating("eval", "tones", *QUICK, "--report", tmp_path)
    assert folder.code == 2
    assert "is a folder" in folder.err
    beside = evaluating("eval", "tones", *QUICK, "--report", target / "page.html")
    assert (beside.code, beside.out) == (2, ""), "the error comes before anything is measured"
    assert f"{target} is a file, not a folder" in beside.err


def test_file_names_are_escaped_in_the_page(evaluating, tmp_path, write_tone) -> None:
    write_tone(tmp_path / "new" / "<script>alert(1)&.wav", frequency=300)
    target = tmp_path / "page.html"
    assert evaluating("eval", "tones", tmp_path / "new", *QUICK, "--report", target).code == 0
    assert "<script" not in target.read_text()
    assert "&lt;script&gt;alert(1)&amp;.wav" in target.read_text()


def test_ranked_clips_are_numbered_by_likelihood(evaluating, tmp_path) -> None:
    from wavenet_app.checkpoints.trained import load_trained
    from wavenet_app.coding import MuLawCoding
    from wavenet_app.evaluation.likelihood import code_bits

    found = evaluating("sample", "tones", "-n", 4, "--seconds", 0.2, "--rank", "--out", tmp_path)
    assert found.code == 0, found.err
    assert "the most likely clip first" in found.out
    printed = [float(text) for text in re.findall(r"\d+\.\d{3}", found.out.split("clip first: ")[1].splitlines()[0])]
    best = load_trained(Path("data/checkpoints/tones/best.pth"))
    gain = best.config.audio.gain  # the files are at the level of the recordings
    measured = [
        code_bits(best.model, MuLawCoding().encode(gain * soundfile.read(path)[0])).mean()
        for path in sorted(tmp_path.glob("*.wav"))
    ]
    assert len(measured) == 4
    np.testing.assert_allclose(printed, measured, rtol=0, atol=6e-4)  # three decimals are printed
    if "(" not in found.out.split("clip first: ")[1].splitlines()[0]:
        assert printed == sorted(printed)


def test_only_the_most_likely_are_kept(evaluating, tmp_path) -> None:
    found = evaluating("sample", "tones", "-n", 4, "--keep", 1, "--seconds", 0.2, "--rank", "--out", tmp_path)
    assert "skipped: 3" in found.out
    assert len(list(tmp_path.glob("*.wav"))) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("--keep", 2), "add --rank"), (("--rank", "--play"), "--rank compares whole clips")],
)
def test_contradictions_are_refused(evaluating, tmp_path, arguments: tuple, text: str) -> None:
    refused = evaluating("sample", "tones", "--out", tmp_path, *arguments)
    assert refused.code == 2
    assert text in refused.err


def test_training_ends_with_the_failures_of_generated_clips(evaluating) -> None:
    found = evaluating("train", "tones", "--max-steps=2", "--logger=none", "--name=again", *TINY)
    assert found.code == 0, found.err
    assert re.search(
        r"of 4 generated clips of 2 s, \d ran away to noise, \d ran away to a hum and \d collapsed to silence",
        found.out,
    )
    assert "wavegen eval again" in found.out


def test_a_whistle_in_real_clips_is_counted(tmp_path, wavegen, trained) -> None:
    times = np.arange(4_000) / 8_000
    for index in range(3):
        soundfile.write(tmp_path / f"flute{index}.wav", 0.5 * np.sin(2 * np.pi * (700 + 90 * index) * times), 8_000)
    checkpoint = trained / "data/checkpoints/tones/best.pth"
    facts = json.loads(wavegen("eval", checkpoint, tmp_path, *QUICK, "--json").out)
    assert facts["generated"]["whistles"] == [0, len(facts["generated"]["real_failures"])]
