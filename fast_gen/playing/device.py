"""The sound devices of this machine, through sounddevice and PortAudio."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import whole_number

Fill = Callable[[NDArray[np.int16], bool], None]
"""Fills a block with the next samples; the flag is set if the device had to wait for the previous block."""

_BRIDGES = (
    "; if PulseAudio or PipeWire plays here, on Debian or Ubuntu: sudo apt install libasound2-plugins or pipewire-alsa"
    if sys.platform.startswith("linux")
    else ""
)

NO_DEVICE = f"this machine has no sound output device that PortAudio can see{_BRIDGES}"


class NoSoundError(UserError):
    """Nothing can be played here; the message has the reason and a remedy."""


class Output(Protocol):
    """A mono 16-bit output that requests its samples.

    Attributes:
        sample_rate: in Hz.
        latency: seconds from requesting a sample to playing it.
    """

    sample_rate: int
    latency: float

    def start(self) -> None:
        """Starts to request samples; raises NoSoundError if the device refuses."""

    def running(self) -> bool:
        """Returns whether it still requests samples."""

    def close(self, *, play_out: bool) -> None:
        """Closes the output, after playing its remaining samples or at once; may be called twice."""


@dataclass(frozen=True)
class OutputDevice:
    """An output device.

    Attributes:
        index: number that `--device` takes.
        name: from its driver.
        system: its sound system, such as ALSA or Core Audio.
        channels: the most that it plays.
        sample_rate: its default, in Hz.
        default: whether it plays without `--device`.
    """

    index: int
    name: str
    system: str
    channels: int
    sample_rate: float
    default: bool


def output_devices() -> list[OutputDevice]:
    """Returns the output devices in the order of their numbers; may be empty.

    Raises:
        NoSoundError: PortAudio is not installed, or cannot list them.
    """
    sounddevice = _sounddevice()
    default = _default_index(sounddevice)
    try:
        systems, found = sounddevice.query_hostapis(), sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        raise NoSoundError(f"PortAudio cannot list the sound devices ({_one_line(error)})") from None
    return [
        OutputDevice(
            index,
            device["name"],
            systems[device["hostapi"]]["name"],
            device["max_output_channels"],
            device["default_samplerate"],
            index == default,
        )
        for index, device in enumerate(found)
        if device["max_output_channels"] > 0
    ]


def open_output(sample_rate: int, fill: Fill, device: str | None = None) -> Output:
    """Returns an output that is ready to start, at the device's own rate if it does not play `sample_rate`.

    Args:
        sample_rate: in Hz.
        fill: called from a thread of the device to fill int16 (samples,) without waiting.
        device: a number or part of a name from `output_devices`; None for the system's default.

    Raises:
        NoSoundError: PortAudio is not installed, there is no output device, or it is in use.
        UserError: no device, or more than one, has this number or name.
    """
    sounddevice = _sounddevice()
    _hush_alsa()
    devices = output_devices()
    if not devices:
        raise NoSoundError(NO_DEVICE)
    if device is not None:
        index = _find(devices, device).index
    else:
        index = _default_index(sounddevice)
        if index < 0:
            index = devices[0].index
    own_rate = round(next(found.sample_rate for found in devices if found.index == index))
    try:
        return _PortAudioOutput(sounddevice, sample_rate, fill, index)
    except sounddevice.PortAudioError as error:
        refusal = _one_line(error)
    try:
        return _PortAudioOutput(sounddevice, own_rate, fill, index)
    except sounddevice.PortAudioError:
        raise NoSoundError(
            f"the sound device does not play at {sample_rate} Hz ({refusal}); wavegen devices lists others"
        ) from None


class _PortAudioOutput:
    def __init__(self, sounddevice: Any, sample_rate: int, fill: Fill, index: int) -> None:
        def callback(block: NDArray[np.int16], _frames: int, _time: Any, status: Any) -> None:
            fill(block[:, 0], bool(status.output_underflow))

        self._error = sounddevice.PortAudioError
        self._closed = False
        self._stream = sounddevice.OutputStream(
            samplerate=sample_rate, device=index, channels=1, dtype="int16", latency="high", callback=callback
        )
        self.sample_rate = sample_rate
        self.latency = float(self._stream.latency)

    def start(self) -> None:
        try:
            self._stream.start()
        except self._error as error:
            raise NoSoundError(f"the sound device does not start ({_one_line(error)})") from None

    def running(self) -> bool:
        try:
            return bool(self._stream.active)
        except self._error:
            return False

    def close(self, *, play_out: bool) -> None:
        if self._closed:  # PortAudio would read freed memory
            return
        self._closed = True
        if play_out:
            self._stream.stop()
        else:
            self._stream.abort()
        self._stream.close()


def _sounddevice() -> Any:
    """Returns the module; its import loads PortAudio."""
    try:
        import sounddevice
    except OSError:
        raise NoSoundError(
            "sound devices need the PortAudio library, which is not installed; Debian or Ubuntu: "
            "sudo apt install libportaudio2; macOS: brew install portaudio"
        ) from None
    except Exception as error:  # noqa: BLE001 - its class is in the module that failed to load
        raise NoSoundError(f"PortAudio does not start ({_one_line(error)})") from None
    return sounddevice


def _hush_alsa() -> None:
    """Stops ALSA from printing into the live display; late blocks are counted anyway."""
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError):  # PortAudio may be built without ALSA
        # ALSA threads may call this even while Python exits, so the handler is a C function without effect.
        does_nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(does_nothing)


def _default_index(sounddevice: Any) -> int:
    """Returns the number of the default device, or -1."""
    try:
        return int(sounddevice.query_devices(kind="output")["index"])
    except (sounddevice.PortAudioError, ValueError):
        return -1


def _find(devices: list[OutputDevice], wanted: str) -> OutputDevice:
    if wanted.isdecimal():
        number = whole_number(wanted, sys.maxsize)
        found = [device for device in devices if device.index == number]
    else:
        found = [device for device in devices if wanted.lower() == device.name.lower()]
        found = found or [device for device in devices if wanted.lower() in f"{device.name}, {device.system}".lower()]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} output devices have" if found else "no output device has"
    raise UserError(f"{what} the number or name {wanted!r}; wavegen devices lists them")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
