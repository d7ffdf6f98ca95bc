"""The report of `wavegen eval` as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fast_gen.evaluation.report import SOUNDS, EvalReport, GeneratedFacts
from fast_gen.evaluation.vocoded import FILTERED_NOISE, GRIFFIN_LIM, NOISE, SAMPLED
from wavenet_app.core.terminal import number_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from fast_gen.evaluation.vocoded import VocodedFacts, VocodedFile
    from wavenet_app.evaluation.pair_table import Average

GREATEST_ROWS = 50
FILE_ROWS = 8  # of bits: the mean is what counts, and --json has all

Row = tuple[str, str, str]
"""Measure, this model, and figures to compare with."""


def render(report: EvalReport) -> Group:
    """Returns the report for `rich.console.Console.print`: tables, skipped files, notes, and at the end the verdict."""
    from rich.console import Group, RenderableType
    from rich.table import Table

    table = Table(title=f"{report.name} ({report.checkpoint})", title_justify="left")
    for column in ("measure", "this model", "to compare with"):
        table.add_column(column, overflow="fold")
    for section in sections(report):
        for row in section:
            table.add_row(*(cell for cell in row))
        table.add_section()
    parts: list[RenderableType] = [table, _file_table(report)]
    if report.vocoded is not None:
        parts.append(_vocoded_table(report.vocoded))
    if report.skipped:
        skipped = Table(title=f"skipped: {len(report.skipped):,}", title_justify="left")
        for column in ("file", "reason"):
            skipped.add_column(column, overflow="fold")
        for file in report.skipped[:GREATEST_ROWS]:
            skipped.add_row(file.name, file.reason)
        if report.skipped[GREATEST_ROWS:]:
            skipped.add_row(f"and {len(report.skipped) - GREATEST_ROWS:,} more", "all of them with --json")
        parts.append(skipped)
    # Text, not markup: a file's name may hold brackets.
    parts += ["", "how it was measured:", *(f"- {line}" for line in notes(report))]
    parts += ["", "verdict:", *(f"- {line}" for line in report.verdict)]
    return Group(*parts)


def sections(report: EvalReport) -> list[list[Row]]:
    """Returns the rows of the main table: bits; then generated clips, or vocoded ones and the floor of the codes."""
    overall = report.bits.overall
    bits: list[Row] = [
        (
            "bits per sample, held-out audio",
            number(overall.model),
            f"LPC-24 {number(overall.lpc)}, order-1 {number(overall.order1)}, unigram {number(overall.unigram)}",
        )
    ]
    rows = [bits]
    if report.generated is not None:
        bits.append(_own_bits(report.generated))
        rows += _generated_sections(report.generated)
    if report.vocoded is not None:
        rows += _vocoded_sections(report.vocoded)
        floor = report.vocoded.versions[SAMPLED].floor
        rows.append([(f"floor of {report.coding}: {label}", "-", average(one)) for label, one in floor.items()])
    return rows


def _own_bits(generated: GeneratedFacts) -> Row:
    return (
        "bits per sample, its own clips",
        number(sum(generated.bits) / len(generated.bits)),
        f"from {number(min(generated.bits))} to {number(max(generated.bits))} by clip; close to the line above if it "
        "samples what it has learned",
    )


def _generated_sections(generated: GeneratedFacts) -> list[list[Row]]:
    clips, real = len(generated.failures), len(generated.real_failures)
    sound: list[Row] = [
        (label, f"{shares[0]:.0%}", f"real {shares[1]:.0%}")
        for label, shares in (("frames with a pitch", generated.voiced), ("time in pauses", generated.paused))
    ]
    model = asdict(generated.likeness.sounds)
    yardstick = {} if generated.yardstick is None else asdict(generated.yardstick.sounds)
    for field, label in SOUNDS.items():
        sound.append((f"distance: {label}", number(model[field]), _beside_real(yardstick.get(field))))
    frechet = None if generated.yardstick is None else generated.yardstick.frechet
    sound.append(("Frechet distance, own embedding (dB²)", number(generated.likeness.frechet), _beside_real(frechet)))
    failed: list[Row] = [
        (
            label,
            f"{generated.failures.count(kind)} of {clips}",
            f"real {generated.real_failures.count(kind)} of {real}",
        )
        for kind, label in (
            ("noise", "clips that ran away to noise"),
            ("hum", "clips that ran away to a hum"),
            ("silence", "clips that collapsed to silence"),
        )
    ]
    whistling, real_whistling = generated.whistles
    failed.append(("clips with a whistle", f"{whistling} of {clips}", f"real {real_whistling} of {real}"))
    return [failed, sound]


def _vocoded_sections(vocoded: VocodedFacts) -> list[list[Row]]:
    """Returns a row for each metric, to the quantised and to the true originals: as sampled beside other versions."""
    others = [name for name in vocoded.versions if name != SAMPLED]
    return [
        [
            (
                f"vocoded as sampled, to the {reference}: {label}",
                average(of(vocoded.versions[SAMPLED])[label]),
                ", ".join(f"{name} {average(of(vocoded.versions[name])[label])}" for name in others),
            )
            for label in of(vocoded.versions[SAMPLED])
        ]
        for reference, of in (
            ("quantised original", lambda table: table.against_quantised),
            ("original", lambda table: table.against_reference),
        )
    ]


def notes(report: EvalReport) -> list[str]:
    """Returns how the figures were measured: on how much audio, fitted on what, comparable with what."""
    bits = report.bits
    lines = [
        f"bits: {bits.overall.seconds:.1f} s of the {bits.available_seconds:.1f} s in {bits.available_files} held-out "
        f"files, {len(bits.files)} of them measured; all four predictors over the same samples, at "
        f"{report.sample_rate} Hz and gain x{report.gain:.2f}; a sample is one of {report.coding}",
        f"LPC-24, order-1 and unigram were fitted on {report.fitted_on}",
    ]
    if report.trained_validation is not None:
        lines.insert(1, f"training ended with {report.trained_validation:.3f} bits per sample over all held-out clips")
    if report.generated is not None:
        lines += _generated_notes(report.generated, report.coding)
    if report.vocoded is not None:
        lines.append(_vocoded_note(report.vocoded))
        pieces = number_of(len(report.vocoded.files), "real piece")
        lines.append(f"the floor: {pieces} as {report.coding} against themselves; no model can do better")
    return [*lines, *report.remarks, f"the evaluation took {report.seconds:.0f} s, loading included"]


def _vocoded_note(vocoded: VocodedFacts) -> str:
    names = [name for name in (FILTERED_NOISE, NOISE, GRIFFIN_LIM) if name in vocoded.versions]
    without_model = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    refined = f"refined: {vocoded.turns} iterations towards these frames; " if vocoded.turns else ""
    return (
        f"vocoded: {vocoded.seconds:.1f} s of {len(vocoded.files)} held-out clips from their own mel frames, sampled "
        f"at temperature {vocoded.temperature:g}; {refined}{without_model}: from the same frames without the model"
    )


def _generated_notes(generated: GeneratedFacts, coding: str) -> list[str]:
    lines = [
        f"sound: {number_of(len(generated.failures), 'generated clip')} of {generated.seconds:g} s beside "
        f"{number_of(len(generated.real_failures), 'real piece')} of {generated.real_seconds:.3g} s, both as {coding}; "
        "distances are to one half of the real ones, real against real is the other half; Wasserstein, 0 is best",
        "the Frechet distance uses our own embedding, so it is not comparable with VGGish FAD figures",
    ]
    if generated.speakers:
        names = list(dict.fromkeys(generated.speakers))
        lines.append(f"the generated clips are spoken by {', '.join(names)}{', in turn' if names[1:] else ''}")
    if generated.temperature != 1 or generated.quiet_temperature is not None:
        quiet = "" if generated.quiet_temperature is None else f", {generated.quiet_temperature:g} in quiet parts"
        lines.append(
            f"they were sampled at temperature {generated.temperature:g}{quiet}; their bits are at temperature 1"
        )
    return lines


def number(value: float | None) -> str:
    """Returns a figure with three decimals, or a dash for none."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def average(value: Average) -> str:
    """Returns a mean, with the reason for pairs without a value."""
    if value.missing is None:
        return number(value.value)
    reason = value.missing.split(": ", 1)[1] if not value.pairs and ";" not in value.missing else value.missing
    return f"{number(value.value)} ({reason})" if value.pairs else reason


def _beside_real(value: float | None) -> str:
    return f"real against real {number(value)}"


def _file_table(report: EvalReport) -> Table:
    from rich.table import Table

    table = Table(title="bits per sample of each file, lower is better", title_justify="left")
    table.add_column("file", overflow="fold")
    for column in ("seconds", "this model", "LPC-24", "order-1", "unigram"):
        table.add_column(column, justify="right")
    rows = report.bits.files[:FILE_ROWS]
    for row in (*rows, report.bits.overall):
        if row is report.bits.overall:
            table.add_section()
        figures = (row.model, row.lpc, row.order1, row.unigram)
        table.add_row(row.name, f"{row.seconds:.2f}", *map(number, figures))
    if len(rows) < len(report.bits.files):
        table.caption = (
            f"{number_of(len(report.bits.files) - len(rows), 'more file')} with --json, or on the page of --report"
        )
    return table


def vocoded_rows(files: Sequence[VocodedFile]) -> tuple[list[str], list[list[str]]]:
    """Returns the heads and the rows of the table of vocoded clips: each metric of each version."""
    labels = list(files[0].versions[SAMPLED])
    heads = ["file", "seconds", *(short_label(label) for label in labels)]
    rows = [
        [
            file.name,
            f"{file.seconds:.2f}",
            *(" / ".join(number(version[label].value) for version in file.versions.values()) for label in labels),
        ]
        for file in files
    ]
    return heads, rows


def short_label(label: str) -> str:
    """Returns the name of a metric without the note in brackets.

    >>> short_label("STOI (higher is better)")
    'STOI'
    """
    return label.partition(" (")[0]


def _vocoded_table(vocoded: VocodedFacts) -> Table:
    from rich.table import Table
    from rich.text import Text

    heads, rows = vocoded_rows(vocoded.files[:GREATEST_ROWS])
    table = Table(
        title=f"each vocoded clip to its quantised original: {' / '.join(vocoded.versions)}", title_justify="left"
    )
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if len(vocoded.files) > GREATEST_ROWS:
        table.caption = f"{len(vocoded.files) - GREATEST_ROWS:,} more clips with --json"
    return table
