"""`fast_gen.load` from Python: the audio of the command line, chunk by chunk or whole, and its score."""

import numpy as np
import pytest
import soundfile
from random_checkpoint import write_random_checkpoint
from random_nets import CONDITIONED, MEL, SHAPES

import fast_gen
from wavenet_app.checkpoints.trained import KIND
from wavenet_app.core.checkpoint import read_checkpoint, write_checkpoint
from wavenet_app.core.errors import UserError

RATE, GAIN = 8_000, 4.0
SHAPE = SHAPES["two cycles"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a plain model, one with speakers and a vocoder, all of random weights."""
    folder = tmp_path_factory.mktemp("voices")
    for name, condition in (("plain", {}), ("voices", CONDITIONED["speakers"]), ("vocoder", CONDITIONED["mel"])):
        path = write_random_checkpoint(folder / f"{name}.pth", SHAPE.model_copy(update=condition), sample_rate=RATE)
        content = read_checkpoint(path, KIND)
        content["config"]["audio"]["gain"] = GAIN
        write_checkpoint(path, KIND, content)
    return folder


def load(folder, name):
    return fast_gen.load(folder / f"{name}.pth", engine="torch", data_dir=folder)


def test_clips_have_the_length_and_level_asked_for_and_hang_on_the_seed_alone(folder):
    voice = load(folder, "plain")
    clip = voice.generate(seconds=0.05, seed=3)
    assert (clip.shape, clip.dtype) == ((400,), np.float32)
    assert 0 < np.abs(clip).max() <= 1 / GAIN
    batch = voice.generate(seconds=0.05, seed=3, n=2)
    np.testing.assert_array_equal(batch[0], clip)
    assert not np.array_equal(batch[1], clip)
    assert not np.array_equal(voice.generate(seconds=0.05, seed=4), clip)


def test_the_audio_is_that_of_the_command_line(folder, wavegen, tmp_path):
    arguments = ["--seconds", 0.05, "--seed", 3, "--engine", "torch", "--temperature", 0.8, "--top-k", 9]
    arguments += ["--quiet-temperature", 1.2]
    assert wavegen("sample", folder / "plain.pth", *arguments, "--out", tmp_path).code == 0
    written, _ = soundfile.read(next(tmp_path.glob("*.wav")), dtype="float32")
    clip = load(folder, "plain").generate(seconds=0.05, seed=3, temperature=0.8, quiet_temperature=1.2, top_k=9)
    scale = np.abs(written).max() / np.abs(clip).max()
    np.testing.assert_allclose(written, clip * scale, atol=2**-15)


@pytest.mark.parametrize("chunk", [1, 7, 399, 400, 1000])
def test_chunks_of_any_length_make_up_the_clip(folder, chunk):
    voice = load(folder, "plain")
    whole = voice.generate(seconds=0.05, seed=1)
    chunks = list(voice.stream(seconds=0.05, seed=1, chunk_samples=chunk))
    assert {len(part) for part in chunks[:-1]} <= {chunk}
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_a_stream_has_no_end(folder):
    chunks = load(folder, "plain").stream(chunk_samples=5)
    assert sum(len(next(chunks)) for _ in range(50)) == 250


def test_a_continued_clip_goes_on_from_the_recording(folder, tmp_path):
    voice = load(folder, "plain")
    clip = voice.generate(seconds=0.05, seed=1)
    recording = clip * np.float32(0.999)  # within the same codes
    joined = voice.generate(seconds=0.02, seed=2, prime=recording)
    assert not np.array_equal(joined, voice.generate(seconds=0.02, seed=2))
    soundfile.write(tmp_path / "a.wav", clip, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(voice.generate(seconds=0.02, seed=2, prime=tmp_path / "a.wav"), joined)


def test_the_score_is_the_mean_of_the_exact_bits_at_the_level_of_training(folder):
    from wavenet_app.checkpoints.trained import load_trained
    from wavenet_app.evaluation.likelihood import code_bits

    voice = load(folder, "plain")
    clip = voice.generate(seconds=0.05, seed=1)
    model = load_trained(voice.path).model
    codes = model.config.coding.encode(clip * np.float32(GAIN))
    assert voice.score(clip) == pytest.approx(code_bits(model, codes).mean())
    noise = np.random.default_rng(0).uniform(-1 / GAIN, 1 / GAIN, 400)
    assert voice.score(noise) > voice.score(voice.generate(seconds=0.05, seed=1, temperature=0.5))


def test_speakers_take_turns_or_are_chosen(folder):
    voice = load(folder, "voices")
    first, second = voice.speakers[:2]
    turns = voice.generate(seconds=0.02, n=2)
    np.testing.assert_array_equal(turns[0], voice.generate(seconds=0.02, speaker=first))
    assert not np.array_equal(turns[0], voice.generate(seconds=0.02, speaker=second))
    clip = voice.generate(seconds=0.02, speaker=first)
    assert voice.score(clip, speaker=first) != voice.score(clip, speaker=second)
    with pytest.raises(UserError, match="no speaker is called 'nobody'"):
        voice.generate(speaker="nobody")


def test_a_vocoder_makes_a_hop_of_audio_for_each_frame(folder):
    voice = load(folder, "vocoder")
    frames = np.random.default_rng(0).uniform(-6, -1, (9, MEL.n_mels))
    for refine in (0, 3):
        clip = voice.generate(mel=frames, refine=refine)
        assert clip.shape == (9 * MEL.hop,)
    np.testing.assert_array_equal(voice.generate(mel=frames.T[None], refine=3), clip)
    assert np.isfinite(voice.score(clip))
    with pytest.raises(UserError, match="is a vocoder"):
        voice.generate()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda voice: voice.generate(temperature=-1), "temperature must be 0 or more"),
        (lambda voice: voice.generate(n=0), "at least 1, not 0"),
        (lambda voice: voice.generate(speaker="ann"), "ann"),
        (lambda voice: voice.generate(mel=np.zeros((3, 4))), "does not take mel frames"),
        (lambda voice: voice.generate(prime=np.array([np.nan])), "finite numbers"),
        (lambda voice: voice.score(np.zeros((2, 9))), r"\(samples,\), not \(2, 9\)"),
        (lambda voice: voice.score(np.zeros(0)), "waveform"),
    ],
)
def test_bad_input_is_one_clear_line(folder, call, message):
    with pytest.raises(UserError, match=message) as found:
        call(load(folder, "plain"))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": -1},
        {"seconds": 0},
        {"seconds": "two"},
        {"seconds": float("nan")},
        {"n": 0},
        {"n": 1.5},
        {"seed": "x"},
        {"seed": 0.5},
        {"temperature": "hot"},
        {"quiet_temperature": "hot"},
        {"temperature": 10**400},
        {"top_k": 2.5},
        {"top_p": "all"},
        {"min_p": None},
    ],
)
def test_numbers_that_make_no_sense_are_errors_that_name_the_argument(folder, wrong):
    voice = load(folder, "plain")
    name = next(iter(wrong))
    with pytest.raises(UserError, match=name):
        voice.generate(**{"seconds": 0.05, **wrong})
    if name != "n":
        with pytest.raises(UserError, match=name):
            voice.stream(**{"seconds": 0.05, **wrong})


def test_numbers_of_numpy_are_numbers(folder):
    voice = load(folder, "plain")
    clip = voice.generate(seconds=np.float32(0.05), n=np.int64(1), seed=np.int32(3))
    np.testing.assert_array_equal(clip[0], voice.generate(seconds=0.05, seed=3))


def test_wrong_counts_are_errors(folder):
    with pytest.raises(UserError, match="threads must be a whole number of at least 1, not 0"):
        fast_gen.load(folder / "plain.pth", threads=0)
    with pytest.raises(UserError, match="chunk_samples must be a whole number"):
        load(folder, "plain").stream(seconds=0.05, chunk_samples=0)
    with pytest.raises(UserError, match="refine must be a whole number of at least 0, not -1"):
        load(folder, "vocoder").generate(mel=np.zeros((9, MEL.n_mels), np.float32), refine=-1)
