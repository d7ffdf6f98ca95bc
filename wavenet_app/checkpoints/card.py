"""The model card of a WaveNet that is shared: data, licence, recipe, figures and limits, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from wavenet_app.checkpoints.voice_file import read_plain_voice
from wavenet_app.config import ModelConfig, RunConfig
from wavenet_app.core.settings import validated
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.corpus.verdict import verdict
from wavenet_app.network.shapes import parameter_shapes

_OF_THIS_MACHINE = ("processes", "max_steps", "minutes", "validate_seconds", "checkpoint_seconds", "start_from")


class _Read(BaseModel):
    """Base of what a card reads of an evaluation; other values may stand beside."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


class Likeness(_Read):
    """Distance of clips to real ones.

    Attributes:
        frechet: in dB^2.
    """

    frechet: float


class GeneratedClips(_Read):
    """What a card says of generated clips; pairs are of generated and real ones.

    Attributes:
        voiced: share of the frames with a pitch.
        paused: share of the time in pauses.
        whistles: how many clips have a whistle; None if nobody counted.
        failures: how each generated clip failed, or None.
        real_failures: how each real piece failed, or None.
        likeness: of the generated clips to real ones.
        yardstick: of other real ones to these.
    """

    voiced: tuple[float | None, float | None]
    paused: tuple[float | None, float | None]
    whistles: tuple[int, int] | None = None
    failures: tuple[str | None, ...] = ()
    real_failures: tuple[str | None, ...] = ()
    likeness: Likeness
    yardstick: Likeness | None = None


class Metric(_Read):
    """The mean of a pair metric over the vocoded clips.

    Attributes:
        value: None where it could not be measured.
    """

    value: float | None


class VocodedVersion(_Read):
    """Pair metrics of one version of the vocoded clips.

    Attributes:
        against_reference: label -> mean, to the original recordings.
    """

    against_reference: dict[str, Metric]


class VocodedClips(_Read):
    """What a card says of vocoded clips.

    Attributes:
        versions: name -> metrics, as sampled first; refined clips and sounds without the model stand beside.
    """

    versions: dict[str, VocodedVersion]


class Evaluation(_Read):
    """What a card reads of what `wavegen eval --json` printed.

    Attributes:
        verdict: lines in words.
        generated: of a model that generates without frames.
        vocoded: of a vocoder.
    """

    verdict: tuple[str, ...]
    generated: GeneratedClips | None = None
    vocoded: VocodedClips | None = None


@dataclass(frozen=True)
class CardExtras:
    """What a card says beside the content of the file.

    Attributes:
        samples: audio files beside the card, by the names of their files.
        evaluation: what `wavegen eval --json` printed; None for none.
        figures: further lines about quality.
    """

    samples: Sequence[str] = ()
    evaluation: Evaluation | None = None
    figures: Sequence[str] = field(default=())


def model_card(path: Path, extras: CardExtras) -> str:
    """Returns the card of a voice's file.

    Args:
        path: the file, as `write_voice` wrote it.
        extras: what else the card says.

    Raises:
        UserError: the file cannot be read.
    """
    plain = read_plain_voice(path)
    config = validated(RunConfig, plain["config"])
    sections = [
        f"# {path.stem}\n\n{_summary(config)}\n\n{_facts(path, plain, config)}",
        f"## Use\n\n{_use(path.name, config.model)}",
        f"## Data\n\n{_data(plain['voice'], config)}",
        f"## Licence\n\nThe weights are under {plain['voice']['licence']}. The program is under the MIT licence.",
        f"## Recipe\n\n{_recipe(plain, config)}",
        f"## Figures\n\n{_figures(plain, config.model, extras)}",
        f"## Limits\n\n{_limits(config.model, plain['voice'].get('language'))}",
    ]
    if extras.samples:
        listed = "\n".join(f"- [{name}]({name})" for name in extras.samples)
        sections.insert(2, f"## Samples\n\nUnselected, in the order in which they were made.\n\n{listed}")
    return "\n\n".join(sections) + "\n"


def _summary(config: RunConfig) -> str:
    if config.model.mel is not None:
        return "A WaveNet vocoder: it turns log-mel frames into audio. Made with wavegen."
    return "A WaveNet: it generates audio sample by sample, without a text or a score. Made with wavegen."


def _facts(path: Path, plain: Mapping[str, Any], config: RunConfig) -> str:
    rate, seen = config.audio.sample_rate, config.model.receptive_field
    weights = sum(math.prod(shape) for shape in parameter_shapes(config.model).values())
    rows = [
        ("language", plain["voice"].get("language") or "none"),
        (
            "speakers",
            ", ".join(config.model.speakers) or ("one voice" if config.model.mel is None else "of the frames"),
        ),
        ("sample rate", f"{rate} Hz"),
        ("predicts", f"{config.model.coding.name}, with the head {config.model.head}"),
        ("weights", f"{weights:,}, in bfloat16; {path.stat().st_size / 1e6:.2f} MB"),
        ("receptive field", f"{seen:,} samples, {1000 * seen / rate:.0f} ms"),
    ]
    return _table(("", ""), rows)


def _use(file: str, model: ModelConfig) -> str:
    first = f"wavegen sample {file} --play" if model.mel is None else f"wavegen vocode {file} RECORDING"
    if model.speakers:
        first += f" --speaker {model.speakers[0]}"
    return f"    {first}\n    wavegen train RECORDINGS --start-from {file}"


def _data(facts: Mapping[str, Any], config: RunConfig) -> str:
    minutes = facts.get("audio_minutes")
    length = "" if minutes is None else f" {minutes:.1f} minutes of it were trained on."
    held_out = f" {config.corpus.validation_fraction:.0%} of the files were held out."
    return f"{facts['data'].rstrip('.')}.{length}{held_out}"


def _recipe(plain: Mapping[str, Any], config: RunConfig) -> str:
    last = plain["history"][-1] if plain["history"] else {"step": 0, "seconds": 0.0}
    processes = config.training.processes or 1
    lines = [
        f"{last['step']:,} steps of {config.training.batch_size} x {processes} windows in "
        f"{last['seconds'] / 60:.0f} minutes"
        + (f", with {processes} processes." if processes > 1 else ", with one process.")
    ]
    start = config.training.start_from
    if start is not None:
        lines.append(f"The run started from the weights of {'an earlier ' * (start == config.name)}{start}.")
    software = plain.get("software") or {}
    versions = ", ".join(f"{name} {software[name]}" for name in ("wavegen", "torch") if software.get(name))
    lines.append(f"Made with {versions}." if versions else "")
    rows = [(f"`{name}`", str(value)) for name, value in _changed(config)]
    table = f"\n\nSettings that differ from the defaults:\n\n{_table(('setting', 'value'), rows)}" if rows else ""
    return " ".join(line for line in lines if line) + table


def _changed(config: RunConfig) -> list[tuple[str, Any]]:
    """Returns the settings of a run that are not the defaults, without those that the corpus or the machine decides."""
    changed = []
    usual = RunConfig()
    for section in ("model", "training"):
        values, defaults = (getattr(one, section).model_dump(mode="json") for one in (config, usual))
        changed += [
            (f"{section}.{name}", value)
            for name, value in values.items()
            if value != defaults[name] and name not in (*_OF_THIS_MACHINE, "speakers")
        ]
    return changed


def _figures(plain: Mapping[str, Any], model: ModelConfig, extras: CardExtras) -> str:
    parts = []
    baseline, bits = plain.get("baseline"), plain.get("validation")
    if baseline is not None and bits is not None:
        rows = [
            (label, f"{value:.3f}")
            for label, value in (
                ("unigram", baseline["unigram"]),
                ("order-1", baseline["order1"]),
                ("LPC-24", baseline["lpc"]),
                ("this model", bits),
            )
        ]
        names = ("unigram", "order1", "lpc", "samples")
        by_sound = "" if model.mel is None else "; judge a vocoder by its sound"
        parts.append(
            f"Bits per sample on all held-out clips, of {model.coding.name}, lower is better:\n\n"
            f"{_table(('predictor', 'bits'), rows)}\n\n"
            f"{verdict(bits, Baseline(**{name: baseline[name] for name in names}))}{by_sound}."
        )
    parts += [*extras.figures]
    if extras.evaluation is not None:
        parts.append(_evaluation(extras.evaluation))
    return "\n\n".join(parts) or "None were measured."


def _evaluation(report: Evaluation) -> str:
    lines = [f"- {line}" for line in report.verdict]
    generated = report.generated
    if generated is not None:
        if generated.whistles is not None:
            (own, real), clips, pieces = generated.whistles, len(generated.failures), len(generated.real_failures)
            lines.append(f"- clips with a whistle: {own} of {clips} generated ones, {real} of {pieces} real ones")
        for label, shares in (("frames with a pitch", generated.voiced), ("pauses", generated.paused)):
            of_own, of_real = map(_share, shares)
            lines.append(f"- {label}: {of_own} of the time in generated clips, {of_real} in real ones")
        reached = f" (two sets of real ones: {generated.yardstick.frechet:.1f})" if generated.yardstick else ""
        frechet = generated.likeness.frechet
        lines.append(f"- Frechet distance of generated clips to real ones: {frechet:.1f} dB^2{reached}")
    text = "From `wavegen eval`:\n\n" + "\n".join(lines)
    if report.vocoded is not None and report.vocoded.versions:
        text += f"\n\nHeld-out clips, vocoded from their own frames, to the recordings:\n\n{_vocoded(report.vocoded)}"
    return text


def _vocoded(clips: VocodedClips) -> str:
    """Returns a table of the metrics that were measured, a row for each version of the clips."""
    metrics = {name: version.against_reference for name, version in clips.versions.items()}
    labels = [
        label
        for label, first in next(iter(metrics.values())).items()
        if first.value is not None and all(label in version for version in metrics.values())
    ]
    rows = [
        (name, *("-" if (value := version[label].value) is None else f"{value:.3f}" for label in labels))
        for name, version in metrics.items()
    ]
    return _table(("clips", *labels), rows)


def _share(value: float | None) -> str:
    return "?" if value is None else f"{value:.0%}"


def _limits(model: ModelConfig, language: str | None) -> str:
    lines = ["It knows only sounds and recording conditions like those of its data."]
    if model.mel is None:
        if language is not None:
            lines.append("It babbles: it has no text to read, and its sounds form no words.")
        lines.append("Clips can drift into noise, a hum or silence; a lower `--quiet-temperature` means longer pauses.")
    else:
        lines.append(
            "It follows its frames only in part; `wavegen vocode` refines what it samples unless `--refine 0`."
        )
    if model.output_head.one_hot_front:
        lines.append(f"Its samples are {model.coding.name}, which limits the signal-to-noise ratio.")
    lines.append("The weights are rounded to bfloat16.")
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
