"""The data doctor finds planted defects, and nothing in healthy files."""

import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console

from wavenet_app.core.errors import UserError
from wavenet_app.inspection.advice import sufficient_rate
from wavenet_app.inspection.examine import examine
from wavenet_app.inspection.facts import FileFacts, _Ceiling, measure_file
from wavenet_app.inspection.report import Report
from wavenet_app.inspection.view import render

RATE = 16_000


def noise(seconds: float = 1.0, level: float = 0.1, seed: int = 0, sample_rate: int = RATE) -> NDArray[np.float64]:
    return level * np.random.default_rng(seed).standard_normal(int(seconds * sample_rate))


def written(path: Path, samples: NDArray[Any], sample_rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if subtype == "PCM_16":
        # Rounded here, because libsndfile rounds differently for WAV and FLAC.
        samples = np.clip(np.round(samples * 32_768), -32_768, 32_767).astype(np.int16)
    soundfile.write(path, samples, sample_rate, subtype=subtype)
    return path


def shown(report: Report) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(render(report))
    return console.export_text()


def test_a_healthy_file_has_its_level_and_no_findings(tmp_path: Path) -> None:
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) + noise(level=0.01)
    facts = measure_file(written(tmp_path / "a.wav", samples))
    assert facts.peak == pytest.approx(20 * np.log10(np.abs(samples).max()), abs=0.01)
    assert facts.rms == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)
    assert facts.clipped_runs == 0
    assert facts.silent_share == 0
    assert facts.bandwidth == 8_000
    assert facts.offset == pytest.approx(0, abs=1e-3)
    assert (facts.sample_rate, facts.channels, facts.frames, facts.format, facts.subtype) == (
        RATE,
        1,
        RATE,
        "WAV",
        "PCM_16",
    )


@pytest.mark.parametrize("level", [1e-30, 1e25, 1e37])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_float_file_of_any_level_is_measured_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, level: float, channels: int
) -> None:
    samples = np.repeat(noise()[:, None], channels, axis=1)
    usual = measure_file(written(tmp_path / "a.wav", samples, subtype="FLOAT"))
    facts = measure_file(written(tmp_path / "b.wav", level * samples, subtype="FLOAT"))
    assert facts.bandwidth == usual.bandwidth == 8_000
    assert facts.rms == pytest.approx(usual.rms + 20 * math.log10(level), abs=0.01)
    assert not recwarn.list


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("ceiling", [0.5, 1.0])
def test_clipping_is_found_at_full_scale_and_below(tmp_path: Path, subtype: str, ceiling: float) -> None:
    tone = 2 * ceiling * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    facts = measure_file(written(tmp_path / "a.wav", np.clip(tone, -ceiling, ceiling), subtype=subtype))
    assert facts.clipped_runs == pytest.approx(400, abs=1)
    assert facts.clipped_samples == pytest.approx(RATE * 2 / 3, rel=0.05)


def test_clipping_is_found_in_one_channel(tmp_path: Path) -> None:
    clean = noise(level=0.05)
    both = np.stack([clean, np.clip(30 * clean, -1, 1)], axis=1)
    assert measure_file(written(tmp_path / "a.wav", both)).clipped_runs > 100
    assert measure_file(written(tmp_path / "b.wav", np.stack([clean, clean], axis=1))).clipped_runs == 0


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW", "ALAW"])
@pytest.mark.parametrize("level", [1e-4, 0.003, 0.02, 0.9])
@pytest.mark.parametrize("frequency", [20, 61, 333])
def test_crests_that_rounding_made_flat_are_not_called_clipped(
    tmp_path: Path, subtype: str, level: float, frequency: float
) -> None:
    tone = level * np.sin(2 * np.pi * frequency * np.arange(2 * RATE) / RATE)
    rounded = np.round(tone * 32_768) / 32_768
    path = tmp_path / "a.wav"
    soundfile.write(path, rounded, RATE, subtype=subtype)
    assert measure_file(path).clipped_runs == 0


def test_float_peaks_over_one_are_not_called_clipped(tmp_path: Path) -> None:
    hot = 1.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE + 0.1) + noise(level=0.01)
    assert measure_file(written(tmp_path / "a.wav", hot, subtype="FLOAT")).clipped_runs == 0
    assert measure_file(written(tmp_path / "b.wav", 2**15 * hot, subtype="FLOAT")).clipped_runs == 0
    assert measure_file(written(tmp_path / "c.wav", np.round(2**15 * hot), subtype="FLOAT")).clipped_runs == 0
    clipped = np.clip(hot, -1.2, 1.2)
    assert measure_file(written(tmp_path / "d.wav", clipped, subtype="FLOAT")).clipped_runs > 300


def test_clipping_at_the_greatest_value_of_a_companded_format_is_found(tmp_path: Path) -> None:
    tone = np.clip(2 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE), -1, 1)
    for subtype in ("ALAW", "ULAW"):
        assert measure_file(written(tmp_path / f"{subtype}.wav", tone, subtype=subtype)).clipped_runs > 300


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name", ["quiet_16bit_minus81dBFS.wav", "float_over_1_not_clipped.wav", "float_int16_scale.wav"]
)
def test_inputs_that_were_called_clipped_are_not(shared_audio_cases: Path, name: str) -> None:
    assert measure_file(shared_audio_cases / name).clipped_runs == 0


def test_a_file_of_unknown_length_has_no_invented_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", noise(3))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the length, in 36 bits
    content[22:26] = bytes(4)
    path.write_bytes(content)
    report = examine([path])
    assert (report.damaged, report.files[0].frames) == ((), 3 * RATE)
    path.write_bytes(content[: len(content) // 2])
    (problem,) = examine([path]).damaged
    assert "of" not in problem.reason.split("could be read")[0].split(";")[-1]


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=60), st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_flat_runs_are_counted(values: list[float], cut: int) -> None:
    samples = np.array(values, dtype=np.float32)[:, None]
    expected_runs = expected_samples = 0
    for part in (values[:cut], values[cut:]):  # a run ends with its block
        for run in "".join("x" if value == 1.0 else " " for value in part).split():
            expected_runs += len(run) >= 3
            expected_samples += len(run) if len(run) >= 3 else 0
    ceiling = _Ceiling()
    for block in (samples[:cut], samples[cut:]):
        if len(block):
            ceiling.add(block)
    if 1.0 in values:
        assert ceiling.clipping() == (expected_runs, expected_samples)


@pytest.mark.parametrize(("old", "new"), [(8_000, 16_000), (16_000, 48_000), (16_000, 22_050), (22_050, 44_100)])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_upsampling_is_detected(tmp_path: Path, old: int, new: int, subtype: str) -> None:
    upsampled = soxr.resample(noise(2, sample_rate=old), old, new)
    facts = measure_file(written(tmp_path / "a.wav", upsampled, new, subtype))
    assert facts.bandwidth == pytest.approx(old / 2, rel=0.05)
    assert sufficient_rate(facts) == old


@pytest.mark.parametrize("level", [0.1, 0.001])
def test_full_bandwidth_is_not_narrow(tmp_path: Path, level: float) -> None:
    facts = measure_file(written(tmp_path / "a.wav", noise(2, level, sample_rate=48_000), 48_000))
    assert facts.bandwidth == 24_000


def test_content_that_training_would_leave_out_is_named_with_the_rate_that_keeps_it(tmp_path: Path) -> None:
    for index in range(2):
        written(tmp_path / "loops" / f"{index}.wav", noise(2, seed=index, sample_rate=44_100), 44_100)
    written(tmp_path / "loops" / "dull.wav", soxr.resample(noise(2, seed=2), RATE, 44_100), 44_100)
    advice = "\n".join(examine([tmp_path / "loops"], cache_dir=tmp_path / "cache").advice)
    assert "2 files have content above 8 kHz, which training at 16 kHz leaves out: --sample-rate 44100" in advice
    assert "2.8 times as long" in advice
    assert "one voice or instrument" in advice
    written(tmp_path / "speech" / "a.wav", noise(2))
    written(tmp_path / "speech" / "b.wav", noise(2, seed=1))
    report = examine([tmp_path / "speech"], cache_dir=tmp_path / "cache")
    assert report.corpus is not None
    assert not any("leaves out" in line for line in report.advice)


def test_silence_is_relative_to_the_peak_of_the_file(tmp_path: Path) -> None:
    samples = np.concatenate([noise(0.5, 1e-5), noise(1.0, 0.01), noise(0.25, 1e-5)])
    facts = measure_file(written(tmp_path / "a.wav", samples, subtype="PCM_24"))
    assert facts.leading_silence == pytest.approx(0.5, abs=0.02)
    assert facts.trailing_silence == pytest.approx(0.25, abs=0.02)
    assert facts.silent_share == pytest.approx(0.75 / 1.75, abs=0.02)


def test_block_boundaries_do_not_change_the_facts(tmp_path: Path) -> None:
    """Ten seconds are many blocks; level, silence and length describe the whole file."""
    samples = np.concatenate([noise(5), np.zeros(3 * RATE), noise(2, seed=1)])
    facts = measure_file(written(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert facts.frames == len(samples)
    assert facts.rms == pytest.approx(10 * np.log10(np.mean(samples**2)), abs=1e-3)
    assert facts.silent_share == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("samples", [1, 10, 700, 1_024, 1_025])
def test_a_tiny_file_has_facts(tmp_path: Path, samples: int) -> None:
    facts = measure_file(written(tmp_path / "a.wav", noise()[:samples]))
    assert facts.frames == samples
    assert 0 <= facts.bandwidth <= 8_000


def test_the_problems_of_a_folder_are_listed(tmp_path: Path) -> None:
    good = written(tmp_path / "good.wav", noise())
    shutil.copy(good, tmp_path / "copy.wav")
    written(tmp_path / "same sound.flac", noise())
    written(tmp_path / "clipped.wav", np.clip(20 * noise(seed=1), -1, 1))
    written(tmp_path / "offset.wav", noise(seed=2) + 0.2)
    written(tmp_path / "short.wav", noise(0.05, seed=3))
    written(tmp_path / "silent.wav", np.zeros(RATE))
    written(tmp_path / "narrow.wav", soxr.resample(noise(seed=4), RATE, 48_000), 48_000)
    written(tmp_path / "nan.wav", np.full(RATE, np.nan), subtype="FLOAT")
    (tmp_path / "empty.flac").write_bytes(b"")
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "notes.txt").write_text("not audio")
    report = examine([tmp_path])

    def named(*names: str) -> tuple[str, ...]:
        return tuple(str(tmp_path / name) for name in names)

    assert report.clipped == named("clipped.wav")
    assert report.offset == named("offset.wav")
    assert report.short == named("short.wav")
    assert report.silent == named("silent.wav")
    assert report.narrow == named("narrow.wav")
    assert {problem.name for problem in report.unreadable} == set(named("nan.wav", "empty.flac", "text.wav"))
    assert all(problem.reason for problem in report.unreadable)
    assert report.ignored == {".txt": 1}
    assert [(set(group.names), group.same_bytes) for group in report.duplicates] == [
        (set(named("good.wav", "copy.wav", "same sound.flac")), False)
    ]
    assert report.sample_rates == {"16000": 7, "48000": 1}
    advice = "\n".join(report.advice)
    for word in (
        "cannot be read",
        "--sample-rate 16000",
        "clipped",
        "remove the copies",
        "DC",
        "shorter",
        "digital silence",
    ):
        assert word in advice
    text = shown(report)
    for name in ("nan.wav", "empty.flac", "text.wav", ".txt"):
        assert name in text


def test_identical_files_are_reported_as_such(tmp_path: Path) -> None:
    shutil.copy(written(tmp_path / "a.wav", noise()), tmp_path / "b.wav")
    report = examine([tmp_path])
    assert [group.same_bytes for group in report.duplicates] == [True]
    assert "byte for byte: training skips the copies, so you can leave them" in "\n".join(report.advice)


def test_a_healthy_folder_gets_no_advice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(3):
        written(tmp_path / f"{index}.wav", 0.1 * rng.standard_normal(250 * 8_000), 8_000)
    report = examine([tmp_path])
    assert report.advice == ()
    assert "no problems found" in shown(report)


def test_the_report_is_json(tmp_path: Path) -> None:
    written(tmp_path / "silent.wav", np.zeros(RATE))
    written(tmp_path / "übung [x].wav", noise())
    report = replace(examine([tmp_path]), seconds_per_epoch={"small": 12.5})
    values = json.loads(report.to_json())
    assert values["files"][0]["peak"] is None
    assert values["seconds_per_epoch"] == {"small": 12.5}
    assert values["files"][1]["path"].endswith("übung [x].wav")
    assert "12.5 s" in shown(report)
    assert (
        "by default wavegen train runs for 30 minutes; in that time small reads all recordings about 144 times"
        in shown(report)
    )


def test_a_truncated_file_is_read_in_part_and_named(tmp_path: Path) -> None:
    path = written(tmp_path / "cut.flac", noise(5))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = examine([tmp_path])
    assert [problem.name for problem in report.damaged] == [str(path)]
    assert 1 < report.files[0].seconds < 3
    assert "damaged" in shown(report)


def test_nothing_to_examine_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not audio")
    with pytest.raises(UserError, match="no audio in"):
        examine([tmp_path])
    with pytest.raises(UserError, match="there is no file or folder"):
        examine([tmp_path / "absent"])


def test_progress_counts_every_file(tmp_path: Path) -> None:
    for index in range(4):
        written(tmp_path / f"{index}.wav", noise(0.2, seed=index))
    seen: list[tuple[int, int, str]] = []
    examine([tmp_path], progress=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert {step[2] for step in seen} == {"0.wav", "1.wav", "2.wav", "3.wav"}


def test_training_facts_come_from_the_corpus(tmp_path: Path) -> None:
    for index in range(8):
        written(tmp_path / "audio" / f"{index}.wav", noise(1, 0.01, seed=index))
    report = examine([tmp_path / "audio"], cache_dir=tmp_path / "cache")
    assert report.corpus is not None
    assert report.corpus.training_clips + report.corpus.validation_clips == 8
    assert report.corpus.sample_rate == RATE
    assert report.corpus.gain > 5
    assert 5 < report.corpus.bits.lpc < 8
    assert any("quiet" in line for line in report.advice)
    assert "LPC-24" in shown(report)


def test_a_corpus_that_training_rejects_is_still_reported(tmp_path: Path) -> None:
    written(tmp_path / "audio" / "silent.wav", np.zeros(RATE))
    report = examine([tmp_path / "audio"], cache_dir=tmp_path / "cache")
    assert report.corpus is None
    assert report.corpus_problem
    assert report.advice[0].startswith("training would fail")
    assert math.isclose(report.hours, 1 / 3600)


def test_the_sufficient_rate_never_exceeds_the_rate_of_the_file() -> None:
    facts = FileFacts("", 44_100, 1, 1, "", "", 0, 0, 0, 0, 0, 0, 0, 0, 22_050, "", (), "", "")
    assert sufficient_rate(facts) == 44_100
    assert sufficient_rate(replace(facts, bandwidth=15_900)) == 32_000
    assert sufficient_rate(replace(facts, bandwidth=0)) == 8_000


@pytest.mark.shared_data
def test_real_speech_is_healthy(shared_audio: Path, tmp_path: Path) -> None:
    files = sorted((shared_audio / "speech").glob("*.flac"))[:60]
    report = examine(files, cache_dir=tmp_path)
    assert report.rms is not None
    assert report.rms.median == pytest.approx(-29.5, abs=1.5)
    findings = (report.clipped, report.narrow, report.unreadable, report.duplicates, report.damaged)
    assert findings == ((), (), (), (), ())
    assert report.corpus is not None
    assert 3.7 < report.corpus.bits.lpc < report.corpus.bits.order1 < report.corpus.bits.unigram < 7.95
