"""A folder of audio as clips: found, decoded once, trimmed, split by file and normalised; or the built-in corpus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.decoding import UnreadableAudioError, probe
from wavenet_app.audio.files import printable
from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.core.cores import usable_cores
from wavenet_app.core.errors import UserError
from wavenet_app.corpus import plucked
from wavenet_app.corpus.cache import AudioCache, CachedAudio, Progress
from wavenet_app.corpus.levels import GREATEST_PEAK, judge_levels, robust_peak
from wavenet_app.corpus.sources import no_audio_in, scan_sources
from wavenet_app.corpus.speaker_folders import level_remark
from wavenet_app.corpus.speaker_tables import NoSpeakerError
from wavenet_app.corpus.speakers import FOLDER_RULE, speaker_rule
from wavenet_app.corpus.split import split_files, takes_apart
from wavenet_app.corpus.stored_samples import read_samples

if TYPE_CHECKING:
    from wavenet_app.audio.mel import MelFrames

__all__ = [
    "Clip",
    "Corpus",
    "SkippedFile",
    "open_clips",
    "open_corpus",
    "robust_peak",
    "split_record",
]

MAX_AUTO_RATE = 16_000
TARGET_PEAK = 0.9


@dataclass(frozen=True, slots=True)
class Clip:
    """A part of one file, without its silent ends.

    Attributes:
        name: posix path relative to the given folder; decides the clip's side of the split.
        path: the source file; the cached file for the built-in corpus.
        cached: file of int16 samples at the corpus's rate, to be memory-mapped.
        start: first sample of the clip in `cached`.
        stop: one past the last sample.
        scale: factor from int16 to waveform, before the corpus's gain.
        peak: maximum magnitude of the waveform of the whole file, before the gain.
        native_rate: sample rate of the source, in Hz.
        speaker: name of the speaker; None for a corpus without speakers.
        checksums: of the blocks of `cached`, as `stored_samples` checks them.
    """

    name: str
    path: Path
    cached: Path
    start: int
    stop: int
    scale: float
    peak: float
    native_rate: int
    speaker: str | None = None
    checksums: bytes = b""

    @property
    def num_samples(self) -> int:
        """Number of samples at the corpus's rate."""
        return self.stop - self.start


@dataclass(frozen=True)
class SkippedFile:
    """A file that was skipped, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """Clips at one sample rate and one gain, split into training and validation.

    Attributes:
        sample_rate: in Hz.
        gain: factor on every waveform.
        training: clips to train on.
        validation: held-out clips; no file is on both sides unless there is only one file.
        skipped: files that were skipped.
        remarks: sentences to show to the user once.
        mel: frames of the model that the corpus is for, if their filter decides what its codes stand for; see
            `wavenet_app.corpus.coded`.
    """

    sample_rate: int
    gain: float
    training: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    skipped: tuple[SkippedFile, ...]
    remarks: tuple[str, ...]
    mel: MelFrames | None = None

    def waveform(self, clip: Clip, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Returns samples start to stop of a clip, gain applied, clipped to [-1, 1], shape (stop - start,).

        Only that part of the file is read.

        Args:
            clip: a clip of this corpus.
            start: first sample, counted from the start of the clip.
            stop: one past the last sample; None for the end of the clip. Both are clamped to the clip.

        Raises:
            UserError: the decoded audio has gone or is damaged.
        """
        start = min(max(start, 0), clip.num_samples)
        stop = clip.num_samples if stop is None else min(max(stop, start), clip.num_samples)
        stored = read_samples(clip.cached, clip.start + start, clip.start + stop, clip.checksums)
        return np.clip(stored * np.float32(clip.scale * self.gain), np.float32(-1), np.float32(1))

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of all speakers, sorted."""
        return tuple(sorted({clip.speaker for clip in self.training + self.validation if clip.speaker is not None}))

    @property
    def training_seconds(self) -> dict[str, float]:
        """Seconds of training audio of each speaker."""
        samples = dict.fromkeys(self.speakers, 0)
        for clip in self.training:
            if clip.speaker is not None:
                samples[clip.speaker] += clip.num_samples
        return {speaker: count / self.sample_rate for speaker, count in samples.items()}

    def duration(self, clips: Iterable[Clip]) -> float:
        """Returns the total length of clips, in seconds."""
        return sum(clip.num_samples for clip in clips) / self.sample_rate


def open_corpus(
    paths: Sequence[Path],
    *,
    audio: AudioConfig,
    split: CorpusConfig,
    cache_dir: Path,
    sample_rate: int | None,
    gain: float | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Opens folders and files of audio as one corpus; decodes files that are not in the cache yet.

    Args:
        paths: folders and files; empty for the built-in corpus.
        audio: only `trim_decibels` is used; rate and gain come from the arguments below.
        split: `validation_fraction`, `split_by` and `speakers` are used.
        cache_dir: folder for decoded audio.
        sample_rate: in Hz; None for the most common rate of the files, at most 16,000 (8,000 for the built-in corpus).
        gain: None to choose it from the training split, so that the robust peak becomes 0.9.
        progress: called after each decoded file with (done, total, file name).

    Raises:
        UserError: a path does not exist, there is no usable audio, or the cache cannot be written.
    """
    skipped: list[SkippedFile] = []
    remarks: list[str] = []
    if paths:
        files, rate = _open_files(paths, cache_dir, sample_rate, split.speakers, skipped, remarks, progress)
    elif split.speakers:
        raise UserError("the built-in corpus has no speakers; drop --speakers, or give a folder of recordings")
    else:
        rate = sample_rate or plucked.SAMPLE_RATE
        files = _open_plucked(AudioCache(cache_dir, rate))
    clips = [_clip(file, audio.trim_decibels) for file in files]

    if len(clips) == 1:
        first, last = _split_single_clip(clips[0], rate, split.validation_fraction, remarks)
        training, validation, sources = [first], [last], [(files[0], first)]
    else:
        keys = [file.key for file in files]
        if len(set(keys)) == 1:  # each folder holds a single file, all with the same name
            keys = [file.name for file in files]
        sides = split_files(keys, split.validation_fraction, split.split_by)
        remarks += sides.remarks
        apart = takes_apart(keys, sides) if split.split_by is None else None
        remarks += [apart] if apart else []
        training, validation = ([clips[index] for index in side] for side in (sides.training, sides.validation))
        sources = [(files[index], clips[index]) for index in sides.training]
    if gain is None:
        peaks = [peak for file, clip in sources for peak in file.audio.peaks_between(clip.start, clip.stop)]
        gain = TARGET_PEAK / robust_peak(peaks)
    remarks += _untrained_speakers({clip.speaker for clip in validation} - {clip.speaker for clip in training})
    return Corpus(rate, gain, tuple(training), tuple(validation), tuple(skipped), tuple(remarks))


def open_clips(
    paths: Sequence[Path],
    *,
    audio: AudioConfig,
    cache_dir: Path,
    speakers: str | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Opens folders and files of audio for evaluation only: every file becomes one validation clip.

    Args:
        paths: folders and files, at least one.
        audio: rate, gain and trimming of the run that is evaluated.
        cache_dir: folder for decoded audio.
        speakers: the rule that finds the speaker of a file; files without one are skipped. None for no speakers.
        progress: called after each decoded file with (done, total, file name).

    Raises:
        UserError: a path does not exist, there is no usable audio, or the cache cannot be written.
    """
    skipped: list[SkippedFile] = []
    remarks: list[str] = []
    files, rate = _open_files(
        paths, cache_dir, audio.sample_rate, speakers, skipped, remarks, progress, usual_peak=TARGET_PEAK / audio.gain
    )
    clips = tuple(_clip(file, audio.trim_decibels) for file in files)
    return Corpus(rate, audio.gain, (), clips, tuple(skipped), tuple(remarks))


def split_record(corpus: Corpus) -> dict[str, Any]:
    """Returns the record of a corpus as plain values: names on each side, skipped files, rate and gain.

    With speakers, also the seconds of training audio of each.
    """
    return {
        "sample_rate": corpus.sample_rate,
        "gain": corpus.gain,
        "training_seconds": corpus.duration(corpus.training),
        "validation_seconds": corpus.duration(corpus.validation),
        "training": [clip.name for clip in corpus.training],
        "validation": [clip.name for clip in corpus.validation],
        "skipped": [{"name": file.name, "reason": file.reason} for file in corpus.skipped],
        "remarks": list(corpus.remarks),
        **({"speakers": corpus.training_seconds} if corpus.speakers else {}),
    }


class _File(NamedTuple):
    name: str  # unique within the corpus
    key: str  # decides the side of the split; the name, unless two folders hold files of the same name
    path: Path
    audio: CachedAudio
    speaker: str | None = None


def _open_files(
    paths: Sequence[Path],
    cache_dir: Path,
    sample_rate: int | None,
    speakers: str | None,
    skipped: list[SkippedFile],
    remarks: list[str],
    progress: Progress | None,
    usual_peak: float | None = None,
) -> tuple[list[_File], int]:
    sources = scan_sources(paths)
    skipped += [SkippedFile(printable(folder.as_posix()), reason) for folder, reason in sources.unlisted]
    if sources.remark:
        remarks.append(sources.remark)
    if not sources.files:
        raise UserError(no_audio_in(paths, sources, skipped[0].reason if skipped else None))
    names, keys = _names(sources.files)
    found_paths = [path for _, path in sources.files]
    file_speakers = _speakers(names, keys, found_paths, speakers, skipped)
    remark = level_remark(keys) if speakers == FOLDER_RULE else None
    remarks += [remark] if remark else []
    kept = [index for index, speaker in enumerate(file_speakers) if speaker is not None or speakers is None]
    if not kept:
        raise UserError(_no_usable_files(skipped))
    names, keys = [names[index] for index in kept], [keys[index] for index in kept]
    found_paths = [found_paths[index] for index in kept]
    file_speakers = [file_speakers[index] for index in kept]
    rate = sample_rate or _auto_rate(found_paths)

    files: list[_File] = []
    first_names: dict[str, str] = {}
    for name, key, path, speaker, outcome in zip(
        names,
        keys,
        found_paths,
        file_speakers,
        AudioCache(cache_dir, rate).decode_all(found_paths, progress),
        strict=True,
    ):
        if isinstance(outcome, UnreadableAudioError):
            skipped.append(SkippedFile(name, outcome.reason))
        elif not outcome.peak:
            skipped.append(SkippedFile(name, "holds only digital silence"))
        elif outcome.key in first_names:
            # A copy on the other side of the split would leak training audio into validation.
            skipped.append(SkippedFile(name, f"a copy of {first_names[outcome.key]}, byte for byte"))
        else:
            first_names[outcome.key] = name
            files.append(_File(name, key, path, outcome, speaker))
            if outcome.remark:
                remarks.append(f"{name} {outcome.remark}")
    files = _at_one_scale(files, usual_peak, skipped, remarks)
    if not files:
        raise UserError(_no_usable_files(skipped))
    if any(file.audio.native_rate != rate for file in files):
        rates = Counter(file.audio.native_rate for file in files).most_common()
        listed = ", ".join(f"{native:,} Hz ({count})" for native, count in rates)
        remarks.append(f"sample rates of the files: {listed}; all are resampled to {rate:,} Hz")
        usual = max(rates, key=lambda pair: (pair[1], pair[0]))[0]
        if sample_rate is None and usual > rate:
            remarks[-1] += f", without what lies above {rate / 2_000:g} kHz; --sample-rate {usual} keeps it"
    return files, rate


def _at_one_scale(
    files: list[_File], usual_peak: float | None, skipped: list[SkippedFile], remarks: list[str]
) -> list[_File]:
    """Returns the files without those at an impossible level, and those in the scale of integers brought to [-1, 1]."""
    kept: list[_File] = []
    peaks = [robust_peak(file.audio.second_peaks) for file in files]
    for file, level in zip(files, judge_levels(peaks, usual_peak), strict=True):
        if level.reason:
            skipped.append(SkippedFile(file.name, level.reason))
            continue
        if level.remark:
            remarks.append(f"{file.name} {level.remark}")
        kept.append(file._replace(audio=file.audio.divided(level.bits)))
    if kept and min(file.audio.peak for file in kept) > GREATEST_PEAK:
        remarks.append("every file peaks far beyond full scale, which is 1.0; the gain makes up for that")
    return kept


def _open_plucked(cache: AudioCache) -> list[_File]:
    keys = [f"{plucked.SEED:02x}plucked{plucked.VERSION}-{index:03d}" for index in range(plucked.COUNT)]
    entries = [cache.load(key) for key in keys]
    clips = plucked.plucked_clips(cache.sample_rate) if None in entries else iter(())
    for index, (_, waveform) in enumerate(clips):
        entries[index] = cache.store(keys[index], [waveform], native_rate=cache.sample_rate, channels=1, remarks=[])
    names = [f"plucked/{index:03d}" for index in range(plucked.COUNT)]
    return [_File(name, name, entry.path, entry) for name, entry in zip(names, entries, strict=True) if entry]


def _clip(file: _File, trim_decibels: float) -> Clip:
    start, stop = file.audio.trimmed(trim_decibels)
    audio = file.audio
    return Clip(
        file.name,
        file.path,
        audio.path,
        start,
        stop,
        audio.scale,
        audio.peak,
        audio.native_rate,
        file.speaker,
        audio.checksums,
    )


def _speakers(
    names: Sequence[str],
    keys: Sequence[str],
    paths: Sequence[Path],
    rule: str | None,
    skipped: list[SkippedFile],
) -> list[str | None]:
    """Returns the speaker of each file, None for files without one, which are skipped."""
    if rule is None:
        return [None] * len(names)
    speaker_of = speaker_rule(rule, keys)
    found: list[str | None] = []
    for name, key, path in zip(names, keys, paths, strict=True):
        try:
            found.append(speaker_of(key, printable(path.absolute().as_posix())))
        except NoSpeakerError as error:
            skipped.append(SkippedFile(name, str(error)))
            found.append(None)
    return found


def _untrained_speakers(speakers: set[str | None]) -> list[str]:
    listed = sorted(speaker for speaker in speakers if speaker is not None)
    if not listed:
        return []
    return [f"no training audio of {', '.join(listed)}: the split holds out all their files"]


def _split_single_clip(clip: Clip, sample_rate: int, fraction: float, remarks: list[str]) -> tuple[Clip, Clip]:
    """Returns the training part and the held-out end of the only file."""
    if clip.num_samples < 2:
        raise UserError(f"{clip.path} is the only file and has a single sample; give more audio")
    held_out = min(clip.num_samples - 1, max(1, round(clip.num_samples * fraction)))
    border = clip.stop - held_out
    remarks.append(f"there is only one file: its last {held_out / sample_rate:.2f} s are held out for validation")
    return replace(clip, stop=border), replace(clip, name=f"{clip.name} (end)", start=border)


def _auto_rate(paths: Sequence[Path]) -> int:
    """Returns the most common native rate, the highest on a tie, at most `MAX_AUTO_RATE`."""

    def native_rate(path: Path) -> int | None:
        try:
            return probe(path).sample_rate
        except UnreadableAudioError:  # decoding fails again and reports it
            return None

    with ThreadPoolExecutor(max_workers=min(8, usable_cores())) as pool:
        rates = Counter(rate for rate in pool.map(native_rate, paths) if rate)
    most_common = max(rates, key=lambda rate: (rates[rate], rate), default=MAX_AUTO_RATE)
    return min(most_common, MAX_AUTO_RATE)


def _names(files: Sequence[tuple[Path, Path]]) -> tuple[list[str], list[str]]:
    """Returns the unique name of each file, and its path relative to the given folder."""
    keys = [printable(path.relative_to(root).as_posix()) for root, path in files]
    with_root = [printable(f"{root.absolute().name}/{key}") for key, (root, _) in zip(keys, files, strict=True)]
    names = [
        key if count == 1 else longer
        for key, longer, count in zip(keys, with_root, map(Counter(keys).__getitem__, keys), strict=True)
    ]
    counts = Counter(names)
    return [
        name if counts[name] == 1 else printable(path.absolute().as_posix())
        for name, (_, path) in zip(names, files, strict=True)
    ], keys


def _no_usable_files(skipped: Sequence[SkippedFile]) -> str:
    # Details of a single file follow a comma, a semicolon or a bracket; without them, equal reasons compare equal.
    reasons = Counter(re.split(r"[,;(]", file.reason)[0].strip() for file in skipped)
    reason, count = reasons.most_common(1)[0]
    example = next(file for file in skipped if file.reason.startswith(reason))
    if len(skipped) == 1:
        return f"the only audio file cannot be used: {example.name}: {example.reason}"
    return f"none of the {len(skipped)} audio files can be used; {count} of them: {reason} (for example {example.name})"
