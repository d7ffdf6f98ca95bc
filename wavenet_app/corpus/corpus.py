"""A folder of audio as clips: found, decoded once, trimmed, split by file and levelled; or the built-in corpus."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.decoding import AUDIO_SUFFIXES, UnreadableAudioError, probe
from wavenet_app.audio.files import printable
from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus import plucked
from wavenet_app.corpus.cache import AudioCache, CachedAudio, Progress
from wavenet_app.corpus.levels import GREATEST_PEAK, judge_levels, robust_peak
from wavenet_app.corpus.sources import resolve_sources, scan_sources
from wavenet_app.corpus.speakers import NoSpeakerError, speaker_rule
from wavenet_app.corpus.split import split_files, takes_apart

__all__ = [
    "Clip",
    "Corpus",
    "SkippedFile",
    "open_clips",
    "open_corpus",
    "resolve_sources",
    "robust_peak",
    "split_record",
]

GREATEST_AUTO_RATE = 16_000
TARGET_PEAK = 0.9


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of one file, with its silent ends cut.

    Attributes:
        name: posix path relative to the folder that was given; says on which side of the split the clip is.
        path: the source; the cached file for the built-in corpus.
        cached: memory-mapped int16 samples at the corpus's rate.
        start: first sample of the clip in `cached`.
        stop: one past its last.
        scale: int16 -> waveform, before the corpus's gain.
        peak: greatest magnitude of the whole file's waveform, before the gain.
        native_rate: the source's own sample rate, in Hz.
        speaker: who speaks; None where nobody asked.
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

    @property
    def num_samples(self) -> int:
        """Length at the corpus's rate."""
        return self.stop - self.start


@dataclass(frozen=True)
class SkippedFile:
    """A file that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """Clips at one sample rate and one gain, split into training and validation.

    Attributes:
        sample_rate: in Hz.
        gain: factor on every waveform.
        training: clips to learn from.
        validation: clips held out; no file is on both sides unless there is only one file.
        skipped: files that were left out.
        remarks: sentences that the user should see once.
    """

    sample_rate: int
    gain: float
    training: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    skipped: tuple[SkippedFile, ...]
    remarks: tuple[str, ...]

    def waveform(self, clip: Clip, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Returns samples start to stop of a clip, gain applied, clipped to [-1, 1], shape (stop - start,).

        Only that part of the file is read.

        Args:
            clip: one of this corpus.
            start: counted from the clip's own first sample.
            stop: one past the last sample; None for the clip's end. Both are held to the clip.
        """
        start = min(max(start, 0), clip.num_samples)
        stop = clip.num_samples if stop is None else min(max(stop, start), clip.num_samples)
        stored = np.load(clip.cached, mmap_mode="r")[clip.start + start : clip.start + stop]
        return np.clip(stored * np.float32(clip.scale * self.gain), np.float32(-1), np.float32(1))

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of all speakers, sorted."""
        return tuple(sorted({clip.speaker for clip in self.training + self.validation if clip.speaker is not None}))

    @property
    def training_seconds(self) -> dict[str, float]:
        """How much there is of each speaker to learn from, in seconds."""
        samples = dict.fromkeys(self.speakers, 0)
        for clip in self.training:
            if clip.speaker is not None:
                samples[clip.speaker] += clip.num_samples
        return {speaker: count / self.sample_rate for speaker, count in samples.items()}

    def duration(self, clips: Iterable[Clip]) -> float:
        """Returns the length of the clips together, in seconds."""
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
    """Opens folders and files of audio as one corpus; decodes what the cache does not hold yet.

    Args:
        paths: folders and files; empty for the built-in corpus.
        audio: `trim_decibels` is used; rate and gain come from the arguments below.
        split: `validation_fraction`, `split_by` and `speakers` are used.
        cache_dir: where decoded audio is kept.
        sample_rate: in Hz; None for the rate most files have, at most 16,000 (8,000 for the built-in corpus).
        gain: None to fix it from the training split, so that its robust peak comes to 0.9.
        progress: called after each decoded file with (done, total, file name).

    Raises:
        UserError: a path does not exist, there is no usable audio, or the cache cannot be written.
    """
    skipped: list[SkippedFile] = []
    remarks: list[str] = []
    if paths:
        files, rate = _open_files(paths, cache_dir, sample_rate, split.speakers, skipped, remarks, progress)
    elif split.speakers:
        raise UserError("the built-in corpus has no speakers; leave --speakers out, or give a folder of recordings")
    else:
        rate = sample_rate or plucked.SAMPLE_RATE
        files = _open_plucked(AudioCache(cache_dir, rate))
    clips = [_clip(file, audio.trim_decibels) for file in files]

    if len(clips) == 1:
        first, last = _cut_in_two(clips[0], rate, split.validation_fraction, remarks)
        training, validation, levelled = [first], [last], [(files[0], first)]
    else:
        keys = [file.key for file in files]
        if len(set(keys)) == 1:  # each folder holds one file of the same name
            keys = [file.name for file in files]
        sides = split_files(keys, split.validation_fraction, split.split_by)
        remarks += sides.remarks
        apart = takes_apart(keys, sides) if split.split_by is None else None
        remarks += [apart] if apart else []
        training, validation = ([clips[index] for index in side] for side in (sides.training, sides.validation))
        levelled = [(files[index], clips[index]) for index in sides.training]
    if gain is None:
        peaks = [peak for file, clip in levelled for peak in file.audio.peaks_between(clip.start, clip.stop)]
        gain = TARGET_PEAK / robust_peak(peaks)
    remarks += _unheard({clip.speaker for clip in validation} - {clip.speaker for clip in training})
    return Corpus(rate, gain, tuple(training), tuple(validation), tuple(skipped), tuple(remarks))


def open_clips(
    paths: Sequence[Path],
    *,
    audio: AudioConfig,
    cache_dir: Path,
    speakers: str | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Opens folders and files of audio that are only to be measured: every file is a validation clip, none is split.

    Args:
        paths: folders and files, at least one.
        audio: rate, gain and trimming of the run that the clips are measured for.
        cache_dir: where decoded audio is kept.
        speakers: the rule by which a file's speaker is found; files for which it finds none are left out. None where
            nobody asks.
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
    """Returns what a run records of its corpus, as plain values: names on each side, what was left out, rate, gain.

    With speakers, also how many seconds there are of each to learn from.
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
    name: str  # tells the file from every other of the corpus
    key: str  # decides its side of the split; the name, unless two folders hold files of the same name
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
        places = ", ".join(str(path) for path in paths)
        found = sources.remark or (skipped[0].reason if skipped else "there are no files")
        raise UserError(f"no audio in {places}: {found}; wanted are {' '.join(sorted(AUDIO_SUFFIXES))}")
    names, keys = _names(sources.files)
    found_paths = [path for _, path in sources.files]
    told = _speakers(names, keys, speakers, skipped)
    kept = [index for index, speaker in enumerate(told) if speaker is not None or speakers is None]
    if not kept:
        raise UserError(_nothing_left(skipped))
    names, keys = [names[index] for index in kept], [keys[index] for index in kept]
    found_paths, told = [found_paths[index] for index in kept], [told[index] for index in kept]
    rate = sample_rate or _auto_rate(found_paths)

    files: list[_File] = []
    first_names: dict[str, str] = {}
    for name, key, path, speaker, outcome in zip(
        names, keys, found_paths, told, AudioCache(cache_dir, rate).decode_all(found_paths, progress), strict=True
    ):
        if isinstance(outcome, UnreadableAudioError):
            skipped.append(SkippedFile(name, outcome.reason))
        elif not outcome.peak:
            skipped.append(SkippedFile(name, "holds nothing but digital silence"))
        elif outcome.key in first_names:
            # A copy on the other side of the split would be a file that the model has seen.
            skipped.append(SkippedFile(name, f"a copy of {first_names[outcome.key]}, byte for byte"))
        else:
            first_names[outcome.key] = name
            files.append(_File(name, key, path, outcome, speaker))
            if outcome.remark:
                remarks.append(f"{name} {outcome.remark}")
    files = _at_one_scale(files, usual_peak, skipped, remarks)
    if not files:
        raise UserError(_nothing_left(skipped))
    if any(file.audio.native_rate != rate for file in files):
        rates = Counter(file.audio.native_rate for file in files).most_common()
        listed = ", ".join(f"{native:,} Hz ({count})" for native, count in rates)
        remarks.append(f"sample rates of the files: {listed}; all are resampled to {rate:,} Hz")
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
    return Clip(file.name, file.path, audio.path, start, stop, audio.scale, audio.peak, audio.native_rate, file.speaker)


def _speakers(
    names: Sequence[str], keys: Sequence[str], rule: str | None, skipped: list[SkippedFile]
) -> list[str | None]:
    """Returns the speaker of each file, None for those that are left out for want of one."""
    if rule is None:
        return [None] * len(names)
    speaker_of = speaker_rule(rule)
    found: list[str | None] = []
    for name, key in zip(names, keys, strict=True):
        try:
            found.append(speaker_of(key))
        except NoSpeakerError as error:
            skipped.append(SkippedFile(name, str(error)))
            found.append(None)
    return found


def _unheard(speakers: set[str | None]) -> list[str]:
    listed = sorted(speaker for speaker in speakers if speaker is not None)
    if not listed:
        return []
    return [f"nothing to train on of {', '.join(listed)}: every file of theirs fell to validation by its hash"]


def _cut_in_two(clip: Clip, sample_rate: int, fraction: float, remarks: list[str]) -> tuple[Clip, Clip]:
    """Returns the only file's training part and its held-out end."""
    if clip.num_samples < 2:
        raise UserError(f"{clip.path} is the only file and holds a single sample; give more audio")
    held_out = min(clip.num_samples - 1, max(1, round(clip.num_samples * fraction)))
    border = clip.stop - held_out
    remarks.append(f"there is only one file; its last {held_out / sample_rate:.2f} s are held out for validation")
    return replace(clip, stop=border), replace(clip, name=f"{clip.name} (end)", start=border)


def _auto_rate(paths: Sequence[Path]) -> int:
    """Returns the commonest native rate, the higher of equally common ones, at most `GREATEST_AUTO_RATE`."""

    def native_rate(path: Path) -> int | None:
        try:
            return probe(path).sample_rate
        except UnreadableAudioError:  # decoding comes upon it again and says so
            return None

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        rates = Counter(rate for rate in pool.map(native_rate, paths) if rate)
    commonest = max(rates, key=lambda rate: (rates[rate], rate), default=GREATEST_AUTO_RATE)
    return min(commonest, GREATEST_AUTO_RATE)


def _names(files: Sequence[tuple[Path, Path]]) -> tuple[list[str], list[str]]:
    """Returns each file's unique name and its path relative to the folder that was given."""
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


def _nothing_left(skipped: Sequence[SkippedFile]) -> str:
    # Details of one file stand behind a comma, a semicolon or a bracket; without them equal reasons are equal.
    reasons = Counter(re.split(r"[,;(]", file.reason)[0].strip() for file in skipped)
    reason, count = reasons.most_common(1)[0]
    example = next(file for file in skipped if file.reason.startswith(reason))
    if len(skipped) == 1:
        return f"the only audio file cannot be used: {example.name}: {example.reason}"
    return f"none of the {len(skipped)} audio files can be used; {count} of them: {reason} (for example {example.name})"
