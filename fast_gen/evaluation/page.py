"""The page of `wavegen eval --report`: one file with players, spectrograms and curves that loads nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.evaluation.evaluate import EvalSound
from fast_gen.evaluation.generated import GeneratedSound
from fast_gen.evaluation.page_figures import history_figure, sound_figure
from fast_gen.evaluation.report import EvalReport
from fast_gen.evaluation.view import notes, number, sections, vocoded_rows
from fast_gen.evaluation.vocoded import SAMPLED, SPECTRAL_DISTANCE, VocodedFacts
from wavenet_app.audio.pictures import Scale, common_scale, spectrogram_figure
from wavenet_app.audio.writing import wav_bytes
from wavenet_app.core.figures import png_bytes
from wavenet_app.core.files import write_whole

DOTS_PER_INCH = 100
SPECTROGRAM_INCHES = (6.0, 4.0)  # large enough to read with three side by side

# Makes the browser refuse any request, even if escaping a name in the page fails.
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top;
  font-variant-numeric: tabular-nums }
tbody + tbody tr:first-child td { border-top: 2px solid #888 }
.verdict { font-size: 1.25rem; background: #eef3fa; padding: .6rem 1rem; border-left: .3rem solid #36c }
.wide { overflow-x: auto }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); gap: 1.5rem;
  align-items: end }
.triples { grid-template-columns: repeat(3, minmax(0, 1fr)) }
@media (max-width: 60rem) { .triples { grid-template-columns: minmax(0, 1fr) } }
figure { margin: 0 } img { max-width: 100%; height: auto } audio { width: 100% }
.failed { color: #b00; font-weight: bold }
"""


def write_report(path: Path, report: EvalReport, sound: EvalSound) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: the file; missing folders are made.
        report: the figures.
        sound: the waveforms to play and draw.

    Raises:
        UserError: the file cannot be written.
    """
    write_whole(path, page(report, sound).encode())


def page(report: EvalReport, sound: EvalSound) -> str:
    """Returns the page as HTML, from the arguments of `write_report`."""
    history = sound.history and _image(
        png_bytes(history_figure(sound.history, sound.history_lpc), DOTS_PER_INCH), "bits per sample over steps"
    )
    clips = ""
    if sound.generated is not None and report.generated is not None:
        clips += _generated_clips(sound.generated, report.generated.speakers, report.sample_rate)
    if report.vocoded is not None:
        clips += _vocoded_clips(sound, report.vocoded, report.sample_rate)
    title = escape(f"How good is {report.name}?")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{"".join(f'<p class="verdict">{escape(line)}</p>' for line in report.verdict)}
{_table(("measure", "this model", "to compare with"), sections(report))}
<ul>{"".join(f"<li>{escape(line)}</li>" for line in notes(report))}</ul>
{clips}
{f"<h2>Training</h2>{history}" if history else ""}
<h2>Files</h2>
{_files(report)}
{_skipped(report)}
</body>
</html>
"""


def _generated_clips(sound: GeneratedSound, speakers: Sequence[str], sample_rate: int) -> str:
    shown = sound.real[: len(sound.clips)]
    scale = common_scale([*(clip.waveform for clip in sound.clips), *shown], sample_rate)
    generated = [
        _clip(
            f"generated {number_}{f', {speakers[number_]}' if speakers else ''}",
            f"{clip.bits:.3f} bits per sample",
            f"failed: {clip.failure}" if clip.failure else "",
            clip.waveform,
            sample_rate,
            scale,
        )
        for number_, clip in enumerate(sound.clips)
    ]
    real = [
        _clip(f"real {number_}", "held out", "", waveform, sample_rate, scale) for number_, waveform in enumerate(shown)
    ]
    curves = _image(
        png_bytes(sound_figure(sound.real_features, sound.features, sample_rate), DOTS_PER_INCH),
        "spectrum, energy, pitch and pauses of real and generated clips",
    )
    return f"""<h2>Generated clips</h2>
<p>All pictures of generated and real clips have the same scale.</p>
<div class="clips">{"".join(generated)}</div>
<h2>Real clips, in the codes of the model</h2>
<div class="clips">{"".join(real)}</div>
<h2>Sound, generated beside real</h2>
{curves}"""


def _vocoded_clips(sound: EvalSound, facts: VocodedFacts, sample_rate: int) -> str:
    shown = []
    for clip, file in zip(sound.vocoded, facts.files, strict=True):
        original = clip.quantised
        scale = common_scale((original, *clip.versions.values()), sample_rate)
        players = [_clip("original, quantised", "", "", original, sample_rate, scale)]
        for name, waveform in clip.versions.items():
            distance = f"{number(file.versions[name][SPECTRAL_DISTANCE].value)} dB"
            failed = f"failed: {file.failure}" if file.failure and name == SAMPLED else ""
            players.append(_clip(name, distance, failed, waveform, sample_rate, scale))
        shown.append(f'<h3>{escape(clip.name)}</h3><div class="clips triples">{"".join(players)}</div>')
    heads, rows = vocoded_rows(facts.files)
    return f"""<h2>Held-out clips, vocoded from their own mel frames</h2>
<p>Log-spectral distance to the quantised original. Refined noise and Griffin-Lim need no model: the model's share in a
refined clip is what is nearer than refined noise. The pictures of a clip have the same scale.</p>
{"".join(shown)}
<p>Each clip to its quantised original: {" / ".join(facts.versions)}.</p>
{_table(heads, [rows])}"""


def _clip(name: str, fact: str, failure: str, waveform: NDArray[np.float32], sample_rate: int, scale: Scale) -> str:
    figure = spectrogram_figure(waveform, sample_rate, scale=scale)
    figure.set_size_inches(*SPECTROGRAM_INCHES)
    picture = png_bytes(figure, DOTS_PER_INCH)
    player = f'<audio controls preload="metadata" src="{_data("audio/wav", wav_bytes(waveform, sample_rate))}"></audio>'
    mark = f' <span class="failed">{escape(failure)}</span>' if failure else ""
    return (
        f"<figure><figcaption><b>{escape(name)}</b>{f', {escape(fact)}' if fact else ''}{mark}</figcaption>{player}"
        f"{_image(picture, f'spectrogram of {name}')}</figure>"
    )


def _files(report: EvalReport) -> str:
    rows = [
        (row.name, f"{row.seconds:.2f}", number(row.model), number(row.lpc), number(row.order1), number(row.unigram))
        for row in (*report.bits.files, report.bits.overall)
    ]
    heads = ("file", "seconds", "this model", "LPC-24", "order-1", "unigram")
    return f"<p>Bits per sample, lower is better.</p>{_table(heads, [rows[:-1], rows[-1:]])}"


def _skipped(report: EvalReport) -> str:
    if not report.skipped:
        return ""
    rows = [(file.name, file.reason) for file in report.skipped]
    return f"<h2>Skipped: {len(rows)}</h2>{_table(('file', 'reason'), [rows])}"


def _table(heads: Sequence[str], bodies: Iterable[Sequence[Sequence[str]]]) -> str:
    body = "".join(f"<tbody>{''.join(_row('td', row) for row in rows)}</tbody>" for rows in bodies if len(rows))
    return f'<div class="wide"><table><thead>{_row("th", heads)}</thead>{body}</table></div>'


def _row(kind: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"


def _image(png: bytes, description: str) -> str:
    return f'<img alt="{escape(description)}" src="{_data("image/png", png)}">'


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
