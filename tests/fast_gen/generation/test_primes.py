"""`wavegen sample --prime`: several recordings on every engine, of any rate, level and length."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES, random_codes, random_net

from fast_gen.engines.sampling import SamplingSettings, usual_settings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.primes import samples_heard
from fast_gen.generation.stream import generate
from wavenet_app.audio.files import pcm16
from wavenet_app.audio.mono import read_audio
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.coding import MuLawCoding

CONFIG = SHAPES["two cycles"]
FIELD = CONFIG.receptive_field
RATE = 8_000


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    return write_random_checkpoint(tmp_path / "lively.pth", CONFIG, sample_rate=RATE)


@pytest.fixture
def clips(tmp_path, write_tone) -> list[Path]:
    """Three recordings of different length, the second shorter than the receptive field."""
    lengths = {"a": 0.1, "b": (FIELD - 20) / RATE, "c": 0.3}
    return [
        write_tone(tmp_path / "clips" / f"{name}.wav", seconds=seconds, frequency=300 + 40 * len(name) * index)
        for index, (name, seconds) in enumerate(lengths.items())
    ]


def written(folder: Path) -> list[np.ndarray]:
    return [soundfile.read(path, dtype="int16")[0] for path in sorted(folder.glob("*.wav"))]


@pytest.mark.parametrize("engine", ["torch", "cpu"])
def test_rows_continue_their_recordings_in_turn(wavegen, checkpoint, clips, tmp_path, engine):
    out = tmp_path / "out"
    primes = [argument for clip in clips for argument in ("--prime", clip)]
    done = wavegen(
        "sample", checkpoint, *primes, "-n", 5, "--seed", 3, "--seconds", 0.05, "--engine", engine, "--out", out
    )
    assert done.code == 0, done.err
    assert f"b.wav fills {(FIELD - 20) / RATE:.3f} s of the receptive field" in done.out
    assert done.out.count("of the receptive field") == 1
    assert "continues b.wav" in done.out
    reference = load_engine("torch", GeneratorWeights.of(load_trained(checkpoint).model))
    for row, found in enumerate(written(out)):
        codes = MuLawCoding(CONFIG.quantization_channels).encode(read_audio(clips[row % 3], RATE))
        wanted = generate(
            reference,
            num_samples=400,
            seed=3,
            settings=usual_settings(CONFIG),
            first_row=row,
            prime_codes=codes,  # all of it; the command takes only its end
        )
        np.testing.assert_array_equal(found, pcm16(wanted[0]))


def test_a_folder_gives_all_its_recordings_and_skipped_files_are_listed(wavegen, checkpoint, clips, tmp_path):
    (clips[0].parent / "broken.wav").write_bytes(b"RIFF")
    (clips[0].parent / "notes.txt").write_text("no audio")
    by_name = [argument for clip in clips for argument in ("--prime", clip)]
    assert wavegen("sample", checkpoint, *by_name, "--seconds", 0.02, "--out", tmp_path / "one").code == 0
    done = wavegen(
        "sample", checkpoint, "--prime", clips[0].parent, "-n", 3, "--seconds", 0.02, "--out", tmp_path / "two"
    )
    assert done.code == 0, done.err
    assert "skipped: " in done.out
    assert "broken.wav" in done.out
    assert "1 recordings are skipped" in done.out
    assert "1 file is not audio: .txt 1" in done.out
    for one, other in zip(written(tmp_path / "one"), written(tmp_path / "two"), strict=True):
        np.testing.assert_array_equal(one, other)
    first = wavegen("sample", checkpoint, "--prime", clips[0].parent, "-n", 1, "--seconds", 0.02)
    assert "1 of 4 recordings are continued; 3 more with -n 4" in first.out


def test_a_kept_prime_starts_each_file(wavegen, checkpoint, clips, tmp_path):
    primes = ("--prime", clips[0], "--prime", clips[2], "--keep-prime", "--seconds", 0.05)
    assert wavegen("sample", checkpoint, *primes, "--out", tmp_path / "whole").code == 0
    assert wavegen("sample", checkpoint, *primes, "--prime-seconds", 0.07, "--out", tmp_path / "end").code == 0
    for index, (whole, end) in enumerate(zip(written(tmp_path / "whole"), written(tmp_path / "end"), strict=True)):
        original = read_audio(clips[(0, 2)[index]], RATE)
        coded = pcm16(
            MuLawCoding(CONFIG.quantization_channels).decode(MuLawCoding(CONFIG.quantization_channels).encode(original))
        )
        np.testing.assert_array_equal(whole[:-400], coded)
        np.testing.assert_array_equal(end[:-400], coded[-560:])
        np.testing.assert_array_equal(whole[-400:], end[-400:])


def test_the_end_of_a_recording_decides_what_follows_as_all_of_it_does():
    """A clip that is quiet for longer than the receptive field may still count as loud."""
    engine = load_engine("torch", GeneratorWeights.of(random_net(CONFIG)))
    codes = np.concatenate([random_codes(CONFIG, 1, 100), np.full((1, 200), CONFIG.coding.silence)], axis=1)
    settings = SamplingSettings(0.2, quiet_temperature=3.0)

    def after(known: np.ndarray) -> np.ndarray:
        return generate(engine, num_samples=9, batch_size=8, seed=1, settings=settings, prime_codes=known)

    np.testing.assert_array_equal(after(codes[:, -samples_heard(CONFIG) :]), after(codes))
    assert not np.array_equal(after(codes[:, -CONFIG.context :]), after(codes))


def test_prime_seconds_limits_the_context(wavegen, checkpoint, clips, tmp_path):
    prime = ("--prime", clips[2], "--seconds", 0.05)
    short = wavegen("sample", checkpoint, *prime, "--prime-seconds", 0.002, "--out", tmp_path / "short")
    assert "c.wav fills 0.002 s of the receptive field" in short.out
    assert wavegen("sample", checkpoint, *prime, "--out", tmp_path / "full").code == 0
    assert not np.array_equal(written(tmp_path / "short")[0], written(tmp_path / "full")[0])


def test_primes_are_brought_to_the_rate_and_level_of_the_training(wavegen, checkpoint, tmp_path, write_tone):
    for name, amplitude in (("quiet", 0.01), ("quieter", 0.005), ("silent", 0.0)):
        write_tone(tmp_path / f"{name}.wav", amplitude=amplitude)
    outcomes = {}
    for name in ("quiet", "quieter", "silent"):
        arguments = ("--prime", tmp_path / f"{name}.wav", "--keep-prime", "--seconds", 0.05)
        outcomes[name] = wavegen("sample", checkpoint, *arguments, "--out", tmp_path / name)
        assert outcomes[name].code == 0, outcomes[name].err
    assert "quieter.wav: its level is not that of the training, so it is scaled by 180" in outcomes["quieter"].out
    assert "its level" not in outcomes["silent"].out
    loud, same = (written(tmp_path / name)[0][:4_000] for name in ("quiet", "quieter"))
    assert np.abs(loud).max() > 0.85 * 32_768
    assert np.abs(loud - same.astype(int)).max() < 0.15 * 32_768, "a code of 64 apart at most"

    write_tone(tmp_path / "fast.flac", sample_rate=22_050, frequency=500)
    fast = wavegen("sample", checkpoint, "--prime", tmp_path / "fast.flac", "--keep-prime", "--out", tmp_path / "fast")
    assert "fast.flac is resampled from 22,050 Hz to 8,000 Hz" in fast.out
    kept = written(tmp_path / "fast")[0][:4_000] / 32_768
    assert np.argmax(np.abs(np.fft.rfft(kept))) == 250, "the pitch is that of the recording"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep-prime"], "need a recording to continue; add --prime"),
        (["--prime-seconds", 1], "need a recording to continue; add --prime"),
        (["--prime", "nowhere.wav"], "there is no file or folder nowhere.wav"),
        (["--prime", "empty"], "there is no audio to continue in empty"),
        (["--prime", "broken.wav"], "broken.wav: "),
        (["--prime", "clips", "-n", 2, "--rank"], "--rank compares clips that continue one recording, not 2"),
        (["--prime", "clips/a.wav", "--prime", "clips/c.wav", "--stdout"], "so one recording to continue, not 2"),
    ],
)
def test_an_unusable_prime_is_one_line(wavegen, checkpoint, clips, tmp_path, options, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    outcome = wavegen("sample", checkpoint, *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not list((tmp_path / "data").rglob("*.wav"))


@pytest.mark.parametrize(("speakers", "said"), [((), True), (("ann", "jo"), False)])
def test_a_quiet_voice_of_several_keeps_its_level(wavegen, tmp_path, write_tone, speakers, said):
    model = CONFIG.model_copy(update={"speakers": speakers})
    checkpoint = write_random_checkpoint(tmp_path / "voices.pth", model, sample_rate=RATE)
    quiet = write_tone(tmp_path / "quiet.wav", amplitude=0.03)
    voice = ("--speaker", "jo") if speakers else ()
    done = wavegen("sample", checkpoint, *voice, "--prime", quiet, "--seconds", 0.02)
    assert done.code == 0, done.err
    assert ("its level is not that of the training" in done.out) == said
