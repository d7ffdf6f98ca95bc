"""`wavegen mel`: frames of other programs become those of a vocoder, or a line says why not."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES

from fast_gen.vocoding.bands import Bands, taken_over
from fast_gen.vocoding.converting import own_making
from fast_gen.vocoding.making import MAKERS, VALUES, Making, likely_values
from fast_gen.vocoding.training_options import training_options
from wavenet_app.audio.mel import MelFrames
from wavenet_app.config import MelConfig
from wavenet_app.core.errors import UserError
from wavenet_app.training.options import RunOptions, settings_of

RATE = 8_000
MEL = MelConfig(n_mels=40, melody=False).resolved(RATE)
WRITERS = {
    "ln": lambda bands: np.log(np.maximum(bands, 1e-5)),
    "ln-power": lambda bands: np.log(np.maximum(bands**2, 1e-10)),
    "log10": lambda bands: np.log10(np.maximum(bands, 1e-5)),
    "log10-power": lambda bands: np.log10(np.maximum(bands**2, 1e-10)),
    "db": lambda bands: 20 * np.log10(np.maximum(bands, 1e-5)),
    "magnitude": lambda bands: bands,
    "power": lambda bands: bands**2,
}
"""Name of the values -> how other programs write them, from magnitudes."""
GUESSED = {"ln", "ln-power", "log10", "log10-power"}


@pytest.fixture(scope="module")
def waveform() -> np.ndarray:
    """Half a second of speech-like sound with a pause of digital silence."""
    times = np.arange(4_037) / RATE
    voice = sum(np.sin(2 * np.pi * 110 * n * times) / n for n in range(1, 30)) * 0.1
    voice[1_500:2_600] = 0
    return voice.astype(np.float32)


@pytest.fixture(scope="module")
def wanted(waveform) -> np.ndarray:
    return MelFrames(MEL, RATE).of(waveform)


@pytest.fixture
def vocoder(tmp_path):
    model = SHAPES["two cycles"].model_copy(update={"mel": MEL})
    return write_random_checkpoint(tmp_path / "vocoder.pth", model, sample_rate=RATE)


def bands_of(waveform, *, scale="htk", norm="none", gain=1.0) -> np.ndarray:
    """Returns magnitudes (bands, frames) as librosa computes them at the model's settings."""
    margin = (MEL.n_fft - MEL.hop) // 2
    padded = np.pad(waveform * gain, (margin, margin + -len(waveform) % MEL.hop))
    return librosa.feature.melspectrogram(
        y=padded, sr=RATE, n_fft=MEL.n_fft, hop_length=MEL.hop, center=False, power=1.0, n_mels=MEL.n_mels,
        fmin=0, fmax=RATE / 2, htk=scale == "htk", norm=None if norm == "none" else norm,
    )  # fmt: skip


@given(st.sampled_from(sorted(VALUES)), st.floats(1e-4, 1e3))
def test_values_of_every_kind_become_natural_logarithms_of_magnitudes(values, magnitude):
    written = WRITERS[values](np.array([magnitude]))
    np.testing.assert_allclose(VALUES[values][1](written), math.log(magnitude), atol=1e-6)


@pytest.mark.parametrize("values", sorted(VALUES))
@pytest.mark.parametrize("turned", [True, False])
def test_frames_of_librosa_become_those_of_the_model(wavegen, vocoder, waveform, wanted, tmp_path, values, turned):
    bands = WRITERS[values](bands_of(waveform))
    np.save(tmp_path / "theirs.npy", bands if turned else bands.T)
    stated = [] if values in GUESSED else ["--values", values]
    outcome = wavegen("mel", vocoder, "theirs.npy", "--out", "ours.npy", *stated)
    assert outcome.code == 0, outcome.err
    assert VALUES[values][0] in outcome.out
    np.testing.assert_allclose(np.load(tmp_path / "ours.npy"), wanted, atol=0.03)


def test_normalised_frames(wavegen, vocoder, waveform, wanted, tmp_path):
    decibels = WRITERS["db"](bands_of(waveform)).T
    np.save(tmp_path / "symmetric.npy", (decibels + 100) / 140 * 8 - 4)
    logs = WRITERS["ln"](bands_of(waveform)).T
    np.savez(tmp_path / "whitened.npz", mel=(logs - logs.mean(axis=0)) / 2, other=np.zeros(3))
    np.save(tmp_path / "statistics.npy", np.stack([logs.mean(axis=0), np.full(40, 2.0)]))
    for source, options in (
        ("symmetric.npy", ["--normalised=-4,4,-100,40"]),
        ("whitened.npz", ["--statistics", "statistics.npy"]),
    ):
        outcome = wavegen("mel", vocoder, source, "--out", "ours.npy", "--overwrite", *options)
        assert outcome.code == 0, outcome.err
        np.testing.assert_allclose(np.load(tmp_path / "ours.npy"), wanted, atol=0.03)


def test_band_weights_and_level_convert_exactly(wavegen, vocoder, waveform, wanted, tmp_path):
    bands = bands_of(waveform, norm="slaney", gain=32_768.0)
    torch.save(torch.from_numpy(bands[None] ** 2), tmp_path / "theirs.pt")
    stated = ["--made-by", "librosa", "--mel-scale", "htk", "--not-centred", "--gain", 1 / 32_768]
    outcome = wavegen("mel", vocoder, "theirs.pt", "--out", "ours.npy", *stated)
    assert outcome.code == 0, outcome.err
    assert re.search(r"band weights +slaney +none +converted +\n", outcome.out)
    np.testing.assert_allclose(np.load(tmp_path / "ours.npy"), wanted, atol=0.03)


def test_another_mel_scale_converts_about(wavegen, vocoder, waveform, wanted, tmp_path):
    np.save(tmp_path / "theirs.npy", bands_of(waveform, scale="slaney", norm="slaney") ** 2)
    outcome = wavegen("mel", vocoder, "theirs.npy", "--out", "ours.npy", "--made-by", "librosa")
    assert outcome.code == 0, outcome.err
    assert re.search(r"mel scale +slaney +htk +converted, about +\n", outcome.out)
    assert "the sound comes 6.2 ms later" in outcome.out
    loud = wanted > wanted.max() - math.log(1e3)
    decibels = 20 / math.log(10) * np.abs(np.load(tmp_path / "ours.npy") - wanted)[loud]
    assert np.median(decibels) < 1.5


def test_vocode_reads_what_mel_writes(wavegen, vocoder, waveform, tmp_path):
    np.savez(tmp_path / "theirs.npz", WRITERS["log10"](bands_of(waveform)[:, :4]))
    assert wavegen("mel", vocoder, "theirs.npz", "--out", "ours.npy").code == 0
    assert wavegen("vocode", vocoder, "ours.npy", "--engine=torch", "--refine=0", "--out", "a.wav").code == 0


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("bands", [], "bands in a frame 30 instead of 40; compute"),
        ("bands", [], "--condition mel --sample-rate 8000 --set model.mel.n_mels=30, and convert them for that one"),
        (
            "ln",
            ["--made-by", "hifi-gan"],
            "sample rate 22,050 Hz instead of 8,000 Hz, hop 256 instead of 100, window 1,024 instead of 400; ",
        ),
        (
            "ln",
            ["--made-by", "hifi-gan"],
            "=256 --set model.mel.upsampling=16 --set model.mel.n_mels=40 --set model.mel.fmax=8000,",
        ),
        ("ln", ["--hop", "101", "--window", "400"], "no vocoder can be trained for them (model.mel: n_fft = 400"),
        ("ln", ["--fmax", "3000"], "bands 0 to 3,000 Hz instead of 0 to 4,000 Hz"),
        ("magnitude", [], "say which: --values magnitude, --values power or --normalised"),
        ("ln", ["--values", "power"], "powers cannot be below 0, and the lowest value is -"),
        ("ln", ["--values", "nope"], "--values nope is not one of ln, ln-power"),
        ("ln", ["--made-by", "nope"], "--made-by nope is not one of hifi-gan"),
        ("ln", ["--normalised", "4,-4,0,1"], "must be LOW,HIGH,DB,DB"),
        ("ln", ["--statistics", "theirs.npy"], "(2, 40)"),
        ("ln", ["--out", "ours.pt"], "--out ours.pt must end in .npy"),
        ("ln", ["--out", "theirs.npy"], "theirs.npy exists"),
        ("nan", [], "holds NaN or infinite values, the first in frame 0"),
    ],
)
def test_what_cannot_be_converted_is_one_line(wavegen, vocoder, waveform, tmp_path, content, options, message):
    bands = bands_of(waveform).T
    contents = {"bands": bands[:, :30], "nan": bands * np.nan} | {
        name: WRITERS[name](bands) for name in ("ln", "magnitude")
    }  # fmt: skip
    np.save(tmp_path / "theirs.npy", contents[content])
    before = (tmp_path / "theirs.npy").read_bytes()
    outcome = wavegen("mel", vocoder, "theirs.npy", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert (tmp_path / "theirs.npy").read_bytes() == before


def test_what_librosa_cuts_at_80_decibels_is_recognised(waveform):
    decibels = librosa.power_to_db(bands_of(waveform) ** 2)
    assert likely_values(float(decibels.min()), float(decibels.max()))[0] == "db"


def test_bands_of_the_same_scale_and_norm_stay(wanted):
    bands = Bands(RATE, MEL.n_fft, 40, 0.0, RATE / 2, "htk", "none")
    np.testing.assert_allclose(taken_over(wanted, bands, bands, math.log(1e-5)), wanted, atol=1e-5)


def test_what_is_stated_comes_before_what_the_program_is_known_for():
    assert Making(hop=300).or_else(MAKERS["hifi-gan"]) == Making(
        "ln", 22_050, 300, 1_024, 0.0, 8_000.0, "slaney", "slaney", centred=False
    )


PROGRAMS_AND_RATES = [
    *(made for made in MAKERS.values() if made.sample_rate),
    *(replace(made, sample_rate=rate) for made in MAKERS.values() for rate in (8_000, 16_000, 22_050, 44_100)),
]


@pytest.mark.parametrize("bands", [40, 80, 128])
@pytest.mark.parametrize("fmax", [None, 3_000.0, 4_000.0, 7_600.5, 8_000.0])
@pytest.mark.parametrize("hop", [None, 200, 256, 275, 1_009])
def test_a_training_with_the_printed_options_has_the_stated_settings(hop, fmax, bands):
    own = own_making(MelFrames(MEL, RATE))
    trained = 0
    for made in PROGRAMS_AND_RATES:
        stated = Making(hop=hop, fmax=fmax).or_else(made).or_else(own)
        try:
            options = " ".join(training_options(stated, bands)).split()
        except UserError:
            with pytest.raises(UserError):
                MelConfig(hop_length=stated.hop, n_fft=stated.window, fmax=stated.fmax, upsampling=1).resolved(
                    stated.sample_rate
                )
            continue
        assignments = [after for before, after in pairwise(options) if before == "--set"]
        assert options[:4] == ["--condition", "mel", "--sample-rate", str(stated.sample_rate)]
        run = RunOptions(condition="mel", sample_rate=stated.sample_rate, assignments=tuple(assignments))
        mel = settings_of(run, "cpu").model.mel.resolved(stated.sample_rate)
        assert (mel.hop, mel.n_fft, mel.fmin, mel.fmax) == (stated.hop, stated.window, stated.fmin, stated.fmax)
        assert mel.n_mels == bands
        trained += 1
    assert trained or stated.hop % 2 or stated.hop > stated.window


def test_every_setting_that_equals_the_model_but_not_the_defaults_of_the_new_rate_is_named():
    assert " ".join(training_options(MAKERS["hifi-gan"], 80)) == (
        "--condition mel --sample-rate 22050 --set model.mel.hop_length=256 --set model.mel.upsampling=16 "
        "--set model.mel.fmax=8000"
    )


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        (["--made-by=librosa"], "--sample-rate 22,050 Hz, --hop 512, --window 2,048; state"),
        (["--made-by=torchaudio"], "--sample-rate 16,000 Hz, --hop 200; state"),
        (
            ["--made-by=librosa", "--sample-rate=8000"],
            "(--hop 100, --window 400), but librosa's defaults are --hop 512",
        ),
        (["--made-by=librosa", "--sample-rate=8000", "--hop=100", "--window=400"], None),
        ([], None),
    ],
)
def test_what_a_library_does_otherwise_by_default_is_said(wavegen, vocoder, waveform, tmp_path, options, warned):
    np.save(tmp_path / "theirs.npy", bands_of(waveform) ** 2)
    outcome = wavegen("mel", vocoder, "theirs.npy", *(options or ["--values=power"]))
    assert outcome.code == 0, outcome.err
    assert ("warning" in outcome.out) == (warned is not None)
    assert warned is None or warned in " ".join(outcome.out.split())


@pytest.mark.parametrize(("bands", "level"), [(40, 60.0), (128, 1.0)])
def test_vocode_says_how_frames_of_other_settings_are_converted(wavegen, vocoder, tmp_path, bands, level):
    np.save(tmp_path / "their frames.npy", level * np.ones((bands, 300), np.float32))
    outcome = wavegen("vocode", vocoder, "their frames.npy")
    assert outcome.code == 2
    assert (
        f"; convert it with: wavegen mel {vocoder} 'their frames.npy' --out 'their frames_converted.npy'" in outcome.err
    )
    assert "--made-by PROGRAM (hifi-gan, tacotron2, librosa or torchaudio)\n" in outcome.err


@pytest.mark.parametrize("turned", [True, False])
def test_frames_of_another_number_of_bands_are_recognised(wavegen, vocoder, tmp_path, turned):
    frames = np.random.default_rng(0).random((128, 300))
    np.save(tmp_path / "theirs.npy", frames if turned else frames.T)
    outcome = wavegen("mel", vocoder, "theirs.npy", "--made-by", "librosa")
    assert "--sample-rate 8000 --set model.mel.n_mels=128, and convert" in outcome.err
