"""The results of a bench as tables and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fast_gen.bench.process import TEXTBOOK
from fast_gen.bench.run import BenchRow, is_exact, tolerance_errors
from fast_gen.bench.verify import Verification
from fast_gen.engines.choice import EngineOption
from fast_gen.engines.trial import Trial


def option_name(option: EngineOption) -> str:
    """Returns an engine with its device, precision and threads in a few words.

    >>> option_name(EngineOption("cpu", "cpu", "int8", 2, None))
    'cpu int8, 2 threads'
    """
    if option.engine == TEXTBOOK.engine:
        return "textbook"
    place = f" on {option.device}" if option.device != option.engine else ""
    return f"{option.engine}{place} {option.precision}" + (", 2 threads" if option.threads == 2 else "")


def textbook_rate(rows: Sequence[BenchRow]) -> float | None:
    """Returns the samples per second of the textbook generator, if it was measured."""
    rates = [row.measured.samples_per_second for row in rows if row.option == TEXTBOOK and row.measured]
    return rates[0] if rates else None


def speed_table(rows: Sequence[BenchRow], sample_rate: int) -> Table:
    """Returns the table of speeds."""
    table = Table(title="one clip", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("engine", no_wrap=True)
    for heading in (
        "samples\n/s",
        "x real\ntime",
        "x text-\nbook",
        "first\nsound, s",
        "compil-\ning, s",
        "memory,\nMB",
    ):
        table.add_column(heading, justify="right")
    base = textbook_rate(rows)
    for row in rows:
        if (found := row.measured) is None:
            continue
        memory = f"{found.peak_memory_bytes / 1e6:,.0f}"
        if found.device_memory_bytes is not None:
            memory += f" + {found.device_memory_bytes / 1e6:,.0f} GPU"
        table.add_row(
            option_name(row.option),
            f"{found.samples_per_second:,.0f}",
            f"{found.samples_per_second / sample_rate:.2f}",
            "" if base is None else f"{found.samples_per_second / base:.1f}",
            f"{found.first_sound_seconds:.2f}",
            "" if row.compiling_seconds is None else f"+ {row.compiling_seconds:.1f}",
            memory,
        )
    return table


def clips_table(rows: Sequence[BenchRow]) -> Table:
    """Returns the table of speeds with more than one clip, and of what the self-check says."""
    title = "samples/s of all clips together"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("engine", no_wrap=True)
    found = [(row, row.measured) for row in rows if row.measured is not None and row.measured.trials]
    counts = sorted({clips for _, measured in found for clips in measured.trials if clips > 1})
    for clips in counts:
        table.add_column(f"{clips:,} clips", justify="right")
    table.add_column("self-check")
    for row, measured in found:
        speeds = [_speed(measured.trials.get(clips)) for clips in counts]
        table.add_row(option_name(row.option), *speeds, measured.fault or "passed")
    return table


def auto_line(taken: Mapping[int, str]) -> str:
    """Returns a line that says what `auto` takes from now on, given an engine for each number of clips."""
    parts = [f"{name} for {clips:,} clip{'s' if clips > 1 else ''}" for clips, name in taken.items()]
    return f"--engine auto takes from now on: {', '.join(parts)}"


def _speed(trial: Trial | None) -> str:
    return "" if trial is None or trial.samples_per_second is None else f"{trial.samples_per_second:,.0f}"


def verification_table(rows: Sequence[BenchRow], source: str) -> Table:
    """Returns the table of differences to the full network."""
    title = f"compared with the full network, on {source}; in brackets: no tolerance"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("engine", no_wrap=True)
    for heading in ("logits\ndiffer by", "bits/\nsample", "cost", "same\nsamples"):
        table.add_column(heading, justify="right")
    table.add_column("tolerance")
    for row in rows:
        if row.measured is None or (found := row.measured.verification) is None:
            continue
        errors = tolerance_errors(row.option, found)
        table.add_row(
            option_name(row.option),
            f"{found.greatest_logit_difference:.1e}",
            f"{found.bits:.4f}",
            f"{found.bits_cost:+.5f}",
            f"{found.samples_equal:.1%}" if is_exact(row.option) else f"({found.samples_equal:.1%})",
            f"exceeded: {'; '.join(errors)}" if errors else "kept",
        )
    return table


def skipped_lines(rows: Sequence[BenchRow]) -> list[str]:
    """Returns a line for each reason why engines were skipped."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.reason is not None:
            reasons.setdefault(row.reason, []).append(option_name(row.option))
    return [f"skipped: {', '.join(names)}: {reason}" for reason, names in reasons.items()]


def plain_rows(rows: Sequence[BenchRow], sample_rate: int) -> list[dict[str, Any]]:
    """Returns all results as plain values for JSON."""
    base = textbook_rate(rows)
    plain = []
    for row in rows:
        found = row.measured
        rate = None if found is None else found.samples_per_second
        plain.append(
            {
                "engine": row.option.engine,
                "device": row.option.device,
                "precision": row.option.precision,
                "threads": row.option.threads,
                "skipped": row.reason,
                "samples_per_second": rate,
                "real_time_factor": None if rate is None else rate / sample_rate,
                "ratio_to_textbook": None if rate is None or base is None else rate / base,
                "first_sound_seconds": None if found is None else found.first_sound_seconds,
                "compiling_seconds": row.compiling_seconds,
                "samples_per_second_by_clips": {}
                if found is None
                else {str(clips): trial.samples_per_second for clips, trial in found.trials.items()},
                "self_check": None if found is None or not found.trials else found.fault or "passed",
                "peak_memory_bytes": None if found is None else found.peak_memory_bytes,
                "device_memory_bytes": None if found is None else found.device_memory_bytes,
                "verification": None if found is None else _plain_verification(row.option, found.verification),
            }
        )
    return plain


def _plain_verification(option: EngineOption, found: Verification | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**asdict(found), "bits_cost": found.bits_cost, "tolerance_errors": tolerance_errors(option, found)}
