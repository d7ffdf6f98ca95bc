"""Shows the report of the data doctor in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavenet_app.core.terminal import number_of
from wavenet_app.inspection.report import CorpusFacts, Problem, Report, Spread

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

MAX_ROWS = 50
_ONCE = 0.95  # what counts as all of the audio
_SMALLEST = 0.01


def render(report: Report) -> Group:
    """Returns the report for `rich.console.Console.print`: facts, skipped files and advice."""
    from rich.console import Group, RenderableType

    parts: list[RenderableType] = [_facts(report)]
    if report.unreadable:
        parts.append(_problems("skipped", report.unreadable))
    if report.damaged:
        parts.append(_problems("damaged, read in part", report.damaged))
    if report.remarks and report.corpus is None:  # the corpus repeats them
        parts.append(_problems("remarks", report.remarks))
    if report.corpus:
        unreadable = {problem.reason for problem in report.unreadable}
        skipped = tuple(problem for problem in report.corpus.skipped if problem.reason not in unreadable)
        if skipped:
            parts.append(_problems("skipped by training", skipped))
        parts.append(_bits(report.corpus))
    if report.seconds_per_epoch and all(report.seconds_per_epoch.values()):
        parts.append(_epochs(report.seconds_per_epoch))
        parts.append(_how_long(report.seconds_per_epoch))
    lines = report.advice or ("no problems found: ready to train",)
    # Text, not markup: file names may contain brackets.
    parts.extend(f"- {line}" for line in (*lines, *(report.corpus.remarks if report.corpus else ())))
    return Group(*parts)


def _facts(report: Report) -> Table:
    table = _table(", ".join(report.paths), "", "")
    files = f"{len(report.files):,} readable, {len(report.unreadable):,} not"
    others = sum(report.ignored.values())
    if others:
        listed = ", ".join(f"{suffix or 'no suffix'} {count:,}" for suffix, count in report.ignored.items())
        files += f"; {others:,} not audio ({listed})"
    rows = [
        ("files", files),
        ("audio", _duration(3600 * report.hours)),
        ("sample rates", _counts(report.sample_rates, " Hz")),
        ("channels", _counts(report.channels)),
        ("formats", _counts(report.formats)),
        ("peak", _spread(report.peak, "dBFS")),
        ("RMS", _spread(report.rms, "dBFS")),
        ("bandwidth", _spread(report.bandwidth, "Hz")),
        ("narrow files", f"{len(report.narrow):,}"),
        ("clipped files", f"{len(report.clipped):,}"),
        ("DC offset", number_of(len(report.offset), "file")),
        (
            "silence",
            f"{report.silent_share:.1%}; in all files together {report.leading_silence:.1f} s before and "
            f"{report.trailing_silence:.1f} s after the sound",
        ),
        ("shorter than 0.1 s", f"{len(report.short):,}"),
        ("duplicates", f"{sum(len(group.names) - 1 for group in report.duplicates):,}"),
    ]
    for name, value in rows:
        _add(table, name, value)
    return table


def _bits(corpus: CorpusFacts) -> Table:
    table = _table("training data", "", "")
    rows = [
        ("training", f"{number_of(corpus.training_clips, 'clip')}, {_duration(corpus.training_seconds)}"),
        ("held out", f"{number_of(corpus.validation_clips, 'clip')}, {_duration(corpus.validation_seconds)}"),
        ("sample rate, gain", f"{corpus.sample_rate} Hz, x{corpus.gain:.3g}"),
        ("unigram", f"{corpus.bits.unigram:.2f} bits per sample, from how often each code occurs"),
        ("order-1", f"{corpus.bits.order1:.2f} bits per sample, from the code before"),
        ("LPC-24", f"{corpus.bits.lpc:.2f} bits per sample, by linear prediction: the baseline to beat"),
    ]
    for name, value in rows:
        _add(table, name, value)
    return table


def _epochs(seconds: dict[str, float]) -> Table:
    table = _table("expected time per epoch on this machine", "preset", "time")
    for preset, value in seconds.items():
        _add(table, preset, _duration(value))
    return table


def _how_long(seconds: dict[str, float]) -> str:
    """Returns how often the usual length of a training goes through the audio, and how to train longer."""
    from wavenet_app.training.run import DEFAULT_MINUTES

    counts = [(preset, 60 * DEFAULT_MINUTES / value) for preset, value in seconds.items()]
    (first, often), *others = counts
    reads = f"all recordings about {_times(often)}" if often >= _ONCE else f"{_times(often)} of the recordings"
    listed = [f"{preset} {_times(often)}{'' if often >= _ONCE else ' of them'}" for preset, often in others]
    return (
        f"- by default wavegen train runs for {DEFAULT_MINUTES:g} minutes; in that time "
        f"{', '.join([f'{first} reads {reads}', *listed])}\n"
        f"- while validation still falls, train on with --resume RUN --minutes {2 * DEFAULT_MINUTES:g}"
    )


def _times(often: float) -> str:
    """Returns a count in words, a part in percent.

    >>> _times(0.001), _times(0.4), _times(1.2), _times(1234)
    ('less than 1%', '40%', 'once', '1,234 times')
    """
    if often < _ONCE:
        return f"{often:.0%}" if often >= _SMALLEST else f"less than {_SMALLEST:.0%}"
    return {1: "once", 2: "twice"}.get(round(often), f"{often:,.0f} times")


def _problems(title: str, problems: tuple[Problem, ...]) -> Table:
    table = _table(f"{title}: {len(problems):,}", "file", "reason")
    for problem in problems[:MAX_ROWS]:
        _add(table, problem.name, problem.reason)
    if problems[MAX_ROWS:]:
        _add(table, f"and {len(problems) - MAX_ROWS:,} more", "use --json for all of them")
    return table


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    # at least as wide as the title, which would wrap otherwise
    table = Table(title=title, title_justify="left", show_header=any(columns), min_width=len(title))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:

    table.add_row(*(cell for cell in cells))


def _spread(spread: Spread | None, unit: str) -> str:
    if spread is None:
        return "-"
    digits = 0 if unit == "Hz" else 1
    values = (spread.minimum, spread.median, spread.maximum)
    return " / ".join(f"{value:.{digits}f}" for value in values) + f" {unit} (lowest / median / highest)"


def _counts(counts: dict[str, int], unit: str = "") -> str:
    if len(counts) == 1:
        return f"{next(iter(counts))}{unit}"
    return ", ".join(f"{name}{unit}: {number_of(count, 'file')}" for name, count in counts.items()) or "-"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7_200 else f"{seconds / 3600:.2f} h"
