"""Preparing a run from its options: settings, names and notes."""

from pathlib import Path

import pytest
import torch

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.training.options import RunOptions
from wavenet_app.training.run import prepare_run
from wavenet_app.training.task import WaveNetTask


def prepared(folder: Path, tones: Path, device: str = "cpu", **options):
    return prepare_run(RunOptions(paths=(str(tones),), **options), DataFolder(folder), device=device)


def test_auto_is_small_on_a_cpu_and_base_with_more_windows_on_a_gpu(tmp_path, tone_folder):
    on_cpu, on_gpu = (prepared(tmp_path, tone_folder, device).config for device in ("cpu", "cuda"))
    assert len(on_cpu.model.dilations) == 20
    assert len(on_gpu.model.dilations) == 30
    assert on_gpu.training.batch_size > on_cpu.training.batch_size


def test_the_cpu_gets_a_process_per_core_and_a_gpu_one(tmp_path, tone_folder):
    on_cpu, on_gpu = (prepared(tmp_path, tone_folder, device) for device in ("cpu", "cuda"))
    assert on_cpu.plan.processes == on_cpu.config.training.processes == min(4, torch.get_num_threads())
    assert on_gpu.plan.processes == 1
    assert prepared(tmp_path, tone_folder, assignments=("training.processes=3",)).plan.processes == 3


def test_rate_and_gain_come_from_the_corpus_and_half_an_hour_is_the_default(tmp_path, tone_folder):
    run = prepared(tmp_path, tone_folder)
    assert run.config.audio.sample_rate == run.corpus.sample_rate == 8_000
    assert run.config.audio.gain == run.corpus.gain == pytest.approx(0.9 / 0.5, rel=0.02)
    assert (run.plan.minutes, run.plan.max_steps) == (30.0, None)


def test_the_command_line_overrides_the_file_and_the_file_the_preset(tmp_path, tone_folder):
    file = tmp_path / "run.toml"
    file.write_text(
        "[model]\nskip_channels = 7\nresidual_channels = 9\n[audio]\nsample_rate = 4000\n", encoding="utf-8"
    )
    run = prepared(tmp_path, tone_folder, config_file=file, assignments=("model.skip_channels=5",))
    assert (run.config.model.skip_channels, run.config.model.residual_channels) == (5, 9)
    assert run.config.model.dilation_channels == 32
    assert run.corpus.sample_rate == 4_000


def test_runs_are_named_after_their_folder_and_never_overwritten(tmp_path, tone_folder):
    names = []
    for _ in range(3):
        run = prepared(tmp_path, tone_folder, preset="tiny")
        assert (tmp_path / "checkpoints" / run.config.name).is_dir()  # which takes the name
        names.append(run.config.name)
    assert names == ["tones-tiny", "tones-tiny-2", "tones-tiny-3"]


def test_a_short_receptive_field_and_a_short_window_get_a_note(tmp_path, tone_folder):
    narrow = prepared(tmp_path, tone_folder, assignments=("model.dilations=[1, 2]",)).notes
    assert any("only 0 ms" in note or "only 1 ms" in note for note in narrow)
    short = prepared(tmp_path, tone_folder, assignments=("training.window=100",)).notes
    assert any("shorter than its context (512)" in note for note in short)
    notes = prepared(tmp_path, tone_folder).notes
    assert not any("receptive field" in note or "context" in note for note in notes)


def test_a_data_set_is_a_path_or_a_name_in_the_data_folder(tmp_path, tone_folder):
    (tmp_path / "data" / "music").mkdir(parents=True)
    folder = DataFolder(tmp_path / "data")
    assert folder.data_set(str(tone_folder)) == tone_folder
    assert folder.data_set("music/") == tmp_path / "data" / "music"
    (tmp_path / "data" / "checkpoints").mkdir()
    (tmp_path / "data" / "LJ" / "Wavs").mkdir(parents=True)
    assert folder.data_set("Music") == tmp_path / "data" / "music"
    assert folder.data_set("lj/wavs/") == tmp_path / "data" / "LJ" / "Wavs"
    with pytest.raises(UserError, match=r"no file or folder 'speech/'.*speech$"):
        folder.data_set("speech/")
    with pytest.raises(UserError, match=r"; did you mean 'music'.$"):
        folder.data_set("musik")
    with pytest.raises(UserError, match=r"checkpoint$"):  # a folder that holds no recordings
        folder.data_set("checkpoint")


def test_a_run_finds_its_files_from_any_folder(tmp_path, tone_folder, monkeypatch):
    table = tone_folder.parent / "who.csv"
    table.write_text("".join(f"{path.name},ann\n" for path in tone_folder.iterdir()), encoding="utf-8")
    monkeypatch.chdir(tone_folder.parent)
    corpus = prepared(tmp_path, Path(tone_folder.name), speakers="csv:who.csv").config.corpus
    assert corpus.paths == (str(tone_folder),)
    assert corpus.speakers == f"csv:{table}"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "speech").symlink_to(tone_folder)
    named = prepared(Path(tmp_path / "data"), Path("speech")).config
    assert named.corpus.paths == (str(tmp_path / "data" / "speech"),)
    assert named.name == "speech"


def test_several_processes_on_a_gpu_are_refused_before_anything_is_made(tmp_path, tone_folder):
    with pytest.raises(UserError, match=r"training\.processes=2 would share one GPU"):
        prepared(tmp_path, tone_folder, device="cuda", assignments=("training.processes=2",))
    assert prepared(tmp_path, tone_folder, device="cuda").plan.processes == 1


@pytest.mark.parametrize(
    ("device", "one_machine", "assignments", "optimizer", "graphs"),
    [
        ("cpu", True, (), "soap", False),
        ("cpu", False, (), "adam", False),
        ("cuda", True, (), "adam", True),
        ("cuda", True, ("training.optimizer=soap",), "soap", False),
        ("cpu", True, ("training.optimizer=adam",), "adam", False),
    ],
)
def test_soap_trains_on_the_cpu_of_one_machine(
    tmp_path, tone_folder, device, one_machine, assignments, optimizer, graphs
):
    run = prepared(tmp_path, tone_folder, device, one_machine=one_machine, assignments=assignments)
    assert run.config.training.optimizer == optimizer
    assert run.plan.cuda_graphs is graphs


def test_soap_is_refused_without_float64_and_several_machines_get_a_note(tmp_path, tone_folder):
    soap = ("training.optimizer=soap",)
    with pytest.raises(UserError, match=r"soap needs numbers of 64 bits.*--set training\.optimizer=adam"):
        prepared(tmp_path, tone_folder, "mps", assignments=soap)
    noted = prepared(tmp_path, tone_folder, one_machine=False, assignments=soap).notes
    assert any("soap is untried on several machines" in note for note in noted)
    assert not any("soap" in note for note in prepared(tmp_path, tone_folder).notes)


@pytest.mark.parametrize(
    ("options", "joined"),
    [
        ({}, 0.0),
        ({"assignments": ("training.joined=0.5",)}, 0.5),
        ({"speakers": "folder"}, 0.75),
        ({"speakers": "folder", "assignments": ("training.joined=0",)}, 0.0),
        ({"speakers": "folder", "condition": "mel"}, 0.0),
        ({"speakers": "regex:(wav)"}, 0.0),  # nobody to tell apart
    ],
)
def test_clips_of_several_speakers_follow_each_other(tmp_path, write_tone, options, joined):
    for number in range(6):
        speaker = ("ann", "bo")[number % 2]
        write_tone(tmp_path / "spoken" / speaker / f"{number}.wav", seconds=0.5, frequency=200.0 + 30 * number)
    run = prepared(tmp_path, tmp_path / "spoken", **options)
    assert run.config.training.joined == joined
    task = WaveNetTask(run.config, run.corpus, Baseline(1.0, 1.0, 1.0, 1), "cpu")
    assert task._windows(0, 0, 1).joined == joined


def test_clips_with_frames_follow_no_other_clip(tmp_path, tone_folder):
    with pytest.raises(UserError, match=r"training\.joined: the mel frames of a clip do not show the clip before it"):
        prepared(tmp_path, tone_folder, condition="mel", assignments=("training.joined=1",))
