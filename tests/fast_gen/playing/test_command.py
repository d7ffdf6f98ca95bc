"""Playing and piping from the command line, with a fake device that records."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from in_process import exit_code
from tiny_run import TINY

from fast_gen.engines import real_time
from fast_gen.playing import command as live_command
from fast_gen.playing import player as playing
from fast_gen.playing.device import NoSoundError, OutputDevice
from fast_gen.playing.player import LEAD_IN_SECONDS, Player
from fast_gen.playing.view import LiveView
from wavenet_app.audio.wav_stream import HEADER_BYTES

ROOT = Path(__file__).resolve().parents[3]
TINY_RUN = [*TINY, "--max-steps=2", "--name=x", "--logger=none"]


class RecordingDevice:
    """An output that takes blocks in its own thread; optionally sends Ctrl-C after a number of blocks."""

    latency = 0.0

    def __init__(self, sample_rate, fill, blocks_until_interrupt=None):
        self.sample_rate = sample_rate
        self.fill = fill
        self.blocks = []
        self.closed = threading.Event()
        self.blocks_left = blocks_until_interrupt
        self.thread = threading.Thread(target=self.run)

    def start(self):
        self.thread.start()

    def running(self):
        return True

    def run(self):
        while not self.closed.is_set():
            block = np.zeros(256, dtype=np.int16)
            self.fill(block, False)
            self.blocks.append(block)
            if self.blocks_left is not None:
                self.blocks_left -= 1
                if self.blocks_left == 0:
                    os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.001)

    def close(self, *, play_out):
        self.closed.set()
        if self.thread.is_alive():
            self.thread.join()


@pytest.fixture
def device(monkeypatch):
    """Replaces the sound device with a recording one; the list holds it once it is open."""
    opened = []

    def install(blocks_until_interrupt=None):
        def open_fake(sample_rate, fill, device=None):
            opened.append(RecordingDevice(sample_rate, fill, blocks_until_interrupt))
            return opened[-1]

        monkeypatch.setattr(live_command, "open_output", open_fake)
        return opened

    return install


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data folder with a run of two steps, called x, 8 kHz."""
    folder = tmp_path_factory.mktemp("trained")
    times = np.arange(4_000) / 8_000
    for index in range(4):
        (folder / "tones").mkdir(exist_ok=True)
        soundfile.write(folder / "tones" / f"{index}.wav", 0.5 * np.sin(2 * np.pi * 220 * (index + 1) * times), 8_000)
    with pytest.MonkeyPatch.context() as patch:
        assert exit_code(patch, "train", folder / "tones", f"--data-dir={folder / 'data'}", *TINY_RUN) == 0
    return folder / "data"


@pytest.fixture
def sample(wavegen, trained, tmp_path):
    """Runs `wavegen sample x` into tmp_path/out."""
    return partial(wavegen, "sample", "x", "--data-dir", trained, "--out", tmp_path / "out", "--engine", "torch")


def played_samples(opened):
    return np.concatenate(opened[0].blocks)


def test_played_and_written_samples_equal_those_without_playing(sample, device, tmp_path):
    opened = device()
    code, out, err = sample("--play", "--seconds", 1.5, "--seed", 4)
    assert code == 0, err
    path = tmp_path / "out" / "x-seed4-0.wav"
    assert str(path) in out
    written = path.read_bytes()
    assert path.with_suffix(".png").exists()
    played = played_samples(opened)
    samples = soundfile.read(path, dtype="int16")[0]
    assert len(samples) == 12_000
    if "without a gap" in out:
        lead_in = round(LEAD_IN_SECONDS * 8_000)
        assert np.array_equal(played[lead_in : lead_in + 12_000], samples)
    assert np.array_equal(played[played != 0], samples[samples != 0])
    assert sample("--seconds", 1.5, "--seed", 4)[0] == 0
    assert path.with_name("x-seed4-1.wav").read_bytes() == written
    assert path.read_bytes() == written


def test_playing_takes_a_precision_that_keeps_up_unless_one_is_given(sample, device, monkeypatch):
    def speed(engine, sample_rate):
        return 0.5 if engine.precision == "float32" else 3

    monkeypatch.setattr(real_time, "measured_speed", speed)
    device()
    code, out, err = sample("--play", "--seconds", 0.2, "--engine", "cpu")
    assert code == 0, err
    assert "playing in bfloat16, the first that keeps up" in out
    assert "bfloat16, 1 thread)" in out
    for arguments in (["--play", "--precision", "float32"], []):
        device()
        code, out, err = sample("--seconds", 0.2, "--engine", "cpu", *arguments)
        assert code == 0, err
        assert "float32, 1 thread)" in out
        assert "playing in" not in out


def test_precision_and_threads_are_passed_on_or_refused_in_one_line(sample):
    code, out, err = sample("--seconds", 0.1, "--engine", "cpu", "--precision", "int8", "--threads", 2)
    assert code == 0, err
    assert "int8, 2 threads)" in out
    code, _, err = sample("--seconds", 0.1, "--precision", "int8")
    assert code == 2
    assert err.count("\n") == 1
    assert "torch on cpu: it does not compute in int8" in err
    code, _, err = sample("--seconds", 0.1, "--precision", "half")
    assert code == 2
    assert "choose one of: float32, bfloat16, int8" in err


def test_a_kept_prime_is_played_first(sample, device, trained, tmp_path):
    opened = device()
    prime = trained.parent / "tones" / "0.wav"
    code, _, err = sample("--play", "--seconds", 0.3, "--prime", prime, "--keep-prime")
    assert code == 0, err
    samples = soundfile.read(tmp_path / "out" / "x-seed0-0.wav", dtype="int16")[0]
    assert len(samples) == 4_000 + 2_400
    played = played_samples(opened)
    assert np.array_equal(played[played != 0], samples[samples != 0])


@pytest.mark.parametrize("options", [["--format", "flac"], ["--out", "song.flac"]])
def test_another_format_is_written_at_the_end_of_playing(sample, device, tmp_path, options):
    opened = device()
    assert sample("--play", "--seconds", 0.3)[0] == 0
    code, out, err = sample("--play", "--seconds", 0.3, *options)
    assert code == 0, err
    path = Path("song.flac") if "--out" in options else tmp_path / "out" / "x-seed0-1.flac"
    assert f"{path}  (0.30 s" in out
    samples = soundfile.read(path, dtype="int16")[0]
    assert np.array_equal(samples, soundfile.read(tmp_path / "out" / "x-seed0-0.wav", dtype="int16")[0])
    assert path.with_suffix(".png").exists()
    assert not list(tmp_path.rglob("*.flac.wav"))
    assert len(opened) == 2
    before = path.read_bytes()
    code, _, err = sample("--play", "--seconds", 0.3, *options)
    assert path.read_bytes() == before
    assert code == (2 if "--out" in options else 0)
    assert ("song.flac exists; --overwrite replaces it" in err) == (code == 2)


def test_ctrl_c_ends_an_endless_clip_and_keeps_it(sample, device, monkeypatch, tmp_path):
    # the reference engine on a busy machine would buffer for minutes
    monkeypatch.setattr(playing, "ENDLESS_SECONDS", 0.5)
    device(blocks_until_interrupt=40)
    code, out, err = sample("--play", "--forever")
    assert code == 0, err
    assert "stopped" in out
    assert "Traceback" not in err
    assert len(soundfile.read(tmp_path / "out" / "x-seed0-forever-0.wav")[0]) >= 256


def test_without_a_device_the_file_is_written_and_forever_is_refused(sample, monkeypatch, tmp_path):
    def refuse(sample_rate, fill, device=None):
        raise NoSoundError("no PortAudio; apt install it")

    monkeypatch.setattr(live_command, "open_output", refuse)
    code, out, err = sample("--play", "--seconds", 0.2)
    assert code == 0, err
    assert "not played: no PortAudio; apt install it; the file is still written" in out
    assert len(soundfile.read(tmp_path / "out" / "x-seed0-0.wav")[0]) == 1_600
    code, _, err = sample("--play", "--forever")
    assert (code, err) == (2, "error: no PortAudio; apt install it\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--play", "-n", 2], "take one clip, not 2"),
        (["--play", "--stdout"], "exclude each other"),
        (["--forever"], "add --play or --stdout"),
        (["--device", "1"], "add --play"),
        (["--raw"], "add --stdout"),
        (["--raw", "--play"], "add --stdout"),
        (["--stdout", "--format", "flac"], "--stdout streams wav, not flac; use --format wav"),
        (["--play", "--forever", "--format", "ogg"], "--forever has no end and so writes wav, not ogg"),
        (["--play", "--format", "mp4"], "there is no format 'mp4'; choose one of: wav, flac, ogg"),
    ],
)
def test_contradictions_are_one_line(sample, arguments, message):
    code, _, err = sample(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_standard_output_gets_only_the_wav(sample, monkeypatch, tmp_path):
    assert sample("--seconds", 0.3, "--seed", 2)[0] == 0
    written = (tmp_path / "out" / "x-seed2-0.wav").read_bytes()
    (tmp_path / "out" / "x-seed2-0.wav").unlink()
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe))
    code, _, err = sample("--stdout", "--seconds", 0.3, "--seed", 2)
    assert code == 0, err
    assert pipe.getvalue() == written
    assert "engine torch" in err
    assert not (tmp_path / "out" / "x-seed2-0.wav").exists()


def test_raw_standard_output_gets_only_samples(sample, monkeypatch, tmp_path):
    assert sample("--seconds", 0.3, "--seed", 2)[0] == 0
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe))
    code, _, err = sample("--stdout", "--raw", "--seconds", 0.3, "--seed", 2)
    assert code == 0, err
    assert pipe.getvalue() == (tmp_path / "out" / "x-seed2-0.wav").read_bytes()[HEADER_BYTES:]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_behind_standard_output_is_one_line(trained):
    command = [sys.executable, "-m", "cli", "sample", "x", f"--data-dir={trained}", "--engine=torch", "--stdout"]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "error: cannot write to standard output: No space left on device"
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
@pytest.mark.parametrize("raw", [False, True])
def test_sox_reads_the_pipe(trained, sample, tmp_path, raw):
    assert sample("--seconds", 0.3, "--seed", 2)[0] == 0
    form = "-t raw -r 8000 -e signed -b 16 -c 1" if raw else ""
    wavegen = f"'{sys.executable}' -m cli sample x --data-dir '{trained}' --engine torch --seconds 0.3 --seed 2"
    line = f"{wavegen} --stdout {'--raw' if raw else ''} | sox {form} - '{tmp_path}/sox.wav'"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "sox" not in ended.stderr  # which would warn
    made = soundfile.read(tmp_path / "out" / "x-seed2-0.wav", dtype="int16")[0]
    assert np.array_equal(soundfile.read(tmp_path / "sox.wav", dtype="int16")[0], made)


def test_a_terminal_gets_no_wav(sample, monkeypatch):
    class Terminal(io.BytesIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal))
    code, _, err = sample("--stdout")
    assert code == 2
    assert "pipe it" in err
    assert terminal.getvalue() == b""


def test_closing_the_pipe_ends_an_endless_clip(trained):
    command = [sys.executable, "-m", "cli", "sample", "x", f"--data-dir={trained}", "--engine=torch"]
    process = subprocess.Popen(
        [*command, "--stdout", "--forever"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    start = process.stdout.read(10_044)
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(60) == 0, errors
    assert "rror" not in errors
    assert len(soundfile.read(io.BytesIO(start))[0]) == 5_000


def test_devices_are_listed_or_reported_missing(monkeypatch, wavegen):
    found = [OutputDevice(3, "Speakers", "ALSA", 2, 48_000.0, True)]
    monkeypatch.setattr(live_command, "output_devices", lambda: found)
    listed = wavegen("devices")
    assert listed.code == 0
    assert all(word in listed.out for word in ("3", "Speakers", "ALSA", "48000", "default"))
    found.clear()
    none = wavegen("devices")
    assert none.code == 2
    assert none.err.count("\n") == 1


def test_the_live_line_shows_time_speed_buffer_and_level():
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)

    class Silent(RecordingDevice):
        def start(self):
            pass

    player = Player(Silent, 100, None)
    with LiveView(console, player) as view:
        player.feed(np.full(20, 16_384, dtype=np.int16), None)
        assert "buffering, 0.2 s so far" in view.line()
        view.speed = 2.0
        player.feed(np.full(30, 16_384, dtype=np.int16), 2.0)
        view.update()
        assert "2.00 x real time  buffer [###.........]  0.7 s  level [............]" in view.line()
    assert "2.00 x real time" in screen.getvalue()
    player.stop()


@pytest.mark.parametrize(
    ("gaps", "late", "line"),
    [
        (0, 0, "played without a gap"),
        (1, 0, "the buffer ran empty once, 0.50 s of silence in all; the file has no gaps"),
        (0, 2, "the machine was too busy to serve the device in time 2 times; the file has no gaps"),
        (
            3,
            1,
            "the buffer ran empty 3 times, 0.50 s of silence in all; the machine was too busy to serve the device in "
            "time once; the file has no gaps",
        ),
    ],
)
def test_gaps_are_counted_and_reported(gaps, late, line):
    def other_rate(_, fill):
        return RecordingDevice(48_000, fill)

    player = Player(other_rate, 16_000, None)
    player.feed(np.zeros(8_000, dtype=np.int16), 2.0)
    player.stop()
    player.gaps, player.late_blocks, player.silent_samples = gaps, late, 24_000
    assert live_command._account(player) == line


def test_a_slow_engine_announces_its_buffering(sample, device, monkeypatch):
    class Slow(live_command.Pace):
        def timed(self, chunks):
            for chunk in super().timed(chunks):
                if self.speed is not None:
                    self.speed = 0.5
                yield chunk

    monkeypatch.setattr(live_command, "Pace", Slow)
    device()
    code, out, err = sample("--play", "--seconds", 2)
    assert code == 0, err
    assert "0.50 x real time: buffering first to avoid gaps" in out
    # 0.25 s and 55 % of 2 s, less the two chunks of 0.128 s that are there, at half of real time
    assert "playing starts in about 2 s" in out
