"""Vocoding: blocks equal the whole, stopped files are resumed, and the command line end to end."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from random_checkpoint import forget_training
from random_nets import CONDITIONED, MEL, SHAPES, random_net
from tiny_run import TINY

from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.vocoding import vocode as vocode_module
from fast_gen.vocoding.vocode import sampled, vocode
from wavenet_app.audio.frame_filter import LEVEL
from wavenet_app.audio.mel import MelFrames, silent_conditioning
from wavenet_app.audio.wav_stream import PartialWav
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.coding import MuLawCoding
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning

PLAIN = SamplingSettings()
# enough that conditioning matters to the last layer, which starts at zero
AUDIBLY = ["--max-steps", 20, "--set=training.warmup_steps=0", "--set=training.learning_rate=0.05"]
MEL_TINY = [*TINY, "--set=training.window=512", "--condition", "mel"]


@pytest.fixture(scope="module")
def net():
    return random_net(SHAPES["two cycles"].model_copy(update=CONDITIONED["speakers and mel"]))


@pytest.fixture(scope="module")
def engine(net) -> TorchQueue:
    return TorchQueue(GeneratorWeights.of(net))


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return (3 * np.random.default_rng(0).standard_normal((23, MEL.columns)) - 2).astype(np.float32)


SHARES = np.array([0.3, 0.7], np.float32)


FILTER = MelFrames(MEL, 1_000).filter


def made(engine, net, pieces, **options):
    blocks = sampled(engine, net, pieces, shares=SHARES, seed=4, settings=PLAIN, **options)
    return list(blocks)


def filtered_blocks(engine, net, pieces, **options):
    return list(vocode(engine, net, pieces, frame_filter=FILTER, shares=SHARES, seed=4, settings=PLAIN, **options))


@pytest.mark.parametrize("make", [made, filtered_blocks])
@pytest.mark.parametrize("block", [1, 3, 16, 100])
@pytest.mark.parametrize("cuts", [[], [1], [4, 5, 20]])
def test_blocks_equal_the_whole(engine, net, frames, make, block, cuts):
    whole = np.concatenate(make(engine, net, [frames], block_frames=23))
    blocks = make(engine, net, np.split(frames, cuts), block_frames=block)
    assert whole.shape == (23 * 12,)
    assert all(len(part) == 12 * block for part in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_samples_are_those_of_the_full_network_after_silence(engine, net, frames):
    from engine_contract import assert_picked_by

    from fast_gen.engines.sampling import uniforms

    codes = MuLawCoding(64).encode(np.concatenate(made(engine, net, [frames])))[None]
    before = -(-engine.weights.receptive_field // 12)
    around = silent_conditioning(MEL, before + CONTEXT_FRAMES)
    padded = np.concatenate([around, frames, around[:CONTEXT_FRAMES]])
    conditioning = Conditioning(torch.from_numpy(SHARES[None]), torch.from_numpy(padded[None]))
    history = np.concatenate([np.full((1, 12 * before), MuLawCoding(64).silence), codes], axis=1)
    with torch.no_grad():
        logits = net.forward_by_blocks(torch.from_numpy(history[:, :-1]).long(), conditioning, phase=1)
    numbers = uniforms(4, rows=1, length=codes.shape[1])
    assert_picked_by(logits[:, 12 * before - 1 :], codes, numbers, PLAIN, 1e-4)


@pytest.mark.parametrize("done", [1, 2, 10, 22, 23])
def test_resuming_gives_the_same_samples_as_one_run(engine, net, frames, done):
    whole = np.concatenate(made(engine, net, [frames]))
    known = MuLawCoding(64).encode(whole[: done * 12])[-engine.weights.receptive_field - 20 :]
    rest = made(engine, net, np.split(frames, [7]), done_frames=done, last_codes=known)
    np.testing.assert_array_equal(np.concatenate([whole[: done * 12], *rest]), whole)


def test_no_frames_give_no_samples(engine, net, frames):
    assert made(engine, net, []) == filtered_blocks(engine, net, []) == []


def test_the_waveform_is_what_was_sampled_through_the_filters_of_the_frames(engine, net, frames):
    around = silent_conditioning(MEL, 1)[:, : MEL.n_mels]
    filters = FILTER.of(np.concatenate([around, frames[:, : MEL.n_mels], around]))
    wanted = np.zeros(len(frames) * MEL.hop)
    excitation = np.concatenate(made(engine, net, [frames]))
    for time, value in enumerate(excitation):
        step = time // FILTER.hold
        wanted[time] = value * filters.gains[step] / LEVEL
        for lag, weight in enumerate(filters.coefficients[step], start=1):
            wanted[time] += weight * wanted[time - lag] if time >= lag else 0
    found = np.concatenate(filtered_blocks(engine, net, [frames]))
    np.testing.assert_allclose(found, np.clip(wanted, -1, 1), atol=1e-6)


@pytest.mark.parametrize("given", [None, FILTER])
def test_a_filter_that_does_not_fit_the_model_is_refused(frames, given):
    order = 0 if given else MEL.filter_order
    mel = MEL.model_copy(update={"filter_order": order})
    net = random_net(SHAPES["two cycles"].model_copy(update={**CONDITIONED["speakers and mel"], "mel": mel}))
    with pytest.raises(ValueError, match=f"a filter of order {order} is needed"):
        vocode(TorchQueue(GeneratorWeights.of(net)), net, [frames], frame_filter=given, seed=0, settings=PLAIN)


def test_a_partial_wav_is_resumed_only_with_the_same_key(tmp_path):
    target = tmp_path / "a" / "clip.wav"
    samples = np.arange(-50, 50, dtype=np.int16)
    with PartialWav(target, 8_000, "one", 8) as file:
        file.write(samples[:29])
    assert not target.exists()
    with PartialWav(target, 8_000, "one", 8) as file:
        assert file.num_samples == 24
        np.testing.assert_array_equal(file.last(5), samples[19:24])
        file.write(samples[24:])
        np.testing.assert_array_equal(np.concatenate(list(file.blocks())), samples)
        file.finish_as(file.blocks())
    np.testing.assert_array_equal(soundfile.read(target, dtype="int16")[0], samples)
    assert [path.name for path in target.parent.iterdir()] == ["clip.wav"]
    with PartialWav(target, 8_000, "one", 8) as file:
        file.write(samples[:16])
    with PartialWav(target, 8_000, "two", 8) as file:
        assert file.num_samples == 0
    assert len(list(target.parent.iterdir())) == 2, "the partial file of another request is deleted"
    np.testing.assert_array_equal(soundfile.read(target, dtype="int16")[0], samples)


def test_the_file_appears_only_when_all_blocks_are_written(tmp_path):
    target = tmp_path / "clip.wav"
    samples = np.arange(100, dtype=np.int16)

    def broken():
        yield samples[:40]
        raise KeyboardInterrupt

    with PartialWav(target, 8_000, "one", 8) as file:
        file.write(samples)
        np.testing.assert_array_equal(file.between(90, 120), samples[90:])
        np.testing.assert_array_equal(file.between(3, 9), samples[3:9])
        with pytest.raises(KeyboardInterrupt):
            file.finish_as(broken())
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    with PartialWav(target, 8_000, "one", 100) as file:
        assert file.num_samples == 100
        file.finish_as(2 * block for block in np.split(np.arange(120, dtype=np.int16), 3))
    np.testing.assert_array_equal(soundfile.read(target, dtype="int16")[0], 2 * samples)
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture
def speaker_folder(tmp_path, write_tone) -> Path:
    """Three speakers of four tones each, and a stray file."""
    folder = tmp_path / "voices"
    for place, name in enumerate(("ann", "jo", "theo")):
        for index in range(4):
            write_tone(folder / name / f"{index}.wav", seconds=0.2, frequency=200.0 * (place + 1) + 10 * index)
    write_tone(folder / "stray.wav")
    return folder


def test_speakers_from_training_to_sampling(wavegen, speaker_folder, tmp_path):
    trained = wavegen("train", speaker_folder, "--speakers", "folder", *AUDIBLY, *TINY)
    assert trained.code == 0, trained.err
    assert "3 speakers to train on: ann" in trained.out
    assert "1 file skipped" in trained.out
    assert "not in a folder" in trained.out
    assert "'ann', 'jo', 'theo'" in wavegen("info").out

    forget_training(tmp_path / "data" / "checkpoints" / "voices" / "best.pth")
    alone = wavegen("sample", "--seconds", 0.05, "--speaker", "theo", "--out", tmp_path / "a")
    mixed = wavegen("sample", "--seconds", 0.05, "--speaker", "ann:0.6,theo:0.4", "--out", tmp_path / "b")
    turns = wavegen("sample", "--seconds", 0.05, "-n", 4, "--out", tmp_path / "c")
    assert (alone.code, mixed.code, turns.code) == (0, 0, 0), alone.err + mixed.err + turns.err
    assert "speakers in turn: ann, jo, theo" in turns.out
    first, second = (soundfile.read(next((tmp_path / name).glob("*.wav")))[0] for name in "ab")
    assert not np.array_equal(first, second)

    wrong = wavegen("sample", "--speaker", "tho")
    assert wrong.code == 2
    assert "no speaker is called 'tho'; did you mean 'theo'? There are: ann, jo, theo" in wrong.err
    piped = wavegen("vocode", "voices", speaker_folder)
    assert piped.code == 2
    assert "is not a vocoder; train one with --condition mel" in piped.err

    ranked = wavegen("sample", "--seconds", 0.05, "-n", 2, "--rank", "--speaker", "ann", "--out", tmp_path / "d")
    assert ranked.code == 0, ranked.err
    assert "bits per sample, the most likely clip first" in ranked.out
    unnamed = wavegen("sample", "--rank")
    assert unnamed.code == 2
    assert "--rank compares clips of one speaker; choose one with --speaker" in unnamed.err
    resumed = wavegen("train", "--resume", "voices", "--max-steps", 22)
    assert resumed.code == 0, resumed.err
    (speaker_folder / "bo").mkdir()
    (speaker_folder / "jo" / "1.wav").rename(speaker_folder / "bo" / "1.wav")
    stranger = wavegen("train", "--resume", "voices", "--max-steps", 24)
    assert stranger.code == 2
    assert "speakers that the run does not know (bo)" in stranger.err


def test_mel_from_training_to_vocoding(wavegen, tone_folder, tmp_path, write_tone):
    trained = wavegen("train", tone_folder, "--max-steps", 4, *MEL_TINY)
    assert trained.code == 0, trained.err
    assert "hear it: wavegen vocode tones RECORDING" in trained.out
    sampled = wavegen("sample", "tones")
    assert sampled.code == 2
    assert "run: wavegen vocode tones RECORDING" in sampled.err

    source = write_tone(tmp_path / "in" / "one.flac", seconds=0.131, sample_rate=11_025)
    write_tone(tmp_path / "in" / "deep" / "two.wav", seconds=0.05)
    (tmp_path / "in" / "deep" / "broken.wav").write_bytes(b"RIFF")
    alone = wavegen("vocode", "tones", source, "--out", tmp_path / "alone")
    assert alone.code == 0, alone.err
    waveform, rate = soundfile.read(tmp_path / "alone" / "one.wav")
    assert (len(waveform), rate) == (round(0.131 * 8_000), 8_000)

    tree = wavegen("vocode", "tones", tmp_path / "in", "--out", tmp_path / "tree")
    assert tree.code == 0, tree.err
    assert "2 made, 0 kept, 1 skipped" in tree.out
    np.testing.assert_array_equal(soundfile.read(tmp_path / "tree" / "one.wav")[0], waveform)
    assert (tmp_path / "tree" / "deep" / "two.wav").exists()
    (tmp_path / "tree" / "one.wav").unlink()
    sampled = wavegen("vocode", "tones", source, "--refine", 0, "--out", tmp_path / "sampled")
    assert sampled.code == 0, sampled.err
    drawn = soundfile.read(tmp_path / "sampled" / "one.wav")[0]
    assert len(drawn) == len(waveform)
    assert np.abs(drawn - waveform).max() > 0.01
    again = wavegen("vocode", "tones", tmp_path / "in", "--out", tmp_path / "tree")
    assert "1 made, 1 kept, 1 skipped" in again.out
    same = wavegen("vocode", "tones", tmp_path / "in", "--out", tmp_path / "in")
    assert "would replace" in same.err


def test_vocoding_writes_every_format_to_a_folder_or_to_one_file(wavegen, tone_folder, tmp_path):
    assert wavegen("train", tone_folder, "--max-steps", 4, *MEL_TINY).code == 0
    source = tone_folder / "tone0.wav"
    vocode = partial(wavegen, "vocode", "tones", source, "--refine", 2)
    assert vocode("--out", tmp_path / "out").code == 0
    whole = soundfile.read(tmp_path / "out" / "tone0.wav")[0]
    assert vocode("--out", tmp_path / "out", "--format", "flac").code == 0
    assert vocode("--out", tmp_path / "song.flac").code == 0
    for path in (tmp_path / "out" / "tone0.flac", tmp_path / "song.flac"):
        np.testing.assert_array_equal(soundfile.read(path)[0], whole)
    assert vocode("--out", tmp_path / "song.ogg").code == 0
    assert len(soundfile.read(tmp_path / "song.ogg")[0]) == len(whole)

    exists = vocode("--out", tmp_path / "song.flac")
    assert (exists.code, exists.err.count("\n")) == (2, 1)
    assert "song.flac exists; --overwrite replaces it" in exists.err
    assert vocode("--out", tmp_path / "song.flac", "--seed", 1, "--overwrite").code == 0
    assert not np.array_equal(soundfile.read(tmp_path / "song.flac")[0], whole)
    folder = wavegen("vocode", "tones", tone_folder, "--out", tmp_path / "song.wav")
    assert (folder.code, folder.err.count("\n")) == (2, 1)
    assert "song.wav is one file, and " in folder.err
    own = vocode("--out", source, "--overwrite")
    assert "would replace" in own.err
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("turns", [0, 2])
def test_vocoded_files_are_at_the_level_of_the_recordings(wavegen, tmp_path, write_tone, turns):
    for index in range(4):
        write_tone(tmp_path / "quiet" / f"{index}.wav", amplitude=0.05, frequency=220 + 50 * index)
    assert wavegen("train", "quiet", "--max-steps", 4, *MEL_TINY).code == 0
    assert load_trained(tmp_path / "data" / "checkpoints" / "quiet" / "best.pth").config.audio.gain > 15
    done = wavegen("vocode", "quiet", tmp_path / "quiet" / "0.wav", "--refine", turns)
    assert "written at the level of the recordings" in done.out
    found = soundfile.read(tmp_path / "data" / "generated" / "0.wav")[0]
    assert 0.005 < np.abs(found).max() < 0.06


def test_saved_frames_give_the_same_audio_as_their_recording(wavegen, tone_folder, tmp_path):
    from wavenet_app.audio.mel import MelFrames
    from wavenet_app.audio.mono import read_audio

    assert wavegen("train", tone_folder, "--max-steps", 4, *MEL_TINY).code == 0
    config = load_trained(tmp_path / "data" / "checkpoints" / "tones" / "best.pth").config
    frames = MelFrames(config.model.mel, 8_000).of(read_audio(tone_folder / "tone0.wav", 8_000) * config.audio.gain)
    folder = tmp_path / "frames"
    folder.mkdir()
    np.save(folder / "plain.npy", frames)
    torch.save(torch.from_numpy(frames.T[None].copy()), folder / "turned.pt")
    torch.save(torch.nn.Parameter(torch.from_numpy(frames)), folder / "learned.pt")
    saved = wavegen("vocode", "tones", folder, "--out", tmp_path / "out")
    assert saved.code == 0, saved.err
    assert wavegen("vocode", "tones", tone_folder / "tone0.wav", "--out", tmp_path / "out").code == 0
    recording = soundfile.read(tmp_path / "out" / "tone0.wav")[0]
    assert saved.out.count("saved frames are read as natural logarithms of magnitudes, at least ln 1e-05") == 1
    for name in ("plain", "turned", "learned"):
        sound = soundfile.read(tmp_path / "out" / f"{name}.wav")[0]
        assert len(sound) == len(frames) * config.model.mel.hop
        np.testing.assert_array_equal(sound[: len(recording)], recording)

    spoilt = frames.copy()
    spoilt[7, 3] = np.nan
    for name, content, message in (
        ("nan.npy", spoilt, "holds NaN or infinite values, the first in frame 7"),
        (
            "bands.npy",
            frames[:, :30],
            r"holds float32 numbers of the shape (40, 30); the model takes floating-point frames of 80",
        ),
        ("decibels.npy", 8 * frames, "so it was made with other settings; the model takes natural logarithms"),
        ("floor.npy", np.where(frames < -5, -13.8, frames), "at least ln 1e-05 = -11.51: 80 bands of 0 to 4,000 Hz"),
        ("empty.npy", frames[:0], "holds no frames"),
        ("sparse.pt", torch.from_numpy(frames).to_sparse(), "holds a sparse tensor"),
        ("integers.npy", frames.astype(int), "holds int64 numbers"),
        ("text.npy", None, "text.npy cannot be read as mel frames: it is not an array of numbers, or cut short"),
        ("objects.npy", np.array([{}]), "objects.npy cannot be read as mel frames: it is not an array of numbers"),
        ("dict.pt", {"mel": torch.from_numpy(frames)}, "holds a dict instead of a tensor"),
        ("code.pt", print, "code.pt was refused: it holds"),
    ):
        path = tmp_path / name
        if content is None:
            path.write_text("no array")
        elif name.endswith(".pt"):
            torch.save(content, path)
        else:
            np.save(path, content)
        outcome = wavegen("vocode", "tones", path, "--out", tmp_path / "bad")
        assert outcome.code == 2
        assert message in outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert not list((tmp_path / "bad").glob("*.wav"))


def test_notes_about_ambiguous_frames(tmp_path):
    from fast_gen.vocoding.sources import SavedFrames
    from wavenet_app.audio.mel import MelFrames
    from wavenet_app.config import MelConfig

    frames = np.zeros((10, 10), np.float32)
    frames[3] = 1
    np.save(tmp_path / "square.npy", frames)
    opened = SavedFrames.at(tmp_path / "square.npy", MelFrames(MelConfig(n_mels=10).resolved(8_000), 8_000))
    assert opened.remarks == [
        "is as long as it has bands; it is taken as (frames, bands), not as (bands, frames)",
        "holds nothing below 0, which looks like magnitudes; the model takes their logarithms",
    ]
    np.testing.assert_array_equal(np.concatenate(list(opened.frames())), frames)


def test_results_inside_the_source_folder_are_not_input(wavegen, tone_folder, tmp_path, write_tone):
    assert wavegen("train", tone_folder, "--max-steps", 4, *MEL_TINY).code == 0
    source = tmp_path / "in"
    write_tone(source / "one [live].wav", seconds=0.05)
    command = ("vocode", "tones", source, "--out", source / "made")
    first, again = wavegen(*command), wavegen(*command)
    assert "one [live].wav  (0.05 s" in first.out
    assert "1 made, 0 kept, 0 skipped" in first.out
    assert "0 made, 1 kept, 0 skipped" in again.out
    assert [path.name for path in source.rglob("*.wav")].count("one [live].wav") == 2
    below = wavegen("vocode", "tones", source, "--out", tmp_path)
    assert "2 made" in below.out, "an --out above the recordings excludes none of them"


def test_a_file_that_was_stopped_while_refining_is_finished_by_the_same_command(
    wavegen, tone_folder, tmp_path, monkeypatch
):
    assert wavegen("train", tone_folder, "--max-steps", 4, *MEL_TINY).code == 0
    command = ("vocode", "tones", tone_folder / "tone1.wav", "--out")
    assert wavegen(*command, tmp_path / "whole").code == 0

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fast_gen.vocoding.command.refined_blocks", stopped)
        halted = wavegen(*command, tmp_path / "halted")
    assert halted.code == 130
    assert "run the same command to resume" in halted.out
    assert [path.suffix for path in (tmp_path / "halted").iterdir()] == [".part"]
    assert wavegen(*command, tmp_path / "halted").code == 0
    (made,) = (tmp_path / "halted").iterdir()
    assert made.read_bytes() == (tmp_path / "whole" / "tone1.wav").read_bytes()


def test_a_stopped_file_is_resumed(wavegen, tone_folder, tmp_path, monkeypatch):
    assert wavegen("train", tone_folder, "--max-steps", 4, *MEL_TINY).code == 0
    source, command = tone_folder / "tone1.wav", ("vocode", "tones", tone_folder / "tone1.wav", "--seed", 3, "--out")
    assert wavegen(*command, tmp_path / "whole").code == 0

    real, calls = TorchQueue.generate, []

    def stop_at_the_second(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TorchQueue, "generate", stop_at_the_second)
        stopped = wavegen(*command, tmp_path / "halted", "--engine", "torch")
    assert stopped.code == 130
    assert "run the same command to resume" in stopped.out
    assert not (tmp_path / "halted" / "tone1.wav").exists()
    rest = wavegen(*command, tmp_path / "halted", "--engine", "torch")
    assert rest.code == 0, rest.err
    begun = vocode_module.BLOCK_FRAMES * 100
    assert f"resuming at {begun / 8000:.1f} s" in rest.out
    whole, halted = (soundfile.read(tmp_path / name / "tone1.wav")[0] for name in ("whole", "halted"))
    assert len(whole) == len(soundfile.read(source)[0])
    np.testing.assert_array_equal(halted, whole)


def test_a_vocoder_with_speakers_needs_one(wavegen, speaker_folder, tmp_path):
    trained = wavegen("train", speaker_folder, "--speakers", r"regex:(ann|jo)", *AUDIBLY, *MEL_TINY)
    assert trained.code == 0, trained.err
    assert "hear it: wavegen vocode voices RECORDING --speaker ann" in trained.out
    forget_training(tmp_path / "data" / "checkpoints" / "voices" / "best.pth")
    recording = speaker_folder / "ann" / "0.wav"
    unnamed = wavegen("vocode", "voices", recording)
    assert unnamed.code == 2
    assert "choose a voice with --speaker; there are: ann, jo" in unnamed.err
    sounds = []
    for name in ("ann", "jo"):
        outcome = wavegen("vocode", "voices", recording, "--speaker", name, "--out", tmp_path / name)
        assert outcome.code == 0, outcome.err
        assert "so --speaker changes a voice only in part" in outcome.out
        sounds.append(soundfile.read(tmp_path / name / "0.wav")[0])
    assert not np.array_equal(*sounds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--condition", "melody"], "--condition takes mel, not 'melody'"),
        (["--condition", "mel", "--set=training.window=300"], "at least four times the hop of the mel frames"),
        (["--condition", "mel", "--set=model.mel.hop_length=110"], "must be a multiple of upsampling"),
        (["--speakers", "row"], "--speakers takes folder"),
        (["--speakers", "folder"], "none of the 6 audio files can be used; 6 of them: no speaker"),
    ],
)
def test_invalid_training_options_are_one_line(wavegen, tone_folder, options, message):
    outcome = wavegen("train", tone_folder, "--max-steps", 2, *TINY, *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
