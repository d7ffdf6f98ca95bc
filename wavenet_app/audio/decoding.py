"""Decode sound files of any container and codec in one forward pass, to the end of the file, in constant memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from wavenet_app.audio.announced import mp3_frames, wav_frames
from wavenet_app.audio.files import printable
from wavenet_app.audio.ogg import OggLink, ogg_links
from wavenet_app.core.errors import UserError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

AUDIO_SUFFIXES: frozenset[str] = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf"}
    | {".w64", ".rf64", ".m4a", ".m4b", ".aac", ".wma", ".amr", ".ape", ".wv", ".tta", ".ac3", ".eac3", ".dsf", ".mp2"}
    | {".spx", ".mka", ".mkv", ".webm", ".mp4", ".mov"}
)
# Encrypted audio: a folder scan still names these files, rather than counting them as no audio.
UNDECODABLE_SUFFIXES: frozenset[str] = frozenset({".m4p", ".aax"})

BLOCK_FRAMES = 8192
# Only these may be detected: others, such as playlists, would open other files or addresses.
_FORMATS = "wav,flac,ogg,mp3,aiff,au,caf,w64,mov,asf,aac,matroska,ac3,eac3,amr,ape,wv,tta,dsf"
_NAMES = {"matroska,webm": "MATROSKA", "mov,mp4,m4a,3gp,3g2,mj2": "MP4"}
_EXACT_CODECS = ("pcm_", "flac")  # whose headers and time stamps count every sample
# The headers of these formats say how long the file is; those of the others say nothing, or are estimates.
_ANNOUNCING = {"flac", "aiff", "au", "mov,mp4,m4a,3gp,3g2,mj2"}
_TOLERATED_SECONDS = 0.1  # the length in a lossy file's header is off by the encoder's padding; that is no damage
# Outside of these, in Hz, a header is nonsense, and resampling would fill the disk.
_LEAST_RATE, _GREATEST_RATE = 500, 1_000_000

Samples = NDArray[np.float32]


class UnreadableAudioError(UserError):
    """A file that gives no usable audio.

    Attributes:
        path: the file.
        reason: why, in a few words that fit behind the file's name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{printable(str(path))}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file's header says.

    Attributes:
        sample_rate: in Hz.
        channels: count.
        frames: samples of one channel, which may be an estimate; 0 where the header does not say.
        subtype: sample format or codec, such as PCM_16 or VORBIS.
        format: container, such as WAV.
    """

    sample_rate: int
    channels: int
    frames: int
    subtype: str
    format: str


def probe(path: Path) -> AudioInfo:
    """Returns what the file's header says, without decoding the file.

    Raises:
        UnreadableAudioError: the file cannot be opened or is not audio.
    """
    with SoundReader(path) as reader:
        return reader.info


def readable_status(path: Path) -> os.stat_result:
    """Returns the file's status, once it is sure that the file can be opened and holds at least a byte.

    Raises:
        UnreadableAudioError: it cannot.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise UnreadableAudioError(path, "not a regular file")
        with path.open("rb"):
            pass
    except OSError as error:
        raise UnreadableAudioError(path, (error.strerror or str(error)).lower()) from None
    if not status.st_size:
        raise UnreadableAudioError(path, "the file is empty (0 bytes)")
    return status


class SoundReader:
    """One forward pass through a sound file; a context manager.

    Decoding never seeks: a seek resets a lossy decoder, which is audible as a click.

    Attributes:
        path: the file; its content, not its suffix, says the format.
        info: what the header says.
        frames: samples of one channel read so far.
        damage: after the last block, what is wrong with the file, as the end of a sentence about it; empty for a whole
            file.
        remark: after the last block, by how much the header is wrong about the length, likewise; empty where it is not.

    Raises:
        UnreadableAudioError: the file cannot be opened or is not audio.
    """

    def __init__(self, path: Path) -> None:
        readable_status(path)
        self.path = path
        self.frames = 0
        self.damage = self.remark = ""
        self._failures = self._lost = 0
        self._first_failure = ""
        self._cut = False
        self._end = OggLink(0, None, None)
        try:
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise UnreadableAudioError(path, (error.strerror or str(error)).lower()) from None
        try:
            with self._opened(_Part(self._file)) as (container, stream):
                self.info = _info(container, stream)
                self._format, self._codec = container.format.name, stream.codec_context.name
                self._announced = self._announced_frames(stream)
            if not _LEAST_RATE <= self.info.sample_rate <= _GREATEST_RATE:
                raise UnreadableAudioError(path, f"its header says {self.info.sample_rate} Hz")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SoundReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Samples]:
        """Yields all samples in order, in blocks of shape (frames, channels); only the last one may be shorter.

        Integer formats are scaled to [-1, 1); float formats are taken as they are. What cannot be decoded is left out.
        To be called once.

        Raises:
            UnreadableAudioError: nothing can be read, or there are NaN or infinite samples.
        """
        alike = _alike(self._decoded(), self.info.sample_rate, self.info.channels)
        for block in _regrouped(alike, frames):
            finite = np.isfinite(block)
            if not finite.all():
                seconds = (self.frames + int(np.argmin(finite.all(axis=1)))) / self.info.sample_rate
                raise UnreadableAudioError(self.path, f"holds NaN or infinite samples, the first at {seconds:.3f} s")
            self.frames += len(block)
            yield block
        self._judge()

    def _decoded(self) -> Iterator[tuple[Samples, int]]:
        """Yields what each decoded frame holds, (samples, channels), and its sample rate."""
        import av

        links = ogg_links(self._file) if self._format == "ogg" else [OggLink(0, None, None)]
        self._end = links[-1]
        for start, stop, granules, *_ in links:
            part = _Part(self._file, start, stop)
            try:
                with self._opened(part) as (container, stream):
                    if granules is None or stream.codec_context.name != "vorbis":
                        yield from self._frames_of(container, stream)
                    else:
                        # ffmpeg trims the end of such a stream wrongly, so all of the trimming is done here
                        stream.codec_context.options = {"flags2": "+skip_manual"}
                        frames = self._frames_of(container, stream)
                        next(frames, None)  # the first block only prepares the next: Vorbis I, section 4.3.8
                        yield from _first(granules, frames)
            except UnreadableAudioError as error:  # a later link of a chain; the first one was opened before
                self._fail(error.reason)
            except (av.error.FFmpegError, OSError) as error:
                self._fail(_reason(error))
            if part.failure is not None:
                self._fail(_reason(part.failure))

    def _frames_of(self, container: InputContainer, stream: AudioStream) -> Iterator[tuple[Samples, int]]:
        import av

        first: AudioFrame | None = None
        last: AudioFrame | None = None
        held: tuple[Samples, int] | None = None  # the last frame may end in padding
        count = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                decoded = packet.decode()
            except (av.error.FFmpegError, OSError) as error:
                self._fail(_reason(error))
                continue
            self._cut = packet.is_corrupt if packet.size else self._cut
            for frame in decoded:
                assert isinstance(frame, av.AudioFrame)
                if frame.samples:
                    first, last = first or frame, frame
                    count += frame.samples
                    if held is not None:
                        yield held
                    held = _samples(frame), frame.sample_rate
        if held is not None:
            samples, rate = held
            yield samples[: len(samples) - self._padding(count, len(samples))], rate
        if first is not None and last is not None:
            span = _span(first, last)
            if self._format == "ogg":  # a lost page moves no time stamp, but the last page counts all samples
                span = max(span, _duration(stream))
            self._lost += max(0, span - count)

    def _padding(self, count: int, frame: int) -> int:
        """Returns how many samples at the end of an MP4 are the encoder's padding, which its edit list leaves out."""
        surplus = count - (self._announced or count)
        return surplus if self._format.startswith("mov") and 0 < surplus < frame else 0

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._first_failure = self._first_failure or reason

    def _judge(self) -> None:
        """Says what is wrong with the file, after the last block.

        Raises:
            UnreadableAudioError: nothing could be read.
        """
        rate, promised = self.info.sample_rate, self._announced
        if not self.frames:
            reason = f"is damaged ({self._first_failure})" if self._failures else "holds no samples"
            raise UnreadableAudioError(self.path, reason)
        exact = self._codec.startswith(_EXACT_CODECS)
        tolerated = 0 if exact else round(_TOLERATED_SECONDS * rate)
        missing = 0 if promised is None else promised - self.frames
        inside = self._lost if not self._codec.startswith("pcm_") and self._lost > tolerated else 0
        # The first frame of an MP3 that was joined to another is no audio, and nothing is lost with it.
        harmless = self._format == "mp3" and promised is not None and missing <= tolerated
        read = f"{self.frames / rate:.2f} s"
        if (self._failures and not harmless) or inside:
            reason = f" ({self._first_failure})" if self._failures else ""
            whole = max(promised or 0, self.frames + inside)
            of_whole = f"only {read} of {whole / rate:.2f} s" if whole > self.frames else read
            self.damage = f"is damaged{reason}; {of_whole} could be read"
        elif promised is not None and missing > tolerated:
            self.damage = f"is cut short; only the first {read} of {promised / rate:.2f} s were read"
        elif (self._cut and self._format in {"caf", "w64"}) or self._end.is_cut:
            self.damage = f"is cut short; only the first {read} were read"
        elif promised is not None and -missing > max(tolerated, round(_TOLERATED_SECONDS * rate)):
            self.remark = (
                f"goes on after the end that its header announces; {read} were read, the header says "
                f"{promised / rate:.2f} s"
            )
        elif not self._end.is_marked:
            self.remark = f"ends without the mark that ends a whole file, as where it was cut off; {read} were read"

    def _announced_frames(self, stream: AudioStream) -> int | None:
        if self._format == "wav":
            return wav_frames(self._file)
        if self._format == "mp3":
            return mp3_frames(self._file, self.info.sample_rate)
        return self.info.frames if self._format in _ANNOUNCING and stream.duration else None

    @contextmanager
    def _opened(self, part: _Part) -> Iterator[tuple[InputContainer, AudioStream]]:
        import av

        options = {"format_whitelist": _FORMATS}
        try:
            # A file object rather than a name: ffmpeg takes some names for addresses or patterns.
            container = av.open(part, mode="r", metadata_errors="ignore", options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise UnreadableAudioError(self.path, _unreadable_reason(self.path, part.failure or error)) from None
        with container:
            if not container.streams.audio:
                raise UnreadableAudioError(self.path, "holds no audio")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise UnreadableAudioError(self.path, "its codec cannot be decoded; convert it to WAV or FLAC")
            stream.codec_context.thread_count = 1  # files are decoded side by side instead
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
            yield container, stream


class _Part:
    """Bytes start to stop of an open file, as a file of their own.

    Nothing is raised to ffmpeg, which may print it with a traceback.

    Attributes:
        failure: why the disk did not give some bytes, or None; it is read as the end of the file.
    """

    def __init__(self, file: IO[bytes], start: int = 0, stop: int | None = None) -> None:
        self.failure: OSError | None = None
        self._file, self._start = file, start
        self._stop = file.seek(0, os.SEEK_END) if stop is None else stop
        self._position = start

    def read(self, size: int) -> bytes:
        if not self._start <= self._position < self._stop:  # no system seeks to all places that a header can name
            return b""
        try:
            self._file.seek(self._position)
            data = self._file.read(min(size, self._stop - self._position))
        except OSError as error:
            self.failure = self.failure or error
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._position, os.SEEK_END: self._stop}[whence]
        self._position = base + offset
        return self.tell()

    def tell(self) -> int:
        return self._position - self._start


def _info(container: InputContainer, stream: AudioStream) -> AudioInfo:
    context = stream.codec_context
    sample_format = context.format.name.rstrip("p") if context.format else ""
    name = container.format.name
    return AudioInfo(
        sample_rate=context.sample_rate,
        channels=context.channels,
        frames=_duration(stream),
        subtype=_subtype(context.name, sample_format),
        format=_NAMES.get(name, name.upper()),
    )


def _duration(stream: AudioStream) -> int:
    """Returns the samples of one channel that ffmpeg expects, 0 where it cannot say."""
    if stream.duration is None or stream.time_base is None:
        return 0
    return round(stream.duration * stream.time_base * stream.codec_context.sample_rate)


def _subtype(codec: str, sample_format: str) -> str:
    """Returns the name of a sample format or codec.

    >>> [_subtype(*pair) for pair in (("pcm_s24le", "s32"), ("flac", "s16"), ("pcm_f32le", "flt"), ("mp3float", ""))]
    ['PCM_24', 'PCM_16', 'FLOAT', 'MP3']
    """
    if codec in {"flac", "alac"}:
        return {"s16": "PCM_16", "s32": "PCM_24"}.get(sample_format, codec.upper())
    if codec.startswith("pcm_"):
        kind = codec.removeprefix("pcm_").removesuffix("le").removesuffix("be")
        plain = {"f32": "FLOAT", "f64": "DOUBLE", "alaw": "ALAW", "mulaw": "ULAW", "u8": "PCM_U8", "s8": "PCM_S8"}
        return plain.get(kind, f"PCM_{kind[1:]}")
    return {"mp3float": "MP3", "mp2float": "MP2"}.get(codec, codec.upper())


def _samples(frame: AudioFrame) -> Samples:
    """Returns a frame's samples, (samples, channels)."""
    array: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    kind = frame.format.name.rstrip("p")
    if kind == "u8":
        scaled = (array.astype(np.float32) - np.float32(128)) / np.float32(128)
    elif kind == "s16":
        scaled = array.astype(np.float32) / np.float32(2**15)
    elif kind in {"s32", "s64"}:
        scaled = (array.astype(np.float64) / 2.0 ** (int(kind[1:]) - 1)).astype(np.float32)
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is named where it is read
            scaled = array.astype(np.float32)
    return scaled.T


def _first(count: int, pieces: Iterable[tuple[Samples, int]]) -> Iterator[tuple[Samples, int]]:
    """Yields the first `count` samples of the pieces."""
    for piece, rate in pieces:
        yield piece[:count], rate
        count -= min(count, len(piece))


def _span(first: AudioFrame, last: AudioFrame) -> int:
    """Returns the samples between the beginning of one frame and the end of another, by their time stamps."""
    if first.pts is None or last.pts is None or last.time_base is None:
        return 0
    return round((last.pts - first.pts) * last.time_base * last.sample_rate) + last.samples


def _alike(pieces: Iterable[tuple[Samples, int]], sample_rate: int, channels: int) -> Iterator[Samples]:
    """Yields pieces at one sample rate and channel count; files joined to one may differ in both."""
    resampler: soxr.ResampleStream | None = None
    current = sample_rate
    for piece, rate in pieces:
        if piece.shape[1] != channels:
            piece = np.repeat(piece.mean(axis=1, keepdims=True), channels, axis=1)
        if rate != current:
            if resampler is not None:
                yield _flushed(resampler, channels)
            current = rate
            resampler = None if rate == sample_rate else _resampler(rate, sample_rate, channels)
        yield piece if resampler is None else resampler.resample_chunk(piece).reshape(-1, channels)
    if resampler is not None:
        yield _flushed(resampler, channels)


def _resampler(rate: int, sample_rate: int, channels: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(rate, sample_rate, channels, dtype="float32")


def _flushed(resampler: soxr.ResampleStream, channels: int) -> Samples:
    rest: Samples = resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)
    return rest.reshape(-1, channels)


def _regrouped(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    """Yields pieces joined and cut to `size` rows each, the last one to what is left."""
    waiting: list[Samples] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count < size:
            continue
        joined = np.concatenate(waiting)
        whole = count // size * size
        for start in range(0, whole, size):
            yield joined[start : start + size]
        waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)


def _unreadable_reason(path: Path, error: Exception) -> str:
    suffix = path.suffix.lower()
    if suffix in UNDECODABLE_SUFFIXES:
        return f"{suffix} is encrypted and cannot be decoded; convert it to WAV or FLAC"
    if suffix in {".raw", ".pcm"}:
        return "raw samples without a header; convert it to WAV or FLAC"
    return f"not audio that can be decoded ({_reason(error)})"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
