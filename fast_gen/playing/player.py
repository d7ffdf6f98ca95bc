"""Playing while generating: a bounded buffer between two threads, and when to start."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.real_time import MARGIN
from fast_gen.playing.device import Fill, NoSoundError, Output

RESERVE_SECONDS = 0.25  # buffered before the first sound, however fast the engine
LEAD_IN_SECONDS = 0.2  # of silence before the first sound: devices and sound servers drop the first samples
ENDLESS_SECONDS = 30.0  # length that an endless clip is buffered for
AHEAD_SECONDS = 2.0  # the engine may run ahead of playing by this much more than the first buffer
PATIENCE_SECONDS = 3.0  # a device that asks for nothing this long is lost
_POLL_SECONDS = 0.005
_LEVEL_SECONDS = 0.05

OpenOutput = Callable[[int, Fill], Output]
"""Preferred sample rate in Hz and what fills the blocks -> an output that is ready to start."""

Convert = Callable[[NDArray[np.int16], bool], NDArray[np.int16]]
"""Samples, and whether they are the last -> as many as are known yet at another rate."""


class RingBuffer:
    """A bounded queue of samples between one thread that puts and one that takes, neither of which ever waits.

    Each counter is written by one side only, after its samples were copied, so there is no lock that the device's
    thread might wait for.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._samples = np.zeros(capacity, dtype=np.int16)
        self._put = 0
        self._taken = 0

    def __len__(self) -> int:
        return self._put - self._taken

    def put(self, samples: NDArray[np.int16]) -> int:
        """Copies as many of the samples as fit; returns how many."""
        count = min(len(samples), self.capacity - len(self))
        start = self._put % self.capacity
        before_end = min(count, self.capacity - start)
        self._samples[start : start + before_end] = samples[:before_end]
        self._samples[: count - before_end] = samples[before_end:count]
        self._put += count
        return count

    def take(self, block: NDArray[np.int16]) -> int:
        """Moves as many samples as there are to the start of the block; returns how many."""
        count = self.peek(block)
        self._taken += count
        return count

    def peek(self, block: NDArray[np.int16]) -> int:
        """Copies as many samples as there are to the start of the block; returns how many."""
        count = min(len(block), len(self))
        start = self._taken % self.capacity
        before_end = min(count, self.capacity - start)
        block[:before_end] = self._samples[start : start + before_end]
        block[before_end:count] = self._samples[: count - before_end]
        return count


def seconds_to_buffer(speed: float, total_seconds: float | None) -> float:
    """Returns how much audio to buffer before playing starts, so that there are no gaps.

    After b seconds of a clip of T seconds, the rest takes (T - b) / speed to generate. It must be ready before T
    seconds have been played, so b >= T (1 - speed).

    Args:
        speed: seconds of audio per second.
        total_seconds: length of the clip; None for no end, where a slow engine has gaps sooner or later.

    >>> seconds_to_buffer(2.0, 60.0)
    0.25
    >>> seconds_to_buffer(0.5, 60.0)
    33.25
    """
    total = ENDLESS_SECONDS if total_seconds is None else total_seconds
    return min(total, RESERVE_SECONDS + max(0.0, 1.0 - MARGIN * speed) * total)


class Player:
    """Plays chunks in the order in which they are fed, once enough of them are buffered.

    All methods are for the thread that generates; the device takes from the buffer in its own thread. Where samples are
    not ready in time, the device gets silence, which is counted; no sample is skipped or repeated.

    Attributes:
        gaps: how often the buffer ran empty.
        silent_samples: samples of silence in those gaps, at the rate of the output.
        late_blocks: how often the device reported that it had to wait.
        lost: why playing ended early, or None.
    """

    def __init__(self, open_output: OpenOutput, sample_rate: int, num_samples: int | None) -> None:
        """Opens the output.

        Args:
            open_output: opens the output.
            sample_rate: in Hz.
            num_samples: of the whole clip; None for no end.

        Raises:
            NoSoundError: it cannot be opened.
        """
        self.gaps = 0
        self.silent_samples = 0
        self.late_blocks = 0
        self.lost: str | None = None
        self._total_seconds = None if num_samples is None else num_samples / sample_rate
        self._waiting: list[NDArray[np.int16]] = []
        self._buffer: RingBuffer | None = None
        self._ended = False
        self._dry = False
        self._blocks = 0
        self._output = open_output(sample_rate, self._fill)
        self._sample_rate = self._output.sample_rate
        self._convert = _converter(sample_rate, self._sample_rate)

    @property
    def playing(self) -> bool:
        """Whether playing has started."""
        return self._buffer is not None

    @property
    def bounded(self) -> bool:
        """Whether the clip has an end."""
        return self._total_seconds is not None

    @property
    def buffered_seconds(self) -> float:
        """Seconds of audio that were fed and not yet taken."""
        waiting = sum(map(len, self._waiting)) if self._buffer is None else len(self._buffer)
        return waiting / self._sample_rate

    @property
    def silent_seconds(self) -> float:
        """Seconds of silence in the gaps."""
        return self.silent_samples / self._sample_rate

    @property
    def fill_level(self) -> float:
        """The filled share of the buffer, from 0 to 1."""
        return 0.0 if self._buffer is None else len(self._buffer) / self._buffer.capacity

    def level(self) -> float:
        """Returns the greatest magnitude, from 0 to 1, of the next 0.05 s to be played."""
        block = np.zeros(max(1, round(_LEVEL_SECONDS * self._sample_rate)), dtype=np.int16)
        if self._buffer is not None:
            self._buffer.peek(block)
        return float(np.abs(block.astype(np.int32)).max()) / 32768

    def seconds_until_sound(self, speed: float) -> float:
        """Returns the seconds until playing starts, with an engine of this speed."""
        missing = seconds_to_buffer(speed, self._total_seconds) - self.buffered_seconds
        return 0.0 if self.playing else max(0.0, missing) / speed

    def feed(self, samples: NDArray[np.int16], speed: float | None, on_wait: Callable[[], None] | None = None) -> None:
        """Takes the next samples; waits while the buffer is full.

        Args:
            samples: of any number.
            speed: seconds of audio per second; None if unknown yet.
            on_wait: called repeatedly while it waits.
        """
        self._pass_on(self._convert(samples, False), speed, on_wait)

    def finish(self, on_wait: Callable[[], None] | None = None) -> None:
        """Waits until all samples have been played, and closes the output."""
        self._pass_on(self._convert(np.zeros(0, dtype=np.int16), True), None, on_wait)
        if self._buffer is None and self.buffered_seconds and self.lost is None:
            self._begin()
        self._ended = True
        if (buffer := self._buffer) is not None:
            self._wait_while(lambda: len(buffer) > 0, on_wait)
            if self.lost is None:
                time.sleep(self._output.latency)
        self._output.close(play_out=self.lost is None)

    def stop(self) -> None:
        """Stops playing at once and closes the output."""
        self._ended = True
        self._output.close(play_out=False)

    def _pass_on(self, samples: NDArray[np.int16], speed: float | None, on_wait: Callable[[], None] | None) -> None:
        if self.lost is not None:
            return
        if self._buffer is None:
            self._waiting.append(samples)
            if speed is not None and self.buffered_seconds >= seconds_to_buffer(speed, self._total_seconds):
                self._begin()
            return
        buffer = self._buffer
        while len(samples) and self.lost is None:
            samples = samples[buffer.put(samples) :]
            if len(samples):
                self._wait_while(lambda: len(buffer) == buffer.capacity, on_wait)

    def _begin(self) -> None:
        lead_in = np.zeros(round(LEAD_IN_SECONDS * self._sample_rate), dtype=np.int16)
        samples = np.concatenate([lead_in, *self._waiting])
        buffer = RingBuffer(len(samples) + round(AHEAD_SECONDS * self._sample_rate))
        buffer.put(samples)
        self._waiting.clear()
        self._buffer = buffer
        try:
            self._output.start()
        except NoSoundError as error:
            self.lost = str(error)

    def _fill(self, block: NDArray[np.int16], late: bool) -> None:
        """Fills a block for the device, in the device's thread: only copies and counts."""
        taken = 0 if self._buffer is None else self._buffer.take(block)
        block[taken:] = 0
        dry = taken < len(block) and not self._ended
        if dry:
            self.silent_samples += len(block) - taken
            self.gaps += not self._dry
        self._dry = dry
        self.late_blocks += late and not self._ended
        self._blocks += 1

    def _wait_while(self, waiting: Callable[[], bool], on_wait: Callable[[], None] | None) -> None:
        """Waits until the device takes samples or is lost."""
        blocks, since = self._blocks, time.monotonic()
        while self.lost is None and waiting():
            time.sleep(_POLL_SECONDS)
            if on_wait is not None:
                on_wait()
            if self._blocks != blocks:
                blocks, since = self._blocks, time.monotonic()
            elif not self._output.running() or time.monotonic() - since > PATIENCE_SECONDS:
                self.lost = "the sound device stopped responding"


def _converter(rate: int, output_rate: int) -> Convert:
    """Returns a function that resamples consecutive samples."""
    if rate == output_rate:
        return lambda samples, _last: samples
    import soxr

    resampler = soxr.ResampleStream(rate, output_rate, 1, dtype="int16")
    return lambda samples, last: resampler.resample_chunk(samples, last=last)
