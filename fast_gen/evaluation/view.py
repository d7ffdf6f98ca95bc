"""The report of `wavegen eval` as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fast_gen.evaluation.report import SOUNDS, EvalReport, GeneratedFacts
from fast_gen.evaluation.vocoded import GRIFFIN_LIM

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from fast_gen.evaluation.vocoded import VocodedFacts, VocodedFile
    from wavenet_app.evaluation.pair_metrics import Measure
    from wavenet_app.evaluation.pair_table import Average

GREATEST_ROWS = 50

Row = tuple[str, str, str]
"""Measure, this model, and what it is to be compared with."""


def render(report: EvalReport) -> Group:
    """Returns the report for `rich.console.Console.print`: the table, bits per file, files left out, the verdict."""
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"{report.name} ({report.checkpoint})"), title_justify="left")
    for column in ("measure", "this model", "to compare with"):
        table.add_column(column, overflow="fold")
    for section in sections(report):
        for row in section:
            table.add_row(*(Text(cell) for cell in row))
        table.add_section()
    parts: list[RenderableType] = [table, _file_table(report)]
    if report.vocoded is not None:
        parts.append(_vocoded_table(report.vocoded))
    if report.skipped:
        skipped = Table(title=f"left out: {len(report.skipped):,}", title_justify="left")
        for column in ("file", "reason"):
            skipped.add_column(column, overflow="fold")
        for file in report.skipped[:GREATEST_ROWS]:
            skipped.add_row(Text(file.name), Text(file.reason))
        if report.skipped[GREATEST_ROWS:]:
            skipped.add_row(f"and {len(report.skipped) - GREATEST_ROWS:,} more", "all of them with --json")
        parts.append(skipped)
    # Text, not markup: a file's name may hold brackets.
    parts += [Text(f"- {line}") for line in (*report.verdict, *notes(report))]
    return Group(*parts)


def sections(report: EvalReport) -> list[list[Row]]:
    """Returns the rows of the one table: bits; generated clips and their sound, or vocoded ones; the codes' floor."""
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
    floor = [(f"floor of {report.coding}: {label}", "-", average(value)) for label, value in report.floor.items()]
    return [*rows, floor]


def _own_bits(generated: GeneratedFacts) -> Row:
    return (
        "bits per sample, its own clips",
        number(sum(generated.bits) / len(generated.bits)),
        f"{number(min(generated.bits))} to {number(max(generated.bits))}; about the line above, if it samples "
        "what it has learnt",
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
            ("silence", "clips that collapsed to silence"),
        )
    ]
    return [failed, sound]


def _vocoded_sections(vocoded: VocodedFacts) -> list[list[Row]]:
    """Returns the rows of each metric, against the quantised originals and against the originals."""
    return [
        [
            (
                f"vocoded, to the {reference}: {label}",
                average(of(vocoded.model)[label]),
                ", ".join(f"{name} {average(of(table)[label])}" for name, table in vocoded.rivals.items()),
            )
            for label in of(vocoded.model)
        ]
        for reference, of in (
            ("quantised original", lambda table: table.against_quantised),
            ("original", lambda table: table.against_reference),
        )
    ]


def notes(report: EvalReport) -> list[str]:
    """Returns how the figures were taken: on how much audio, fitted on what, comparable with what."""
    bits = report.bits
    lines = [
        f"bits: {bits.overall.seconds:.1f} s of the {bits.available_seconds:.1f} s in {bits.available_files} held-out "
        f"files, {len(bits.files)} of them looked at; all four predictors over the very same samples, at "
        f"{report.sample_rate} Hz and gain x{report.gain:.2f}; a sample is one of {report.coding}",
        f"LPC-24, order-1 and unigram were fitted on {report.fitted_on}",
    ]
    if report.trained_validation is not None:
        lines.insert(1, f"training itself ended with {report.trained_validation:.3f} bits over its whole held-out side")
    if report.generated is not None:
        lines += _generated_notes(report.generated, report.coding)
    if report.vocoded is not None:
        lines.append(
            f"vocoded: {report.vocoded.seconds:.1f} s of {len(report.vocoded.files)} held-out clips from their own mel "
            f"frames, at temperature {report.vocoded.temperature:g}, then moved towards these frames by "
            f"{report.vocoded.turns} turns; Griffin-Lim from the very same frames"
        )
    lines.append(
        f"the floor is what {report.coding} alone do to {report.floor_pairs} real pieces, and no model can do better"
    )
    return [*lines, *report.remarks, f"all of it took {report.seconds:.0f} s"]


def _generated_notes(generated: GeneratedFacts, coding: str) -> list[str]:
    lines = [
        f"sound: {len(generated.failures)} generated clips of {generated.seconds:g} s beside "
        f"{len(generated.real_failures)} real pieces of {generated.real_seconds:.3g} s, both as {coding}; one half "
        "of the real ones is compared with, the other is the yardstick; Wasserstein distances, 0 is best",
        "the Frechet distance is taken on an embedding of our own, so it is not comparable with VGGish FAD figures",
    ]
    if generated.speakers:
        names = list(dict.fromkeys(generated.speakers))
        lines.append(f"the generated clips are spoken by {', '.join(names)}{', in turn' if names[1:] else ''}")
    if generated.temperature != 1:
        lines.append(f"they were sampled at temperature {generated.temperature:g}, and their bits are those at 1")
    return lines


def number(value: float | None) -> str:
    """Returns a figure with three digits behind the point, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def average(value: Average) -> str:
    """Returns a mean, and why it has no value or lacks some."""
    if value.missing is None:
        return number(value.value)
    reason = value.missing.split(": ", 1)[1] if not value.pairs and ";" not in value.missing else value.missing
    return f"{number(value.value)} ({reason})" if value.pairs else reason


def _beside_real(value: float | None) -> str:
    return f"real against real {number(value)}"


def _file_table(report: EvalReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="bits per sample of each file, lower is better", title_justify="left")
    table.add_column("file", overflow="fold")
    for column in ("seconds", "this model", "LPC-24", "order-1", "unigram"):
        table.add_column(column, justify="right")
    rows = report.bits.files[:GREATEST_ROWS]
    for row in (*rows, report.bits.overall):
        if row is report.bits.overall:
            table.add_section()
        figures = (row.model, row.lpc, row.order1, row.unigram)
        table.add_row(Text(row.name), f"{row.seconds:.2f}", *map(number, figures))
    if len(rows) < len(report.bits.files):
        table.caption = f"{len(report.bits.files) - len(rows):,} more files with --json"
    return table


def vocoded_rows(files: Sequence[VocodedFile]) -> tuple[list[str], list[list[str]]]:
    """Returns the heads and the rows of the table of vocoded clips: each metric, the model's before Griffin-Lim's."""
    labels = list(files[0].model)
    heads = ["file", "seconds", *(short_label(label) for label in labels)]
    rows = [
        [
            file.name,
            f"{file.seconds:.2f}",
            *(_pair(file.model[label], file.rivals[GRIFFIN_LIM][label]) for label in labels),
        ]
        for file in files
    ]
    return heads, rows


def short_label(label: str) -> str:
    """Returns a metric's name without what stands in brackets behind it.

    >>> short_label("STOI (higher is better)")
    'STOI'
    """
    return label.partition(" (")[0]


def _pair(ours: Measure, theirs: Measure) -> str:
    return f"{number(ours.value)} / {number(theirs.value)}"


def _vocoded_table(vocoded: VocodedFacts) -> Table:
    from rich.table import Table
    from rich.text import Text

    heads, rows = vocoded_rows(vocoded.files[:GREATEST_ROWS])
    table = Table(title="each vocoded clip to its quantised original: this model / Griffin-Lim", title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if len(vocoded.files) > GREATEST_ROWS:
        table.caption = f"{len(vocoded.files) - GREATEST_ROWS:,} more clips with --json"
    return table
