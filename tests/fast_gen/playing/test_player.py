"""Playing while generating: all samples are played in order, and playing starts when it can continue."""

import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_gen.playing import device as sound_device
from fast_gen.playing import player as playing
from fast_gen.playing.device import NoSoundError, open_output, output_devices
from fast_gen.playing.player import AHEAD_SECONDS, Player, RingBuffer, seconds_to_buffer
from wavenet_app.core.errors import UserError

RATE = 100  # Hz: the player's two seconds ahead are 200 samples


@pytest.fixture(autouse=True, scope="module")
def _ready_devices():
    """A player that polls without delay and needs no lead-in, as the devices here take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playing, "_POLL_SECONDS", 0)
        patch.setattr(playing, "LEAD_IN_SECONDS", 0)
        yield


class HandDevice:
    """An output that takes a block when the test asks it to."""

    latency = 0.0

    def __init__(self, sample_rate, fill):
        self.sample_rate = sample_rate
        self.fill = fill
        self.played = []
        self.started = False
        self.alive = True
        self.closed = []

    def start(self):
        self.started = True

    def running(self):
        return self.alive

    def close(self, *, play_out):
        self.closed.append(play_out)

    def pull(self, size=16, late=False):
        if self.started:
            block = np.full(size, -1, dtype=np.int16)
            self.fill(block, late)
            self.played.extend(block.tolist())


class ThreadDevice(HandDevice):
    """An output that takes blocks in its own thread, as fast as it can."""

    def start(self):
        super().start()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.closed:
            self.pull(7)
            time.sleep(0)

    def close(self, *, play_out):
        super().close(play_out=play_out)
        if self.started:
            self.thread.join()


def player_on(device_class, num_samples=None):
    devices = []

    def open_device(sample_rate, fill):
        devices.append(device_class(sample_rate, fill))
        return devices[0]

    player = Player(open_device, RATE, num_samples)
    return player, devices[0]


@given(st.integers(1, 20), st.lists(st.tuples(st.booleans(), st.integers(0, 25)), max_size=40))
def test_a_ring_buffer_is_a_bounded_queue(capacity, moves):
    ring, queue, number = RingBuffer(capacity), [], 0
    for putting, size in moves:
        if putting:
            samples = np.arange(number, number + size, dtype=np.int16)
            count = ring.put(samples)
            assert count == min(size, capacity - len(queue))
            queue.extend(samples[:count].tolist())
            number += count
        else:
            block = np.full(size, -1, dtype=np.int16)
            count = ring.take(block)
            assert count == min(size, len(queue))
            assert block.tolist() == queue[:count] + [-1] * (size - count)
            del queue[:count]
        assert len(ring) == len(queue)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("feed"), st.integers(1, 60)),
            st.tuples(st.just("pull"), st.integers(1, 60)),
        ),
        max_size=30,
    )
)
def test_all_samples_are_played_and_gaps_are_counted_silence(moves):
    player, device = player_on(HandDevice)
    fed, waiting, expected, gaps, silent, dry = 0, 0, [], 0, 0, False
    for move, size in moves:
        if move == "feed":
            if waiting + size > AHEAD_SECONDS * RATE:
                continue  # the next test is about a full buffer
            player.feed(np.arange(fed + 1, fed + size + 1, dtype=np.int16), 2.0)
            fed, waiting = fed + size, waiting + size
            assert device.started or waiting < 0.25 * RATE
        elif device.started:
            device.pull(size)
            count = min(size, waiting)
            expected += list(range(fed - waiting + 1, fed - waiting + count + 1)) + [0] * (size - count)
            waiting -= count
            silent += size - count
            gaps += count < size and not dry
            dry = count < size
    assert device.played == expected
    assert (player.gaps, player.silent_samples) == (gaps, silent)
    player.finish(lambda: device.pull(16))
    played = np.array(device.played)
    assert played[played != 0].tolist() == list(range(1, fed + 1))
    assert player.silent_samples == silent  # silence after the end is no gap
    assert device.closed == [True]


@settings(deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=8), st.integers(20, 150))
def test_a_full_buffer_blocks_the_engine_and_loses_nothing(sizes, block):
    player, device = player_on(HandDevice)
    number = 0
    for size in sizes:
        player.feed(np.arange(number + 1, number + size + 1, dtype=np.int16), 2.0, lambda: device.pull(block))
        number += size
    player.finish(lambda: device.pull(block))
    played = np.array(device.played)
    assert played[played != 0].tolist() == list(range(1, number + 1))
    assert (player.gaps, player.lost) == (0, None)


def test_two_threads_pass_on_every_sample_once():
    player, device = player_on(ThreadDevice)
    number = 0
    random = np.random.default_rng(0)
    while number < 20_000:
        size = int(random.integers(1, 300))
        player.feed(np.arange(number + 1, number + size + 1, dtype=np.int16), 2.0)
        number += size
    player.finish()
    played = np.array(device.played)
    assert np.array_equal(played[played != 0], np.arange(1, number + 1))
    # only the samples and the counted silence are played until the last sample
    zeros_inside = int((played[: np.flatnonzero(played)[-1]] == 0).sum())
    assert zeros_inside <= player.silent_samples


@given(st.floats(0.01, 5), st.floats(0.1, 600))
def test_playing_starts_when_the_rest_will_be_ready_in_time(speed, total):
    first = seconds_to_buffer(speed, total)
    assert 0 < first <= total
    for played in np.linspace(0, total, 50):
        made = min(total, first + speed * played)
        assert made >= played - 1e-9
    if speed > 1.2:
        assert first <= 0.25


def test_silence_comes_first_as_devices_drop_the_first_samples(monkeypatch):
    monkeypatch.setattr(playing, "LEAD_IN_SECONDS", 0.2)
    player, device = player_on(HandDevice)
    player.feed(np.ones(30, dtype=np.int16), 2.0)
    device.pull(50)
    assert device.played == [0] * 20 + [1] * 30
    assert player.gaps == 0


def test_without_a_speed_playing_starts_at_the_end_of_a_short_clip():
    player, device = player_on(HandDevice, num_samples=50)
    player.feed(np.ones(50, dtype=np.int16), None)
    assert not device.started
    assert player.buffered_seconds == 0.5
    player.finish(lambda: device.pull(25))
    assert device.played == [1] * 50


def test_a_slow_engine_is_buffered_for_the_announced_time():
    player, device = player_on(HandDevice, num_samples=1_000)
    assert player.seconds_until_sound(0.5) == pytest.approx((0.25 + 0.55 * 10) / 0.5)
    player.feed(np.ones(500, dtype=np.int16), 0.5)
    assert player.seconds_until_sound(0.5) == pytest.approx(1.5)
    player.feed(np.ones(80, dtype=np.int16), 0.5)
    assert device.started
    assert player.seconds_until_sound(0.5) == 0


@pytest.mark.parametrize("dies", [True, False])
def test_a_lost_device_does_not_block(monkeypatch, dies):
    monkeypatch.setattr(playing, "PATIENCE_SECONDS", 0.05)
    player, device = player_on(HandDevice)
    player.feed(np.ones(100, dtype=np.int16), 2.0)
    device.alive = not dies  # some only stop requesting blocks
    player.feed(np.ones(1_000, dtype=np.int16), 2.0)
    assert player.lost == "the sound device stopped responding"
    player.feed(np.ones(1_000, dtype=np.int16), 2.0)
    player.finish()
    assert device.closed == [False]


def test_a_device_that_does_not_start_is_reported():
    class Refusing(HandDevice):
        def start(self):
            raise NoSoundError("taken")

    player, _ = player_on(Refusing)
    player.feed(np.ones(100, dtype=np.int16), 2.0)
    assert player.lost == "taken"
    player.finish()


def test_the_level_is_that_of_the_next_samples_and_late_blocks_are_counted():
    player, device = player_on(HandDevice)
    assert player.level() == 0
    player.feed(np.full(30, -32768, dtype=np.int16), 2.0)
    player.feed(np.zeros(30, dtype=np.int16), 2.0)
    assert player.level() == 1
    device.pull(30, late=True)
    assert player.level() == 0
    assert player.late_blocks == 1
    player.stop()
    assert device.closed == [False]


def ignore(block, late):
    pass


class PortAudioError(Exception):
    """The error of sounddevice."""


@pytest.fixture
def fake_sounddevice(monkeypatch):
    """A sounddevice module with an input and two outputs, of which the second is the default."""
    devices = [
        {"name": "Microphone", "hostapi": 0, "max_output_channels": 0, "default_samplerate": 48_000.0, "index": 0},
        {"name": "Speakers", "hostapi": 0, "max_output_channels": 2, "default_samplerate": 48_000.0, "index": 1},
        {"name": "Headset speakers", "hostapi": 0, "max_output_channels": 1, "default_samplerate": 16e3, "index": 2},
    ]
    streams = []

    def query_devices(kind=None):
        if kind is None:
            return devices
        if len(devices) < 3:
            raise PortAudioError("Error querying device -1")
        return devices[2]

    refused_rates = {11_111}

    class OutputStream:
        latency = 0.1
        active = True

        def __init__(self, **settings):
            if settings["samplerate"] in refused_rates:
                raise PortAudioError("Invalid sample rate\n[-9997]")
            self.settings = settings
            self.calls = []
            streams.append(self)

        def start(self):
            self.calls.append("start")

        def stop(self):
            self.calls.append("stop")

        def abort(self):
            self.calls.append("abort")

        def close(self):
            self.calls.append("close")

    module = SimpleNamespace(
        PortAudioError=PortAudioError,
        OutputStream=OutputStream,
        query_hostapis=lambda: [{"name": "ALSA"}],
        query_devices=query_devices,
        streams=streams,
        refused_rates=refused_rates,
        devices=devices,
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_output_devices_are_listed(fake_sounddevice):
    assert [(device.index, device.default) for device in output_devices()] == [(1, False), (2, True)]
    assert output_devices()[0].system == "ALSA"


@pytest.mark.parametrize(
    ("device", "index"), [(None, 2), ("1", 1), ("speakers", 1), ("Headset", 2), ("headset speakers, ALSA", 2)]
)
def test_a_device_is_found_by_number_or_name(fake_sounddevice, device, index):
    filled = []
    output = open_output(16_000, lambda block, late: filled.append((block.shape, late)), device)
    stream = fake_sounddevice.streams[0]
    assert (stream.settings["device"], stream.settings["samplerate"]) == (index, 16_000)
    stream.settings["callback"](np.zeros((64, 1), dtype=np.int16), 64, None, SimpleNamespace(output_underflow=True))
    assert filled == [((64,), True)]
    output.start()
    output.close(play_out=True)
    output.close(play_out=False)  # PortAudio must not see a closed stream again
    assert stream.calls == ["start", "stop", "close"]


@pytest.mark.parametrize(
    ("rate", "device", "kind", "message"),
    [
        (16_000, "0", UserError, "no output device has the number or name '0'"),
        (16_000, "ALSA", UserError, "2 output devices have the number or name 'ALSA'"),
        (11_111, None, NoSoundError, r"does not play at 11111 Hz \(Invalid sample rate \[-9997\]\)"),
    ],
)
def test_an_unavailable_device_is_one_line(fake_sounddevice, rate, device, kind, message):
    fake_sounddevice.refused_rates.add(16_000)  # the default of the default device
    with pytest.raises(kind, match=message):
        open_output(rate, ignore, device)


def test_a_device_of_another_rate_is_opened_at_its_own(fake_sounddevice):
    output = open_output(11_111, ignore, "1")
    assert output.sample_rate == 48_000
    assert open_output(22_050, ignore, "1").sample_rate == 22_050


def test_audio_for_a_device_of_another_rate_is_resampled():
    class Faster(HandDevice):
        def __init__(self, sample_rate, fill):
            super().__init__(48_000, fill)

    devices = []

    def open_device(sample_rate, fill):
        devices.append(Faster(sample_rate, fill))
        return devices[0]

    player = Player(open_device, 16_000, None)
    tone = np.round(8_000 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)).astype(np.int16)
    for chunk in np.split(tone, 16):
        player.feed(chunk, 2.0)
    assert player.buffered_seconds == pytest.approx(1, abs=0.05)
    player.finish(lambda: devices[0].pull(4_800))
    played = np.array(devices[0].played)
    expected = 8_000 * np.sin(2 * np.pi * 500 * np.arange(48_000) / 48_000)
    assert np.abs(played[1_000:47_000] - expected[1_000:47_000]).max() < 20
    assert not played[48_000:].any()


def put_in_place(monkeypatch, folder, text):
    """Makes `import sounddevice` run this code."""
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    (folder / "sounddevice.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)


def test_a_failing_portaudio_is_reported(fake_sounddevice, monkeypatch, tmp_path):
    def no_answer():
        raise PortAudioError("Internal PortAudio error\n[PaErrorCode -9986]")

    monkeypatch.setattr(fake_sounddevice, "query_hostapis", no_answer)
    with pytest.raises(NoSoundError, match=r"cannot list the sound devices \(Internal PortAudio error \[PaErrorCode"):
        open_output(16_000, ignore)
    refusing = "class PortAudioError(Exception): pass\nraise PortAudioError('Error initializing PortAudio: Host error')"
    put_in_place(monkeypatch, tmp_path, refusing)
    with pytest.raises(NoSoundError, match=r"PortAudio does not start \(Error initializing PortAudio: Host error\)"):
        output_devices()


def test_a_missing_device_or_portaudio_is_reported(fake_sounddevice, monkeypatch, tmp_path):
    del fake_sounddevice.devices[1:]
    with pytest.raises(NoSoundError, match="no sound output device"):
        open_output(16_000, ignore)
    assert output_devices() == []
    put_in_place(monkeypatch, tmp_path, "raise OSError('PortAudio library not found')")
    monkeypatch.setattr(sound_device.sys, "platform", "linux")
    with pytest.raises(NoSoundError, match="apt install libportaudio2; macOS: brew install portaudio"):
        output_devices()
