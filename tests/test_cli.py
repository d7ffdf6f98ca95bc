"""The command line: training and sampling end to end, and one clear line for bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES
from tiny_run import TINY, TINY_NET

from wavenet_app.core.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[1]


def shell(*arguments: object, folder: Path) -> subprocess.Popen[str]:
    """Starts a command in its own process."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_train_sample_info_export(wavegen, tone_folder, tmp_path):
    trained = wavegen("train", tone_folder, "--max-steps", 8, "--seed", 3, *TINY)
    assert trained.code == 0, trained.err
    assert "LPC-24" in trained.out
    # what so short a training is worth decides which of the two is the advice
    assert ("hear it: wavegen sample tones" in trained.out) != ("wavegen train --resume tones" in trained.out)
    run = tmp_path / "data" / "checkpoints" / "tones"
    assert {"best.pth", "last.pth", "config.json", "split.json", "metrics.csv"} <= {path.name for path in run.iterdir()}
    assert any((tmp_path / "data" / "tensorboard" / "tones").iterdir())

    sampled = wavegen("sample", "--seconds", 0.05, "-n", 2, "--seed", 5, "--temperature", 0.9, "--top-p", 0.95)
    assert sampled.code == 0, sampled.err
    for number in range(2):
        path = tmp_path / "data" / "generated" / f"tones-seed5-{number}.wav"
        waveform, rate = soundfile.read(path)
        assert (len(waveform), rate) == (400, 8_000)
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")

    facts = json.loads(wavegen("info", "tones", "--json").out)
    assert facts["config"]["model"]["dilations"] == [1, 2, 4]
    assert facts["config"]["audio"]["sample_rate"] == 8_000
    assert facts["receptive_field"] == 9
    assert facts["steps"] == 8
    assert "receptive field" in wavegen("info", run / "best.pth").out

    exported = wavegen("export", "--name", "mine")
    assert exported.code == 0, exported.err
    content = read_checkpoint(tmp_path / "data" / "pretrained" / "wavenet_mine.pth", "wavenet")
    assert "training" not in content
    assert content["config"]["corpus"]["paths"] == [tone_folder.name]
    again = wavegen("sample", "mine", "--seconds", 0.05, "-n", 2, "--seed", 5, "--temperature", 0.9, "--top-p", 0.95)
    assert again.code == 0, again.err


def test_the_same_seed_gives_the_same_audio_and_a_prime_is_continued(wavegen, tone_folder, tmp_path):
    assert wavegen("train", tone_folder, "--max-steps", 2, "--logger", "none", *TINY).code == 0
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        assert wavegen("sample", "--seconds", 0.1, "--seed", seed, "--out", folder).code == 0
    first, same, other = (soundfile.read(next(folder.glob("*.wav")))[0] for folder in folders)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    primed = wavegen(
        "sample", "--seconds", 0.1, "--prime", tone_folder / "tone0.wav", "--keep-prime", "--out", tmp_path / "p"
    )
    assert primed.code == 0, primed.err
    joined, _ = soundfile.read(next((tmp_path / "p").glob("*.wav")))
    assert len(joined) == 4_000 + 800


def test_resume_needs_no_other_option_and_gives_the_same_weights(wavegen, tone_folder, tmp_path):
    through, halted = tmp_path / "through", tmp_path / "halted"
    assert wavegen("train", tone_folder, "--max-steps", 12, "--data-dir", through, "--name", "x", *TINY).code == 0
    # a run of twelve steps that stops at five: the learning rate must not depend on the interruption
    from wavenet_app.core.loop import loop as fit

    real = fit._Loop.on_train_batch_end

    def stop_at_five(loop, *arguments):
        real(loop, *arguments)
        loop.trainer.should_stop |= loop.status.step == 5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit._Loop, "on_train_batch_end", stop_at_five)
        assert wavegen("train", tone_folder, "--max-steps", 12, "--data-dir", halted, "--name", "x", *TINY).code == 0
    last = halted / "checkpoints" / "x" / "last.pth"
    assert read_checkpoint(last, "wavenet")["training"]["step"] == 5
    assert wavegen("train", "--resume", "x", "--data-dir", halted).code == 0
    one = read_checkpoint(through / "checkpoints" / "x" / "last.pth", "wavenet")
    other = read_checkpoint(last, "wavenet")
    assert other["training"]["step"] == 12
    for name, tensor in one["weights"].items():
        assert torch.equal(tensor, other["weights"][name])
        assert torch.equal(one["training"]["weights"][name], other["training"]["weights"][name])


def test_skipped_files_are_listed_with_a_reason(wavegen, tone_folder):
    (tone_folder / "broken.flac").write_bytes(b"")
    (tone_folder / "notes.txt").write_text("hello", encoding="utf-8")
    outcome = wavegen("train", tone_folder, "--max-steps", 1, "--logger", "none", *TINY)
    assert outcome.code == 0, outcome.err
    assert "1 file skipped" in outcome.out
    assert "broken.flac" in outcome.out
    assert ".txt" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere"], "no file or folder 'nowhere'"),
        (["train", "empty"], "no audio in"),
        (["train", "texts"], "2 files are not audio"),
        (["train", "--preset", "huge"], "no preset is called 'huge'"),
        (["train", "--set", "model.skp_channels=3"], "did you mean 'model.skip_channels'"),
        (["train", "--logger", "paper"], "--logger takes tensorboard, wandb, none"),
        (["train", "--config", "absent.toml"], "absent.toml"),
        (["train", "--resume", "nothing"], "no run 'nothing' to resume"),
        (["train", "--split-by", "("], "--split-by"),
        (["sample"], "no trained model"),
        (["sample", "nothing"], "is called 'nothing'"),
        (["sample", "cut.pth"], "cut.pth"),
        (["info", "cut.pth"], "cut.pth"),
        (["inspect", "nowhere"], "no file or folder 'nowhere'"),
        (["inspect", "texts"], "no audio in"),
        (["export", "nothing"], "is called 'nothing'"),
    ],
)
def test_bad_input_gets_one_clear_line_and_code_2(wavegen, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    for number in range(2):
        (tmp_path / "texts" / f"{number}.txt").write_text("not audio", encoding="utf-8")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04")
    outcome = wavegen(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "help_page"),
    [
        (["sample", "--seconds"], "wavegen sample -h"),
        (["data", "get", "--from"], "wavegen data get -h"),
        (["sample", "--secs", "1"], "wavegen sample -h"),
        (["sample", "--seed", "--seconds", "1"], "wavegen sample -h"),
        (["train", "--resume", "--minutes", "4"], "wavegen train -h"),
        (["data", "fetch"], "wavegen data -h"),
        (["sampl"], "wavegen -h"),
    ],
)
def test_a_mistyped_command_names_its_own_help(wavegen, arguments, help_page):
    outcome = wavegen(*arguments)
    assert outcome.code == 2
    assert outcome.err.endswith(f" See: {help_page}\n")
    assert outcome.err.count("\n") == 1


def test_a_verdict_on_one_short_clip_is_marked_as_unsure(wavegen, tone_folder):
    for file in sorted(tone_folder.glob("*.wav"))[2:]:
        file.unlink()
    outcome = wavegen("train", tone_folder, "--max-steps", 1, "--logger", "none", *TINY)
    assert outcome.code == 0, outcome.err
    assert "note: only 1 clip (" in outcome.out
    assert "other clips can give another verdict" in " ".join(outcome.out.split())


def test_a_run_of_the_other_half_is_named_as_such(wavegen, tmp_path):
    for place in ("checkpoints/voice", "checkpoints/segmentation/photos"):
        for file in ("best.pth", "last.pth"):
            (tmp_path / "data" / place).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / place / file).write_bytes(b"")
    for arguments, words in (
        (["sample", "photos"], "'photos' is an image run; use it with: wavegen seg-predict photos IMAGE"),
        (
            ["train", "--resume", "photos"],
            "'photos' is an image run; resume it with: wavegen seg-train --resume photos",
        ),
        (["seg-eval", "voice", "shapes"], "'voice' is an audio run; use it with: wavegen sample voice"),
        (["seg-train", "--resume", "voice"], "'voice' is an audio run; resume it with: wavegen train --resume voice"),
    ):
        outcome = wavegen(*arguments)
        assert (outcome.code, outcome.err) == (2, f"error: {words}\n"), arguments


def test_an_existing_name_and_options_of_the_checkpoint_are_refused(wavegen, tone_folder):
    assert wavegen("train", tone_folder, "--max-steps", 1, "--name", "x", "--logger", "none", *TINY).code == 0
    taken = wavegen("train", tone_folder, "--max-steps", 1, "--name", "x", "--logger", "none", *TINY)
    assert (taken.code, "already exists" in taken.err) == (2, True)
    for setting in ("model.skip_channels=16", "audio.sample_rate=16000", "corpus.validation_fraction=0.3"):
        changed = wavegen("train", "--resume", "x", "--max-steps", 9, "--set", setting)
        assert changed.code == 2
        assert f"drop --set {setting.partition('.')[0]}..." in changed.err
    assert wavegen("export", "x").code == 0
    exported = wavegen("train", "--resume", "data/pretrained/wavenet_x.pth", "--max-steps", 9)
    assert exported.code == 2
    assert "was exported without its training state" in exported.err
    repeated = wavegen("train", tone_folder, "--resume", "x")
    assert (repeated.code, "leave out paths" in repeated.err) == (2, True)


def test_inspect_prints_a_table_or_json(wavegen, tone_folder):
    table = wavegen("inspect", tone_folder)
    assert table.code == 0, table.err
    assert "LPC" in table.out
    report = json.loads(wavegen("inspect", tone_folder, "--json").out)
    assert set(report["seconds_per_epoch"]) == {"tiny", "small", "base", "large"}
    assert report["corpus"]["training_clips"] + report["corpus"]["validation_clips"] == 6


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_generated(wavegen, tmp_path, monkeypatch):
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", SHAPES["one layer"])
    (tmp_path / "taken").write_text("", encoding="utf-8")
    monkeypatch.setattr("fast_gen.generation.command.generate", None)
    found = wavegen("sample", checkpoint, "--out", tmp_path / "taken" / "clips", "--engine", "torch")
    assert found.code == 2
    assert found.err == f"error: cannot write in {tmp_path}/taken/clips: Not a directory; choose another folder\n"


def test_ctrl_c_prints_one_line_and_no_traceback(wavegen, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.app", interrupted)
    assert wavegen("devices") == (130, "", "stopped\n")


@pytest.mark.parametrize(
    ("place", "arguments", "said"),
    [
        ("fast_gen.generation.command.generate", ("sample", "noise.pth", "--engine", "torch"), "; nothing was written"),
        ("fast_gen.evaluation.command.evaluate", ("eval", "noise.pth"), "; nothing was written"),
        ("wavenet_app.inspection.command.examine", ("inspect", "."), ""),
        ("segmentation.checking.command.check_datasets", ("seg-check",), ""),
        ("wavenet_app.downloads.cli.make_console", ("data",), ""),
    ],
)
def test_a_command_that_ctrl_c_ends_says_so_once(wavegen, tmp_path, monkeypatch, place, arguments, said):
    write_random_checkpoint(tmp_path / "noise.pth", SHAPES["one layer"])

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    found = wavegen(*arguments)
    assert (found.code, found.err.splitlines()[-1:]) == (130, [f"stopped{said}"])
    assert found.err.count("stopped") == 1


def test_what_an_interrupt_says_is_printed_without_a_command_that_prints_it(wavegen, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt("stopped; x is kept")

    monkeypatch.setattr("wavenet_app.training.command.run_training", interrupted)
    assert wavegen("demo") == (130, "", "stopped; x is kept\n")


def test_importing_the_command_line_imports_nothing_heavy():
    code = (
        "import sys, cli; heavy = {'torch', 'lightning', 'numpy', 'librosa', 'matplotlib', 'soundfile', 'pydantic'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_killed_and_resumed_run_ends_with_the_same_weights(tone_folder, tmp_path):
    common = ["train", str(tone_folder), "--max-steps", 400, "--name", "x", "--logger", "none", *TINY_NET]
    common += ["--set=training.checkpoint_seconds=0.2", "--set=training.processes=1"]
    process = shell(*common, "--data-dir", "through", folder=tmp_path)
    assert process.wait(120) == 0, process.communicate()
    last = tmp_path / "halted" / "checkpoints" / "x" / "last.pth"
    process = shell(*common, "--data-dir", "halted", folder=tmp_path)
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    step = read_checkpoint(last, "wavenet")["training"]["step"]
    assert step < 400
    process = shell("train", "--resume", "x", "--data-dir", "halted", folder=tmp_path)
    assert process.wait(120) == 0, process.communicate()
    one = read_checkpoint(tmp_path / "through" / "checkpoints" / "x" / "last.pth", "wavenet")
    other = read_checkpoint(last, "wavenet")
    for name, tensor in one["training"]["weights"].items():
        assert torch.equal(tensor, other["training"]["weights"][name])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_with_a_checkpoint(tone_folder, tmp_path, number):
    process = shell(
        "train", tone_folder, "--minutes", 5, "--set=training.checkpoint_seconds=0.2", *TINY_NET, folder=tmp_path
    )
    last = tmp_path / "data" / "checkpoints" / "tones" / "last.pth"
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert f"stopped by {name}; resume with: wavegen train --resume tones" in out
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "--seconds", "inf"),
        ("sample", "--seconds", "nan"),
        ("sample", "--seconds", "1e300"),
        ("bench", "--seconds", "inf"),
        ("eval", "--clip-seconds", "-inf"),
        ("train", "--minutes", "nan"),
        ("seg-train", "--minutes", "inf"),
    ],
)
def test_a_length_that_is_no_number_is_refused_in_one_line(wavegen, arguments):
    outcome = wavegen(*arguments)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert arguments[1] in outcome.err
