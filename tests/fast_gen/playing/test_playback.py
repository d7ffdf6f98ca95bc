"""Playing for real: through PortAudio and ALSA to a PulseAudio sink whose monitor is recorded."""

import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
from private_sound import home_environment, recorder, require_portaudio, sound_server, wait_until, wavegen
from random_checkpoint import write_random_checkpoint

from wavenet_app.config import preset

pytestmark = pytest.mark.slow
SAMPLE_RATE = 16_000


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A checkpoint, "noise", whose audio never repeats."""
    return write_random_checkpoint(tmp_path_factory.mktemp("trained") / "noise.pth", preset("tiny").model)


def place_of(needle, recording):
    """Returns the place of samples in a recording; they must occur once."""
    windows = np.lib.stride_tricks.sliding_window_view(recording, len(needle))
    places = np.flatnonzero((windows == needle).all(axis=1))
    assert len(places) == 1, f"the first {len(needle)} samples were played {len(places)} times"
    return int(places[0])


def test_the_device_plays_exactly_the_samples_of_the_wav(noise, tmp_path):
    with sound_server(SAMPLE_RATE) as server, recorder(server) as recorded:
        arguments = ["sample", noise, "--play", "--seconds", 3, "--seed", 5, "--out", tmp_path]
        out, err = (process := wavegen(*arguments, environment=server.environment)).communicate(timeout=120)
        assert process.returncode == 0, err
        assert "played without a gap" in out
        written = soundfile.read(tmp_path / "noise-seed5-0.wav", dtype="int16")[0]
        assert len(written) == 3 * SAMPLE_RATE
        end = len(recorded())
        wait_until(lambda: len(recorded()) > end + SAMPLE_RATE // 2, "the recording stands still")
        recording = recorded()
    start = place_of(written[:200], recording)
    np.testing.assert_array_equal(recording[start : start + len(written)], written)
    assert not recording[:start].any()
    assert not recording[start + len(written) :].any()


def test_the_wav_is_complete_when_the_sound_server_dies_during_playing(noise, tmp_path):
    with sound_server(SAMPLE_RATE) as server, recorder(server) as recorded:
        arguments = ["sample", noise, "--play", "--seconds", 6, "--seed", 6, "--out", tmp_path]
        process = wavegen(*arguments, environment=server.environment)
        wait_until(lambda: recorded().any(), "nothing is played")
        server.process.kill()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "playing ended early" in out
    assert "Traceback" not in out + err
    assert "ALSA lib" not in out + err
    assert len(soundfile.read(tmp_path / "noise-seed6-0.wav", dtype="int16")[0]) == 6 * SAMPLE_RATE


def test_ctrl_c_during_playing_keeps_the_audio(noise, tmp_path):
    with sound_server(SAMPLE_RATE) as server, recorder(server) as recorded:
        process = wavegen("sample", noise, "--play", "--forever", "--out", tmp_path, environment=server.environment)
        wait_until(lambda: np.count_nonzero(recorded()) > SAMPLE_RATE, "nothing is played")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        played = recorded()
    assert process.returncode == 0, err
    assert "stopped" in out
    assert "Traceback" not in out + err
    written = soundfile.read(tmp_path / "noise-seed0-forever-0.wav", dtype="int16")[0]
    start = place_of(written[:200], played)
    sounding = len(np.trim_zeros(played[start:], "b"))
    if "played without a gap" in out:  # a busy machine has some, and reports them
        np.testing.assert_array_equal(played[start : start + sounding], written[:sounding])
    else:
        assert "too busy" in out or "ran empty" in out


def test_without_a_device_a_line_is_printed_and_the_wav_is_written(noise, tmp_path):
    require_portaudio()
    if (cards := Path("/proc/asound/cards")).exists() and "no soundcards" not in cards.read_text(encoding="utf-8"):
        pytest.skip("this machine has a sound card")
    environment = home_environment(tmp_path / "home", "")
    environment["PULSE_SERVER"] = f"unix:{tmp_path}/nobody"
    arguments = ["sample", noise, "--play", "--seconds", 0.5, "--out", tmp_path]
    out, err = (process := wavegen(*arguments, environment=environment)).communicate(timeout=120)
    assert process.returncode == 0, err
    assert "not played: this machine has no sound output device that PortAudio can see; if PulseAudio or" in out
    assert "pipewire-alsa; the file is still written" in out
    assert len(soundfile.read(tmp_path / "noise-seed0-0.wav")[0]) == SAMPLE_RATE // 2
    assert "its spectrogram is noise-seed0-0.png" in out
    assert (tmp_path / "noise-seed0-0.png").exists()
    out, err = (process := wavegen("devices", environment=environment)).communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: this machine has no sound output device that PortAudio can see; if PulseAudio")
    assert err.count("\n") == 1
