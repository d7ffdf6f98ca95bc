"""Findings of the data doctor as plain lines: what is wrong, in how many files, and what to do."""

from __future__ import annotations

import math
from collections import Counter

from wavenet_app.core.terminal import number_of
from wavenet_app.inspection.facts import FileFacts
from wavenet_app.inspection.report import Report

STANDARD_RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
# A resampler's slope reaches a little above half the old rate, and the bandwidth is accurate to 1/128 of the new one.
SLOPE_TOLERANCE = 0.95
NARROW_SHARE = 0.8
MIN_OFFSET, OFFSET_SHARE = 1e-3, 0.1
LARGE_GAIN, SMALL_GAIN = 2.0, 0.5
FEW_MINUTES = 10
SHORT_SECONDS = 0.1
LARGE_SILENT_SHARE = 0.3


def sufficient_rate(file: FileFacts) -> int:
    """Returns the lowest standard sample rate, at most the file's own, that keeps all content of the file.

    Source: the sampling theorem (Shannon 1949): twice the bandwidth.
    """
    candidates = (rate for rate in STANDARD_RATES if rate >= 2 * SLOPE_TOLERANCE * file.bandwidth)
    return min(next(candidates, file.sample_rate), file.sample_rate)


def is_narrow(file: FileFacts) -> bool:
    """Says whether a clearly lower sample rate would keep all content of the file."""
    return sufficient_rate(file) <= NARROW_SHARE * file.sample_rate


def is_offset(file: FileFacts) -> bool:
    """Says whether the mean of the samples is large for their level; very short files never count."""
    return file.seconds >= SHORT_SECONDS and abs(file.offset) > max(MIN_OFFSET, OFFSET_SHARE * 10 ** (file.rms / 20))


def advise(report: Report) -> tuple[str, ...]:
    """Returns the findings that a user can act on, the most useful first."""
    findings = (
        _refusal(report),
        _unreadable(report),
        *_narrow(report),
        _cut_off(report),
        _rates(report),
        _gain(report),
        _clipping(report),
        _duplicates(report),
        _offset(report),
        _silence(report),
        _damage(report),
        _short(report),
        _channels(report),
        _amount(report),
    )
    return tuple(line for line in findings if line)


def _refusal(report: Report) -> str:
    return f"training would fail: {report.corpus_problem}" if report.corpus_problem else ""


def _unreadable(report: Report) -> str:
    count = len(report.unreadable)
    return f"{_files(count)} cannot be read and {_are(count)} skipped; the reasons are listed" if count else ""


def _narrow(report: Report) -> list[str]:
    """Returns one line for each pair of a sample rate and a sufficient rate."""
    total = len(report.files)
    narrow = set(report.narrow)
    pairs = Counter((file.sample_rate, sufficient_rate(file)) for file in report.files if file.path in narrow)
    return [
        f"{count} of {_files(total)} {_have(count)} no content above {sufficient / 2_000:g} kHz although the sample "
        f"rate is {rate / 1_000:g} kHz: train at --sample-rate {sufficient}"
        + (f", or remove {_them(count)}" if count < total / 2 else "")
        for (rate, sufficient), count in pairs.most_common()
    ]


def _cut_off(report: Report) -> str:
    """Returns a line on files with content above half the rate of the corpus; those that are narrow have a line."""
    if report.corpus is None:
        return ""
    rate, narrow = report.corpus.sample_rate, set(report.narrow)
    cut = [sufficient_rate(file) for file in report.files if math.isfinite(file.peak) and file.path not in narrow]
    cut = [sufficient for sufficient in cut if sufficient > rate]
    if not cut:
        return ""
    enough = max(cut)
    return (
        f"{_files(len(cut))} {_have(len(cut))} content above {rate / 2_000:g} kHz, which training at "
        f"{rate / 1_000:g} kHz leaves out: --sample-rate {enough} keeps it, and training and generation take "
        f"{enough / rate:.1f} times as long for each second of audio"
    )


def _rates(report: Report) -> str:
    # The remarks of an opened corpus already say this.
    if len(report.sample_rates) < 2 or report.corpus:
        return ""
    listed = ", ".join(f"{int(rate) / 1_000:g} kHz in {_files(count)}" for rate, count in report.sample_rates.items())
    return f"sample rates differ ({listed}): training resamples all files to one rate; choose it with --sample-rate"


def _gain(report: Report) -> str:
    if report.rms is None or report.corpus is None or SMALL_GAIN <= report.corpus.gain <= LARGE_GAIN:
        return ""
    loudness = "quiet" if report.corpus.gain > 1 else "loud"
    return (
        f"the audio is {loudness} (RMS {report.rms.median:.0f} dBFS, peaks {report.peak.median:.0f} dBFS): "
        f"the gain is set to x{report.corpus.gain:.2g} automatically"
        if report.peak
        else ""
    )


def _clipping(report: Report) -> str:
    count = len(report.clipped)
    if not count:
        return ""
    runs = sum(file.clipped_runs for file in report.files)
    return (
        f"{_files(count)} {_are(count)} clipped ({number_of(runs, 'flat run')}): the model also learns the distortion; "
        f"record at a lower level, or remove {_them(count)} ({_some(report.clipped)})"
    )


def _duplicates(report: Report) -> str:
    extra = sum(len(group.names) - 1 for group in report.duplicates)
    if not extra:
        return ""
    first = " = ".join(report.duplicates[0].names[:2])
    what = f"{_files(extra)} {'repeats' if extra == 1 else 'repeat'} the audio of another file ({first})"
    if all(group.same_bytes for group in report.duplicates):
        return f"{what}, byte for byte: training skips the copies, so you can leave them"
    return f"{what}: remove the copies, because a copy on each side of the split makes the held-out bits too low"


def _offset(report: Report) -> str:
    count = len(report.offset)
    if not count:
        return ""
    return (
        f"{_files(count)} {_have(count)} a constant (DC) offset: mu-law has its finest steps around zero, so "
        f"remove it with a high-pass at 20 Hz ({_some(report.offset)})"
    )


def _silence(report: Report) -> str:
    if report.silent:
        count = len(report.silent)
        return (
            f"{_files(count)} {'contains' if count == 1 else 'contain'} only digital silence ({_some(report.silent)})"
        )
    if report.silent_share < LARGE_SILENT_SHARE:
        return ""
    ends = report.leading_silence + report.trailing_silence
    return (
        f"{report.silent_share:.0%} of the audio is silence, {ends / 60:.1f} minutes of it at the ends of files: "
        "training trims the ends; shorten long pauses inside files yourself"
    )


def _damage(report: Report) -> str:
    count = len(report.damaged)
    return f"{_files(count)} {_are(count)} damaged; the readable part is used" if count else ""


def _short(report: Report) -> str:
    count = len(report.short)
    return (
        f"{_files(count)} {_are(count)} shorter than 0.1 s: mostly padding, so a model learns little" if count else ""
    )


def _channels(report: Report) -> str:
    count = sum(number for channels, number in report.channels.items() if channels != "1")
    return f"{_files(count)} {_have(count)} more than one channel: training takes their mean" if count else ""


def _amount(report: Report) -> str:
    minutes = 60 * report.hours
    if not 0 < minutes < FEW_MINUTES:
        return ""
    return (
        f"{minutes:.1f} minutes of audio is little, so a model overfits; 20 minutes of one voice or instrument are "
        "a good start"
    )


def _files(count: int) -> str:
    return number_of(count, "file")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if names[3:] else "")
