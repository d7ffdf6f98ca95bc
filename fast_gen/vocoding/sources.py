"""The input of `wavegen vocode`: recordings and saved mel frames, read as frames piece by piece."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fast_gen.generation.level import matched_gain, second_peaks
from fast_gen.vocoding.making import MAKERS
from fast_gen.vocoding.saved import (
    FRAMES_AT_ONCE,
    MEL_SUFFIXES,
    OtherFramesError,
    arranged_frames,
    check_finite,
    load_array,
)
from wavenet_app.audio.files import printable
from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.audio.mono import read_blocks
from wavenet_app.config import RunConfig

_HIGHEST = 15.0  # natural logarithms of magnitudes are well below; decibels and many plain magnitudes are not
_TOLERANCE = 0.01  # rounding of the floor in half precision


@dataclass
class Recording:
    """A sound file as mel frames at the level of the training.

    Attributes:
        path: the file.
        num_samples: length at the model's rate; None until all frames have been read.
        expected_samples: length at the model's rate, counted when the recording was opened.
        gain: factor on the waveform.
        remarks: notes for the user.
    """

    path: Path
    mel: MelFrames
    sample_rate: int
    gain: float
    remarks: list[str]
    num_samples: int | None = None
    expected_samples: int = 0

    @classmethod
    def at(cls, path: Path, mel: MelFrames, config: RunConfig) -> Recording:
        """Opens a recording and reads it once to measure its level.

        Raises:
            UnreadableAudioError: it cannot be read.
        """
        rate = config.audio.sample_rate
        remarks: list[str] = []
        count = 0

        def counted() -> Iterator[NDArray[np.float32]]:
            nonlocal count
            for block in read_blocks(path, rate, remarks.append):
                count += len(block)
                yield block

        gain, remark = matched_gain(second_peaks(counted(), rate), config)
        if remark is not None:
            remarks.append(remark)
        return cls(path, mel, rate, gain, remarks, expected_samples=count)

    def frames(self) -> Iterator[Frames]:
        """Yields the frames (frames, n_mels) piece by piece."""
        count = 0

        def waveform() -> Iterator[NDArray[np.float32]]:
            nonlocal count
            for block in read_blocks(self.path, self.sample_rate, lambda _: None):
                count += len(block)
                yield np.clip(block * np.float32(self.gain), np.float32(-1), np.float32(1))
            self.num_samples = count

        yield from self.mel.stream(waveform())


@dataclass
class SavedFrames:
    """Saved log-mel frames.

    Attributes:
        path: the file.
        array: (frames, n_mels), memory-mapped if the format allows.
        num_samples: length of their waveform.
        remarks: notes for the user.
    """

    path: Path
    array: NDArray[np.floating]
    num_samples: int
    remarks: list[str]

    @property
    def expected_samples(self) -> int:
        """The same as `num_samples`."""
        return self.num_samples

    @classmethod
    def at(cls, path: Path, mel: MelFrames) -> SavedFrames:
        """Opens frames as `MelFrames` makes them: (frames, n_mels), (n_mels, frames), or either in a batch of one.

        A file does not say how its frames were made. What cannot be of the model's settings is refused: other bands,
        and values that lie below its floor or above all sound.

        Raises:
            OtherFramesError: the frames were made with other settings.
            UserError: the file cannot be read, or holds no frames, or NaN.
        """
        remarks: list[str] = []
        array = checked_frames(load_array(path), mel, printable(str(path)), remarks.append)
        return cls(path, array, len(array) * mel.hop, remarks)

    def frames(self) -> Iterator[Frames]:
        """Yields the frames (frames, n_mels) piece by piece."""
        for first in range(0, len(self.array), FRAMES_AT_ONCE):
            yield np.array(self.array[first : first + FRAMES_AT_ONCE], np.float32)


def checked_frames(array: NDArray[Any], mel: MelFrames, name: str, warn: Callable[[str], None]) -> NDArray[np.floating]:
    """Returns frames as `MelFrames` makes them, (frames, n_mels), from those, (n_mels, frames), or a batch of one.

    Args:
        array: the frames.
        mel: the settings of the model.
        name: what to call the array in errors.
        warn: receives what the user should know, as the end of a sentence about the array.

    Raises:
        OtherFramesError: they are of other settings: other bands, or values below the floor or above all sound.
        UserError: it holds no frames, or NaN.
    """
    array = arranged_frames(array, mel.mel.n_mels, name, warn)
    lowest = min(
        _checked_lowest(name, array[first : first + FRAMES_AT_ONCE], first, mel)
        for first in range(0, len(array), FRAMES_AT_ONCE)
    )
    if lowest >= 0:
        warn("holds nothing below 0, which looks like magnitudes; the model takes their logarithms")
    return array


def conversion_hint(checkpoint: str, path: Path) -> str:
    """Returns the end of an error about frames of other settings: the command that says more, and converts them."""
    *others, last = MAKERS
    parts = ["wavegen", "mel", checkpoint, str(path), "--out", f"{path.stem}_converted.npy", "--made-by", "PROGRAM"]
    command = " ".join(shlex.quote(printable(part)) for part in parts)
    return f"; convert it with: {command} ({', '.join(others)} or {last})"


Source = Recording | SavedFrames


def open_source(path: Path, mel: MelFrames, config: RunConfig, checkpoint: str | None = None) -> Source:
    """Opens a recording or saved frames, by the suffix.

    Args:
        path: the file.
        mel: the settings of the model.
        config: of the model.
        checkpoint: the model as the user gave it, for the command that converts frames of other settings.

    Raises:
        UserError: it is neither, or invalid.
    """
    if path.suffix.lower() in MEL_SUFFIXES:
        try:
            return SavedFrames.at(path, mel)
        except OtherFramesError as error:
            hint = "" if checkpoint is None else conversion_hint(checkpoint, path)
            raise OtherFramesError(f"{error}{hint}") from None
    return Recording.at(path, mel, config)


def _checked_lowest(name: str, frames: NDArray[np.floating], first: int, mel: MelFrames) -> float:
    """Returns the least value of frames that can be of the model's settings, raises UserError where they cannot."""
    check_finite(name, frames, first)
    if frames.min() < mel.silence - _TOLERANCE or frames.max() > _HIGHEST:
        raise OtherFramesError(
            f"{name} holds values from {frames.min():.4g} to {frames.max():.4g}, so it was made with other settings; "
            f"the model takes {mel.described}"
        )
    return float(frames.min())
