"""A bench measures what can run, lists what cannot with the reason, keeps to its time, and checks tolerances."""

import io
import json
import time

import numpy as np
import pytest
from json_schema import checked
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES, random_net
from rich.console import Console

from fast_gen.bench import command as bench_command
from fast_gen.bench import run as bench
from fast_gen.bench.process import TEXTBOOK, BenchTask, Measured, measure, sampling_rate
from fast_gen.bench.run import BenchJob, BenchRow, run_bench, tolerance_errors
from fast_gen.bench.textbook import Textbook
from fast_gen.bench.verify import Verification
from fast_gen.bench.view import clips_table, plain_rows, skipped_lines, speed_table
from fast_gen.engines import fastest, trial_cache
from fast_gen.engines.choice import EngineOption, engine_options
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.start import Job
from fast_gen.engines.trial import Trial
from fast_gen.engines.trial_cache import TrialCache
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.config import CorpusConfig, RunConfig, preset
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

FINE = Verification(2e-6, 2.5, 2.5, 1.0)
CPU = EngineOption("cpu", "cpu", "float32", 1, None)
INT8 = EngineOption("cpu", "cpu", "int8", 2, None)
GPU = EngineOption("torch", "cuda", "float32", 1, "torch sees no CUDA device")


def found(rate=1_000.0, compiled=False, first=0.5, verification=None, trials=None):
    return Measured(rate, first, 50_000_000, None, compiled, verification, trials or {})


@pytest.fixture
def fake_measure(monkeypatch):
    """Replaces processes with fixed results or errors; the list holds the tasks."""
    tasks = []

    def install(*results):
        waiting = iter(results)

        def next_result(task):
            tasks.append(task)
            result = next(waiting)
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(bench, "measure", next_result)
        return tasks

    return install


def job(tmp_path, *options, seconds=6.0):
    return BenchJob(tmp_path / "x.pth", tmp_path, options, seconds, None)


def test_engines_that_cannot_run_are_listed_with_the_reason(tmp_path, fake_measure):
    tasks = fake_measure(found(100.0), found(4_000.0, compiled=True, first=9.0), found(5_000.0), UserError("it died"))
    started = []
    rows = run_bench(job(tmp_path, TEXTBOOK, CPU, GPU, INT8), started.append)
    assert started == [TEXTBOOK, CPU, INT8]
    assert [task.option for task in tasks] == [TEXTBOOK, CPU, CPU, INT8]
    assert [row.measured and row.measured.samples_per_second for row in rows] == [100.0, 5_000.0, None, None]
    assert rows[1].compiling_seconds == 8.5
    assert skipped_lines(rows) == [
        "skipped: torch on cuda float32: torch sees no CUDA device",
        "skipped: cpu int8, 2 threads: it died",
    ]
    plain = plain_rows(rows, 1_000)
    assert json.loads(json.dumps(plain)) == plain
    assert [row["ratio_to_textbook"] for row in plain] == [1.0, 50.0, None, None]
    assert [row["real_time_factor"] for row in plain] == [0.1, 5.0, None, None]
    assert speed_table(rows, 1_000).row_count == 2


def test_the_time_is_shared_among_those_that_run(tmp_path, fake_measure):
    tasks = fake_measure(found(), found(), found())
    run_bench(job(tmp_path, TEXTBOOK, GPU, CPU, INT8), lambda _: None)
    # the others share the time that is left, up to 4 s
    assert [round(task.seconds, 1) for task in tasks] == [2.0, 3.0, 4.0]
    late = fake_measure(found(), found())
    late.clear()
    run_bench(job(tmp_path, TEXTBOOK, CPU, seconds=0.0), lambda _: None)
    assert [task.seconds for task in late] == [0.3, 0.3]


def test_a_rate_is_that_of_the_calls():
    def generate(numbers, settings):
        time.sleep(numbers.shape[1] / 10_000)
        return np.zeros(numbers.shape, np.int16)

    assert 5_000 < sampling_rate(generate, 0.3) < 10_000


def test_every_option_is_listed_with_its_obstacle():
    options = engine_options(GeneratorWeights.of(random_net(SHAPES["one layer"])))
    runnable = {(option.engine, option.precision, option.threads) for option in options if option.obstacle is None}
    assert {("cpu", "float32", 1), ("torch", "float32", 1)} <= runnable
    assert all(option.obstacle != "" for option in options)


@pytest.mark.parametrize(
    ("option", "changes", "words"),
    [
        (CPU, {"greatest_logit_difference": 0.1}, "a logit differs by 1.0e-01"),
        (CPU, {"greatest_logit_difference": float("nan")}, "a logit differs by nan"),
        (CPU, {"samples_equal": 0.99}, "only 99.0% of the samples"),
        (INT8, {"bits": 2.52}, "it costs 0.0200 bits per sample"),
    ],
)
def test_exceeded_tolerances_are_reported(option, changes, words):
    from dataclasses import replace

    assert tolerance_errors(option, FINE) == []
    assert words in " ".join(tolerance_errors(option, replace(FINE, **changes)))
    assert tolerance_errors(INT8, replace(FINE, greatest_logit_difference=0.1, samples_equal=0.9)) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_the_textbook_generator_picks_what_the_reference_picks(shape):
    weights = GeneratorWeights.of(random_net(SHAPES[shape]))
    numbers = uniforms(3, rows=2, length=60)
    generated = []
    for generator in (TorchQueue(weights), Textbook(weights)):
        generator.reset(2)
        generated.append(generator.generate(numbers, SamplingSettings()))
    np.testing.assert_array_equal(*generated)


def test_held_out_recordings_are_found_or_reported_missing(tmp_path, tone_folder):
    config = RunConfig(model=preset("tiny").model, corpus=CorpusConfig(paths=(str(tone_folder),)))
    folder = DataFolder(tmp_path / "data")
    everything = {"validation": sorted(path.name for path in tone_folder.iterdir())}
    audio = bench.verification_audio(config, everything, folder)
    assert audio is not None
    assert audio.codes.shape[1] == bench.VERIFIED_SAMPLES
    assert "held-out" in audio.source
    assert len(np.unique(audio.codes)) > 20
    assert bench.verification_audio(config, {"validation": ["another.wav"]}, folder) is None
    assert bench.verification_audio(config, None, folder) is None
    gone = config.model_copy(update={"corpus": CorpusConfig(paths=("nowhere",))})
    assert bench.verification_audio(gone, everything, folder) is None


def test_more_clips_and_the_self_check_have_a_table():
    right = {1: Trial(10.0, None, "2026-01-31"), 16: Trial(4_000.0, None, "2026-01-31")}
    wrong = {1: Trial(9.0, None, "2026-01-31"), 1_024: Trial(None, "its scores are not the same twice", "2026-01-31")}
    rows = [
        BenchRow(TEXTBOOK, found(), None, None),
        BenchRow(CPU, found(trials=right), None, None),
        BenchRow(GPU, found(trials=wrong), None, None),
    ]
    console = Console(width=120, file=io.StringIO())
    console.print(clips_table(rows))
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip(" ─")]
    assert lines[1:] == [
        ["engine", "16", "clips", "1,024", "clips", "self-check"],
        ["cpu", "float32", "4,000", "passed"],
        ["torch", "on", "cuda", "float32", "its", "scores", "are", "not", "the", "same", "twice", "(1,024", "clips)"],
    ]
    plain = plain_rows(rows, 1_000)
    assert json.loads(json.dumps(plain)) == plain
    assert plain[1]["samples_per_second_by_clips"] == {"1": 10.0, "16": 4_000.0}
    assert [row["self_check"] for row in plain] == [None, "passed", "its scores are not the same twice (1,024 clips)"]


def test_what_is_measured_decides_what_auto_takes(monkeypatch, wavegen, tmp_path, fake_measure):
    """With a GPU that is only claimed: the faster takes its number of clips, what sounds wrong none."""
    date = "2026-01-31"
    on_gpu = [EngineOption(name, "cuda", "float32", 1, None) for name in ("cuda", "graph")]
    monkeypatch.setattr(bench_command, "engine_options", lambda _: [CPU, *on_gpu])
    monkeypatch.setattr(fastest, "missing_for", lambda *_: None)
    monkeypatch.setattr(trial_cache, "_machine_facts", lambda: ["a GPU"])
    fake_measure(
        found(10.0),
        found(trials={1: Trial(50.0, None, date), 16: Trial(60.0, None, date), 256: Trial(70.0, None, date)}),
        found(trials={1: Trial(20.0, None, date), 16: Trial(90.0, None, date), 256: Trial(None, "it hums", date)}),
        found(trials={1: Trial(30.0, None, date), 16: Trial(80.0, None, date), 256: Trial(71.0, None, date)}),
    )
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", SHAPES["one layer"])
    code, out, err = wavegen("bench", checkpoint, "--data-dir", tmp_path / "data")
    assert code == 0, err
    line = "--engine auto takes from now on: cpu for 1 clip, cuda for 16 clips, graph for 256 clips"
    assert out.splitlines()[-1] == line
    weights = GeneratorWeights.of(load_trained(checkpoint).model)
    trials = TrialCache(tmp_path / "data" / ".cache" / "trials")
    assert fastest.fastest_known(weights, "float32", 1, Job(16, trials=trials)) == ("cuda", "cuda")
    assert fastest.fastest_known(weights, "float32", 1, Job(100, trials=trials)) is None


def test_standard_output_has_only_the_json(monkeypatch, wavegen, tmp_path, fake_measure):
    monkeypatch.setattr(bench_command, "engine_options", lambda _: [CPU, GPU])
    fake_measure(found(10.0), found(1_000.0, verification=FINE))
    code, out, err = wavegen("bench", "--json", "--verify", "--data-dir", tmp_path / "data")
    assert code == 0, err
    facts = json.loads(out)
    assert "random weights of the preset small" in facts["model"]
    assert facts["verified_on"] == "4 x 1024 samples that the model generated"
    assert [row["engine"] for row in facts["engines"]] == ["textbook", "cpu", "torch"]
    assert facts["engines"][1]["verification"]["tolerance_errors"] == []
    assert facts["engines"][2]["skipped"] == "torch sees no CUDA device"
    assert "measuring textbook\nmeasuring cpu float32\n" in err


def test_an_exceeded_tolerance_is_an_error(monkeypatch, wavegen, tmp_path, fake_measure):
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", SHAPES["one layer"])
    monkeypatch.setattr(bench_command, "engine_options", lambda _: [CPU])
    fake_measure(found(10.0), found(1_000.0, verification=Verification(0.2, 2.5, 2.5, 1.0)))
    code, out, err = wavegen("bench", checkpoint, "--verify")
    assert code == 2
    assert "exceeded: a logit differs by 2.0e-01" in out
    assert err.splitlines()[-1].startswith("error: an engine does not agree with the full network: cpu float32: a log")


def test_a_missing_checkpoint_is_an_error(wavegen, tmp_path):
    code, _, err = wavegen("bench", "nothing", "--data-dir", tmp_path)
    assert (code, err.count("\n")) == (2, 1)


def test_one_engine_in_its_own_process(tmp_path):
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", SHAPES["one layer"])
    trained = load_trained(checkpoint)
    WeightCache(tmp_path / "weights").keep(checkpoint, trained.config, GeneratorWeights.of(trained.model))
    codes = np.random.default_rng(0).integers(0, 16, (2, 50)).astype(np.int16)
    result = measure(BenchTask(CPU, checkpoint, tmp_path / "weights", 0.1, codes))
    assert result.samples_per_second > 1_000
    assert 0 < result.first_sound_seconds < 120
    assert 20e6 < result.peak_memory_bytes < 2e9
    assert list(result.trials) == [1, 16, 256]
    assert all(trial.samples_per_second > 1_000 for trial in result.trials.values())
    assert result.fault is None
    assert result.verification is not None
    assert tolerance_errors(CPU, result.verification) == []


def test_an_engine_that_fails_in_its_process_is_a_user_error(tmp_path):
    task = BenchTask(CPU, write_random_checkpoint(tmp_path / "noise.pth", SHAPES["one layer"]), tmp_path, 0.1, None)
    with pytest.raises(UserError, match=r"^it failed with AssertionError: the caller has stored the weights$"):
        measure(task)


@pytest.mark.slow
def test_the_whole_bench_of_a_tiny_net(wavegen, tmp_path):
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", preset("tiny").model)
    code, out, err = wavegen("bench", checkpoint, "--verify", "--json", "--seconds", 5)
    assert code == 0, err
    engines = checked("bench", out)["engines"]
    measured = {(row["engine"], row["precision"], row["threads"]) for row in engines if not row["skipped"]}
    assert {("textbook", "float32", 1), ("torch", "float32", 1), ("cpu", "float32", 1)} <= measured
