"""A run that starts from a trained model takes over what fits, says so, and begins where that model stands."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import TINY

from wavenet_app.checkpoints.trained import KIND, find_checkpoint, load_trained, read_trained
from wavenet_app.config import AudioConfig, ModelConfig, RunConfig
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.network.conditioning import Conditioning
from wavenet_app.network.model import UNCONDITIONED, WaveNet
from wavenet_app.network.shapes import parameter_shapes
from wavenet_app.training.start import Source, at_gentle_rate, settings_from, take_over

QUICK = ["--logger", "none", "--set=training.processes=1", "--set=training.window=256"]
STILL = "--set=training.learning_rate=1e-30"  # too small to move any weight
SHAPE = {"residual_channels": 4, "dilation_channels": 4, "skip_channels": 8, "dilations": (1, 2, 4)}


@pytest.fixture
def trained(wavegen, tone_folder, tmp_path) -> Path:
    """The data folder with a run called first."""
    outcome = wavegen("train", tone_folder, "--name", "first", "--max-steps", 30, "--logger", "none", *TINY)
    assert outcome.code == 0, outcome.err
    return tmp_path / "data"


def content(data: Path, run: str) -> dict:
    return read_trained(find_checkpoint(data, run))


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("given", ["first", "data/checkpoints/first", "data/checkpoints/first/best.pth"])
def test_before_its_first_step_a_run_is_the_model_that_it_starts_from(wavegen, tone_folder, trained, given):
    outcome = wavegen("train", tone_folder, "--name", "next", "--start-from", given, "--max-steps", 1, STILL, *QUICK)
    assert outcome.code == 0, outcome.err
    first, then = content(trained, "first"), content(trained, "next")
    assert then["config"]["model"] == first["config"]["model"]  # the shape, though no --set names it
    assert then["validation"] == first["validation"]
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, then["weights"][name]), name
    weights = sum(tensor.numel() for tensor in first["weights"].values())
    assert f"note: starts from {given}, " in flat(outcome.out)
    assert f"best.pth: all {weights:,} weights" in flat(outcome.out)
    assert "new:" not in outcome.out
    first_row, *_, last_row = [row for row in outcome.out.splitlines() if "  validation " in row]
    assert first_row.endswith("  before training")
    bits = [row.partition("validation ")[2].split()[0] for row in (first_row, last_row)]
    assert bits[0] == bits[1]  # a run that moves no weight ends where it starts
    assert f"training has gained nothing yet: {bits[1]} bits at best, {bits[0]} before training" in flat(outcome.out)


def test_the_averaged_weights_are_taken_over(wavegen, tone_folder, trained):
    last = trained / "checkpoints" / "first" / "last.pth"
    saved = content(trained, str(last))
    assert not torch.equal(saved["weights"]["output2.weight"], saved["training"]["weights"]["output2.weight"])
    assert (
        wavegen("train", tone_folder, "--name", "next", "--start-from", last, "--max-steps", 1, STILL, *QUICK).code == 0
    )
    assert torch.equal(content(trained, "next")["weights"]["output2.weight"], saved["weights"]["output2.weight"])


def test_the_run_records_its_start_and_resume_does_not_repeat_it(wavegen, tone_folder, trained, write_tone):
    start = ["train", tone_folder, "--name", "next", "--start-from", "first", "--max-steps", 2, *QUICK]
    begun = wavegen(*start)
    assert begun.code == 0
    assert "note: the learning rate is 0.005 instead of 0.008" in flat(begun.out)
    (before,) = [row.split()[4] for row in begun.out.splitlines() if row.endswith("  before training")]
    recorded = json.loads((trained / "checkpoints" / "next" / "config.json").read_text(encoding="utf-8"))
    assert recorded["training"]["start_from"] == "first"
    assert "start_from = first" in wavegen("info", "next").out
    (trained / "checkpoints" / "first" / "best.pth").unlink()  # resuming does not need it
    resumed = wavegen("train", "--resume", "next", "--max-steps", 4, "--logger", "none")
    assert resumed.code == 0, resumed.err
    assert "note: this run started from first" in flat(resumed.out)
    assert "starts from" not in resumed.out
    # the verdict is of the whole run, and so is that of eval
    evaluated = wavegen("eval", "next", "--clips", 1, "--clip-seconds", 0.1, "--seconds", 1)
    best = min(row["validation"] for row in content(trained, "next")["history"])
    for outcome in (resumed, evaluated):
        assert "training has lowered the bits by " in outcome.out
        assert f"{best:.3f}" in flat(outcome.out).partition("training has lowered the bits by ")[2]
        assert f"from {before} to" in flat(outcome.out)
    other = write_tone(trained / "other" / "a.wav", seconds=1.0, frequency=250.0)
    elsewhere = wavegen("eval", "next", other, "--clips", 1, "--clip-seconds", 0.1)
    assert elsewhere.code == 0, elsewhere.err
    assert "before training" not in elsewhere.out
    assert content(trained, "next")["config"]["training"]["start_from"] == "first"


def test_resume_keeps_the_optimizer_and_an_old_run_had_adam(wavegen, tone_folder, tmp_path):
    start = ["train", tone_folder, "--name", "x", "--max-steps", 2, *QUICK]
    assert "optimizer adam" in flat(wavegen(*start, "--set", "training.optimizer=adam").out)
    last = tmp_path / "data" / "checkpoints" / "x" / "last.pth"
    saved = torch.load(last, weights_only=True)
    assert saved["config"]["training"].pop("optimizer") == "adam"
    torch.save(saved, last)
    refused = wavegen("train", "--resume", "x", "--set", "training.optimizer=soap")
    assert refused.code == 2
    assert "--resume keeps the optimizer of the run, adam" in refused.err
    resumed = wavegen("train", "--resume", "x", "--max-steps", 4, "--logger", "none")
    assert resumed.code == 0, resumed.err
    assert "optimizer adam" in flat(resumed.out)


def test_a_run_from_before_contexts_were_short_resumes_with_the_receptive_field(wavegen, write_tone, tmp_path):
    for number in range(6):
        speaker = ("ann", "bo")[number % 2]
        write_tone(tmp_path / "spoken" / speaker / f"{number}.wav", seconds=0.5, frequency=200.0 + 30 * number)
    start = ["train", tmp_path / "spoken", "--speakers", "folder", "--name", "x", "--max-steps", 2, *QUICK]
    assert wavegen(*start).code == 0
    checkpoints = tmp_path / "data" / "checkpoints" / "x"
    saved = torch.load(checkpoints / "last.pth", weights_only=True)
    assert saved["config"]["training"].pop("context") == 512
    assert saved["config"]["training"].pop("joined") == 0.75
    torch.save(saved, checkpoints / "last.pth")
    resumed = wavegen("train", "--resume", "x", "--max-steps", 4, "--logger", "none")
    assert resumed.code == 0, resumed.err
    config = RunConfig.model_validate(torch.load(checkpoints / "last.pth", weights_only=True)["config"])
    assert config.training_context == config.training.context == config.model.receptive_field == 2048
    assert config.training.joined == 0


def test_resume_joins_no_clips_that_have_frames(wavegen, tone_folder):
    start = ["train", tone_folder, "--condition", "mel", "--name", "x", "--max-steps", 1, "--logger", "none", *TINY]
    assert wavegen(*start, "--set=training.window=400").code == 0
    refused = wavegen("train", "--resume", "x", "--max-steps", 2, "--set", "training.joined=1")
    assert refused.code == 2
    assert "training.joined: the mel frames of a clip do not show the clip before it" in flat(refused.err)


def test_a_larger_budget_is_said_to_raise_the_learning_rate_again(wavegen, tone_folder, trained):
    said = "the learning rate rises again and the first results may be worse"
    start = ["train", tone_folder, "--name", "next", "--max-steps", 2, *QUICK]
    assert said not in flat(wavegen(*start).out)
    assert said in flat(wavegen("train", "--resume", "next", "--max-steps", 4, "--logger", "none").out)


def test_resume_and_another_start_exclude_each_other(wavegen, trained):
    for options in (["--start-from", "first"], ["--set", "training.start_from=first"]):
        refused = wavegen("train", "--resume", "first", *options)
        assert refused.code == 2
        assert "--start-from" in refused.err or "training.start_from" in refused.err
        assert refused.err.count("\n") == 1


def test_an_export_names_no_folder_of_its_start(wavegen, tone_folder, trained):
    best = trained / "checkpoints" / "first" / "best.pth"
    assert wavegen("train", tone_folder, "--name", "next", "--start-from", best, "--max-steps", 1, *QUICK).code == 0
    assert content(trained, "next")["config"]["training"]["start_from"] == str(best)
    assert wavegen("export", "next").code == 0
    exported = content(trained, str(trained / "pretrained" / "wavenet_next.pth"))
    assert exported["config"]["training"]["start_from"] == "first"


def test_settings_and_a_preset_override_those_of_the_start(wavegen, tone_folder, trained):
    more = ["--set=model.skip_channels=6", "--set=training.learning_rate=0.004"]
    outcome = wavegen("train", tone_folder, "--name", "next", "--start-from", "first", "--max-steps", 1, *more, *QUICK)
    assert outcome.code == 0, outcome.err
    then = content(trained, "next")["config"]
    assert (then["model"]["skip_channels"], then["model"]["residual_channels"]) == (6, 4)
    assert then["training"]["learning_rate"] == 0.004
    out = flat(outcome.out)
    assert "new: blocks.*.skip.weight, blocks.*.skip.bias, output1.weight, output1.bias, output2.weight" in out
    assert "note: not taken from first: blocks.*.skip.weight" in out
    refused = wavegen("train", tone_folder, "--name", "x", "--start-from", "first", "--preset", "tiny", *QUICK)
    assert refused.code == 2
    assert "no layer of first fits this model: model.residual_channels is 4 there and 24 here" in refused.err
    assert not (trained / "checkpoints" / "x").exists()


def test_another_head_keeps_the_body(wavegen, tone_folder, trained):
    outcome = wavegen(
        "train", tone_folder, "--name", "next", "--start-from", "first", "--head", "gaussian", "--max-steps", 1, STILL,
        *QUICK,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "new: front.weight, output2.weight, output2.bias" in flat(outcome.out)
    first, then = content(trained, "first"), content(trained, "next")
    assert torch.equal(first["weights"]["blocks.1.dilated.weight"], then["weights"]["blocks.1.dilated.weight"])


def test_the_sample_rate_is_that_of_the_start(wavegen, tone_folder, trained, write_tone, tmp_path):
    refused = wavegen("train", tone_folder, "--start-from", "first", "--sample-rate", 16_000, *QUICK)
    assert refused.code == 2
    assert "first was trained at 8000 Hz" in refused.err
    assert "note: the recordings are resampled" not in flat(
        wavegen("train", tone_folder, "--name", "a", "--start-from", "first", "--max-steps", 1, *QUICK).out
    )
    for rate, line in (
        (16_000, "the recordings are resampled to the 8000 Hz of first"),
        (4_000, "the recordings are resampled to the 8000 Hz of first, so there is nothing above 2000 Hz in them"),
    ):
        folder = tmp_path / f"at{rate}"
        for number in range(4):
            write_tone(folder / f"{number}.wav", sample_rate=rate, frequency=200 + 30 * number)
        outcome = wavegen("train", folder, "--start-from", "first", "--max-steps", 1, *QUICK)
        assert outcome.code == 0, outcome.err
        assert f"note: {line} note:" in flat(outcome.out)
        assert content(trained, folder.name)["config"]["audio"]["sample_rate"] == 8_000


def test_a_start_that_does_not_exist_is_answered_in_one_line(wavegen, tone_folder, trained):
    refused = wavegen("train", tone_folder, "--start-from", "frist")
    assert refused.code == 2
    assert "is called 'frist'; did you mean 'first'?" in refused.err


def source(**changes) -> Source:
    """A model with random weights in every tensor."""
    config = RunConfig(name="s", model=ModelConfig(**{**SHAPE, **changes}), audio=AudioConfig(sample_rate=8_000))
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: torch.randn(shape, generator=generator) * 0.5 for name, shape in parameter_shapes(config.model).items()
    }
    return Source("s", Path("s.pth"), config, weights)


def started(config: ModelConfig, weights: dict) -> WaveNet:
    model = WaveNet(config, torch.Generator().manual_seed(0))
    model.load_state_dict({**model.state_dict(), **weights})
    return model


def outputs(model: WaveNet, conditioning: Conditioning = UNCONDITIONED) -> np.ndarray:
    codes = torch.arange(40)[None] * 5 % 256
    with torch.no_grad():
        return model(codes, 0, model.condition(conditioning)).numpy()


@pytest.mark.parametrize(("before", "now"), [(8e-3, 5e-3), (5e-3, 5e-3), (1e-3, 1e-3)])
def test_a_run_from_a_model_has_its_learning_rate_and_never_a_high_one(before, now):
    start = source()
    training = start.config.training.model_copy(update={"learning_rate": before})
    config = settings_from(replace(start, config=start.config.model_copy(update={"training": training})), None)
    assert config.training.learning_rate == before
    gentle, notes = at_gentle_rate(config)
    assert gentle.training.learning_rate == now
    assert len(notes) == (before != now)


def test_known_speakers_keep_their_embeddings_and_others_start_at_the_mean():
    start = source(speakers=("ann", "bo"))
    config = settings_from(start, None).model.model_copy(update={"speakers": ("bo", "cy", "di")})
    taken = take_over(start, config)
    table = start.weights["global_condition.embeddings"]
    expected = torch.stack([table[1], table.mean(0), table.mean(0)])
    assert torch.equal(taken.weights["global_condition.embeddings"], expected)
    assert "speakers with new embeddings: cy, di (at the mean of those of the source)" in taken.notes


def test_one_voice_from_a_model_of_several_starts_as_their_mean():
    start = source(speakers=("ann", "bo"))
    config = settings_from(start, None).model
    assert config.speakers == ()
    before = outputs(started(start.config.model, start.weights), Conditioning(torch.tensor([[0.5, 0.5]])))
    taken = take_over(start, config)
    np.testing.assert_allclose(outputs(started(config, taken.weights)), before, atol=1e-5)
    # the mean holds what the speakers' tensors add, so nothing is said to be left behind
    assert not any("not taken" in note for note in taken.notes)
    assert any("as the mean of the speakers" in note for note in taken.notes)


def test_new_conditioning_starts_without_effect():
    start = source()
    config = settings_from(start, None).model.model_copy(update={"speakers": ("ann", "bo")})
    taken = take_over(start, config)
    before = outputs(started(start.config.model, start.weights))
    after = outputs(started(config, taken.weights), Conditioning(torch.tensor([[1.0, 0.0]])))
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert "speakers with new embeddings: ann, bo" in taken.notes
    assert any(note.startswith("new: blocks.*.global_projection.weight") for note in taken.notes)


@pytest.mark.parametrize("order", [0, 4])
def test_a_start_whose_codes_stand_for_something_else_is_named(order):
    mel = {"n_mels": 4, "hop_length": 20, "n_fft": 80, "filter_order": order}
    notes = take_over(source(), ModelConfig(**{**SHAPE, "mel": mel})).notes
    wanted = "are of the waveform itself, those of this run of what the filter of the frames takes"
    assert any(wanted in note for note in notes) == bool(order)


def test_a_deeper_net_takes_the_layers_that_there_are():
    start = source()
    config = settings_from(start, None).model.model_copy(update={"dilations": (1, 2, 8, 16)})
    taken = take_over(start, config)
    assert torch.equal(taken.weights["blocks.2.dilated.weight"], start.weights["blocks.2.dilated.weight"])
    assert not any(name.startswith("blocks.3") for name in taken.weights)
    assert "the dilations are not those of s; each layer has the weights of the same number" in taken.notes


def test_settings_of_another_head_are_left_out():
    start = source(head="logistics", mixtures=3)
    assert settings_from(start, None).model.mixtures == 3
    assert settings_from(start, "mu-law").model.head == "mu-law"


def test_nothing_is_taken_where_no_layer_fits():
    with pytest.raises(UserError, match="kernel_size is 2 there and 3 here"):
        take_over(source(), ModelConfig(**{**SHAPE, "kernel_size": 3}))


def test_a_damaged_start_is_answered_in_one_line(wavegen, tone_folder, tmp_path):
    write_checkpoint(tmp_path / "bad.pth", KIND, {"config": {}, "weights": {}})
    refused = wavegen("train", tone_folder, "--start-from", tmp_path / "bad.pth")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    with pytest.raises(UserError):
        load_trained(tmp_path / "bad.pth")
