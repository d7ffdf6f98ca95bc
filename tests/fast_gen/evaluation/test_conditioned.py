"""`wavegen eval` of models with speakers or mel frames, from the command line."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from in_process import exit_code
from tiny_run import TINY

MEL = ["--condition", "mel", "--set=training.window=512"]
# enough that conditioning matters to the last layer, which starts at zero
AUDIBLY = ["--max-steps=20", "--set=training.warmup_steps=0", "--set=training.learning_rate=0.05", "--logger=none"]
QUICK = ("-n", 3, "--clip-seconds", 0.3)


def write_voices(folder: Path, write_tone) -> None:
    for place, name in enumerate(("ann", "jo", "theo")):
        for index in range(6):
            write_tone(folder / name / f"{index}.wav", seconds=0.4, frequency=200.0 * (place + 1) + 10 * index)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, write_tone) -> Path:
    """A data folder with two runs on the same three speakers: "voices" with speakers, "mel" with frames too."""
    folder = tmp_path_factory.mktemp("conditioned")
    write_voices(folder / "voices", write_tone)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, condition in (("voices", []), ("mel", MEL)):
            options = ["--speakers", "folder", "--name", name, *AUDIBLY, *TINY, *condition]
            assert exit_code(patch, "train", "voices", *options) == 0
    return folder


@pytest.fixture
def evaluate(runs, wavegen, monkeypatch):
    """Runs `wavegen eval` in the folder of the runs."""
    monkeypatch.chdir(runs)
    return lambda *arguments: wavegen("eval", *arguments)


def test_each_file_is_measured_with_its_own_speaker(evaluate, runs):
    outcome = evaluate("voices", *QUICK, "--seconds", 0)
    assert outcome.code == 0, outcome.err
    assert "the generated clips are spoken by ann, jo, theo, in turn" in outcome.out
    facts = json.loads(evaluate("voices", *QUICK, "--seconds", 0, "--json").out)
    split = json.loads((runs / "data/checkpoints/voices/split.json").read_text())
    assert [file["name"] for file in facts["bits"]["files"]] == split["validation"]
    # training measures the first 30 ms too and multiplies in the precision of the machine
    assert facts["bits"]["overall"]["model"] == pytest.approx(facts["trained_validation"], abs=0.3)
    assert facts["generated"]["speakers"] == ["ann", "jo", "theo"]
    assert facts["vocoded"] is None


def test_speakers_of_given_audio_come_from_the_rule_or_the_option(evaluate, tmp_path, write_tone):
    for speaker, index in (("ann", 0), ("jo", 1), ("bo", 2)):
        write_tone(tmp_path / "new" / speaker / "x.wav", seconds=0.4, frequency=211.0 + 200 * index)
    write_tone(tmp_path / "new" / "stray.wav", frequency=500)
    by_rule = json.loads(evaluate("voices", tmp_path / "new", *QUICK, "--json").out)
    bits = {file["name"]: file["model"] for file in by_rule["bits"]["files"]}
    assert set(bits) == {"ann/x.wav", "jo/x.wav"}
    reasons = {file["name"]: file["reason"] for file in by_rule["skipped"]}
    assert reasons["bo/x.wav"] == "the model knows no speaker called 'bo'"
    assert "not in a folder" in reasons["stray.wav"]

    by_option = {
        voice: json.loads(evaluate("voices", tmp_path / "new", "--speaker", voice, *QUICK, "--json").out)
        for voice in ("ann", "jo", "ann:1,jo:3")
    }
    assert len(by_option["ann"]["bits"]["files"]) == 4, "--speaker holds for every file"
    named = {
        voice: {file["name"]: file["model"] for file in facts["bits"]["files"]} for voice, facts in by_option.items()
    }
    assert named["ann"]["ann/x.wav"] == pytest.approx(bits["ann/x.wav"], abs=1e-6)
    assert named["jo"]["jo/x.wav"] == pytest.approx(bits["jo/x.wav"], abs=1e-6)
    assert len({round(files["ann/x.wav"], 9) for files in named.values()}) == 3, "the speaker matters"
    assert by_option["ann:1,jo:3"]["generated"]["speakers"] == ["25% ann and 75% jo"] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("voices", "strangers"), "no speaker of the 2 files is known to the model (ann, jo, theo)"),
        (("voices", "strangers/bo"), "give --speaker NAME if all files have the same speaker"),
        (("voices", "strangers", "--speaker", "an"), "no speaker is called 'an'; did you mean 'ann'?"),
        (("voices", "--speaker", "ann"), "add a path or leave --speaker out"),
    ],
)
def test_an_unknown_speaker_is_one_line(evaluate, runs, write_tone, arguments, message):
    for index in range(2):
        write_tone(runs / "strangers" / "bo" / f"{index}.wav", frequency=300 + index)
    refused = evaluate(*arguments)
    assert refused.code == 2
    assert message in refused.err
    assert len(refused.err.splitlines()) == 1


def test_a_missing_path_is_reported_without_speakers(evaluate):
    refused = evaluate("voices", "nowhere")
    assert refused.code == 2
    assert "there is no file or folder 'nowhere'" in refused.err
    assert "--speaker" not in refused.err


def test_a_vocoder_is_measured_as_sampled_beside_what_needs_no_model(evaluate, runs):
    outcome = evaluate("mel", *QUICK)
    assert outcome.code == 0, outcome.err
    for text in ("bits per sample, held-out audio", "vocoded as sampled, to the quantised original: log-spectral",
                 "vocoded as sampled, to the original: STOI", "Griffin-Lim", "mel-cepstral distortion",
                 "floor of 256 mu-law codes", "each vocoded clip to its quantised original"):  # fmt: skip
        assert text in outcome.out
    assert "generated clips" not in outcome.out
    facts = json.loads(evaluate("mel", *QUICK, "--json", "--seconds", 0).out)
    assert facts["generated"] is None
    assert facts["bits"]["overall"]["model"] == pytest.approx(facts["trained_validation"], abs=0.3)
    split = json.loads((runs / "data/checkpoints/mel/split.json").read_text())
    files = facts["vocoded"]["files"]
    assert {file["name"] for file in files} <= set(split["validation"])
    label = "log-spectral distance (dB)"
    versions = facts["vocoded"]["versions"]
    assert list(versions) == ["as sampled", "filtered noise", "refined", "refined noise", "Griffin-Lim"]
    means = {name: table["against_quantised"][label]["value"] for name, table in versions.items()}
    for name, mean in means.items():
        assert mean == pytest.approx(np.mean([file["versions"][name][label]["value"] for file in files]))
    (line,) = (line for line in facts["verdict"] if line.startswith("vocoded"))
    assert f"as sampled {means['as sampled']:.2f} dB from the quantised originals" in line
    assert f"refined {means['refined']:.2f} dB" in line
    assert f"{means['refined noise']:.2f} dB" in line
    drawn = json.loads(evaluate("mel", *QUICK, "--json", "--seconds", 0, "--refine", 0).out)
    assert list(drawn["vocoded"]["versions"]) == ["as sampled", "filtered noise", "Griffin-Lim"]
    assert drawn["vocoded"]["versions"]["as sampled"] == versions["as sampled"]
    assert "refined" not in " ".join(drawn["verdict"])
    assert f"refined: {facts['vocoded']['turns']} iterations towards these frames" in " ".join(outcome.out.split())
    cooler = json.loads(evaluate("mel", *QUICK, "--json", "--temperature", 0.3).out)
    assert cooler["vocoded"]["temperature"] == 0.3
    assert cooler["vocoded"]["versions"]["as sampled"] != versions["as sampled"]


def test_the_page_of_a_vocoder_has_a_player_for_each_version(evaluate, tmp_path):
    page = tmp_path / "page.html"
    assert evaluate("mel", "-n", 2, "--clip-seconds", 0.2, "--report", page).code == 0
    text = page.read_text()
    assert text.count("<audio") == 2 * 6
    for name in ("original, quantised", "as sampled", "filtered noise", "refined", "refined noise", "Griffin-Lim"):
        assert text.count(f"<b>{name}</b>") == 2
    assert text.count("<h3>") == 2
    assert not re.search(r"https?://", text)


def test_refine_is_refused_for_models_without_mel_frames(evaluate):
    refused = evaluate("voices", *QUICK, "--refine", 3)
    assert refused.code == 2
    assert "--refine is for vocoders, and voices does not take mel frames" in refused.err


def test_the_page_of_speakers_names_them(evaluate, tmp_path):
    page = tmp_path / "page.html"
    assert evaluate("voices", *QUICK, "--report", page).code == 0
    assert "generated 1, jo" in page.read_text()


def test_training_a_vocoder_ends_with_its_distance_as_sampled(wavegen, runs, tmp_path):
    shutil.copytree(runs / "voices", tmp_path / "voices")
    outcome = wavegen("train", "voices", "--max-steps", 2, "--logger=none", *TINY, *MEL)
    assert outcome.code == 0, outcome.err
    assert re.search(
        r"vocoded, 2 held-out clips \(0\.8 s\): as sampled \d+\.\d\d dB from the quantised originals", outcome.out
    )
    assert "Griffin-Lim" in outcome.out
    assert "wavegen eval voices" in outcome.out
