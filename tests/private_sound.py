"""A private sound system for tests: a PulseAudio daemon with a null sink, and a recorder of its monitor."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS = 20.0


def require_portaudio() -> None:
    """Skips the test if PortAudio is missing."""
    found = subprocess.run([sys.executable, "-c", "import sounddevice"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("PortAudio (libportaudio2) is not installed")


def require_pulseaudio() -> None:
    """Skips the test if PulseAudio is missing."""
    missing = [program for program in ("pulseaudio", "parec") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} (pulseaudio, pulseaudio-utils) not installed")
    if not any(Path("/usr").glob("lib*/**/alsa-lib/libasound_module_pcm_pulse.so")):
        pytest.skip("the PulseAudio plugin of ALSA (libasound2-plugins) is not installed")


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Waits for a condition; fails the test after a timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def wavegen(*arguments: object, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Starts a command in its own process."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)],
        env={**environment, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def home_environment(home: Path, alsa: str) -> dict[str, str]:
    """Returns an environment whose home is `home`, with this ALSA configuration and no sound server."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".asoundrc").write_text(alsa, encoding="utf-8")
    foreign = ("PULSE_", "XDG_", "DBUS_", "DISPLAY", "WAYLAND_DISPLAY", "ALSA_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**inherited, "HOME": str(home)}


@dataclass(frozen=True)
class SoundServer:
    """A running daemon.

    Attributes:
        environment: environment for programs that play to it.
        process: the daemon.
        sample_rate: sample rate of its only sink, in Hz; mono, 16 bits.
    """

    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    sample_rate: int


@contextmanager
def sound_server(sample_rate: int) -> Iterator[SoundServer]:
    """Runs a daemon that is independent of the user's daemon."""
    require_portaudio()
    require_pulseaudio()
    with TemporaryDirectory(prefix="pulse-") as folder:  # a short path, because socket paths are limited
        home = Path(folder)
        environment = home_environment(home, "pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        environment |= {
            "XDG_RUNTIME_DIR": folder,
            "PULSE_RUNTIME_PATH": folder,
            "PULSE_STATE_PATH": folder,
            "PULSE_SERVER": f"unix:{folder}/native",
        }
        form = f"format=s16le rate={sample_rate} channels=1"
        command = [
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error"),
            *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={folder}/native"),
            *("-L", f"module-null-sink sink_name=nowhere {form}"),
        ]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until((home / "native").exists, "PulseAudio does not start")
            yield SoundServer(environment, process, sample_rate)
        finally:
            process.kill()
            process.wait()


@contextmanager
def recorder(server: SoundServer) -> Iterator[Callable[[], NDArray[np.int16]]]:
    """Records the output of the sink; yields a function that returns the recording so far."""
    form = [f"--rate={server.sample_rate}", "--format=s16le", "--channels=1", "--raw", "--latency-msec=50"]
    path = Path(server.environment["HOME"]) / "recording"
    with path.open("wb") as file:
        process = subprocess.Popen(["parec", "-d", "nowhere.monitor", *form], env=server.environment, stdout=file)
        try:
            wait_until(lambda: path.stat().st_size > 0, "nothing is recorded")
            yield lambda: np.frombuffer(path.read_bytes()[: path.stat().st_size // 2 * 2], dtype="<i2")
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            process.wait()
