"""What a visitor asks to hear, and the command line that makes the same samples."""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import Field

from wavenet_app.config import RunConfig
from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import Settings

LONGEST_SECONDS = 86_400.0

Key = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""Name that a page gives itself or one of its jobs."""


class Sampling(Settings):
    """What can be changed while a voice speaks."""

    temperature: float | None = Field(default=None, ge=0, le=100)
    quiet_temperature: float | None = Field(default=None, ge=0, le=100)
    top_k: int = Field(default=0, ge=0, le=65_536)
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    speakers: tuple[Annotated[float, Field(ge=0, le=1e6)], ...] = Field(default=(), max_length=10_000)


class PlayRequest(Sampling):
    """A clip to generate."""

    client: Key
    job: Key
    model: str = Field(max_length=1024)
    engine: str = "auto"
    precision: str = "float32"
    seed: int = Field(default=0, ge=0, lt=2**63)
    seconds: float | None = Field(default=None, gt=0, le=LONGEST_SECONDS)
    clip: Key | None = None
    paced: bool = True


class VocodeRequest(PlayRequest):
    """A recording to make sound of; its length is that of the recording."""

    paced: bool = False


class SteerRequest(Sampling):
    """New settings of a job that runs."""

    client: Key
    job: Key


class JobRequest(Settings):
    """A job to stop."""

    client: Key
    job: Key


def speaker_text(weights: tuple[float, ...], config: RunConfig) -> str | None:
    """Returns what `--speaker` takes for a weight of each speaker; None for a model of one voice.

    Raises:
        UserError: there are not as many weights as speakers, or none is above 0; or a mix needs names with a comma or
            colon, which `--speaker` takes only alone.

    >>> from wavenet_app.config import ModelConfig
    >>> config = RunConfig(model=ModelConfig(speakers=("ann", "jo", "theo")))
    >>> speaker_text((1, 0, 3), config), speaker_text((0, 2, 0), config)
    ('ann:1,theo:3', 'jo')
    """
    speakers = config.model.speakers
    if not speakers and not weights:
        return None
    chosen = weights or (1.0, *(0.0 for _ in speakers[1:]))
    if len(chosen) != len(speakers):
        raise UserError(f"{config.name} has {len(speakers)} speakers, not {len(chosen)}")
    parts = [(speaker, weight) for speaker, weight in zip(speakers, chosen, strict=True) if weight]
    if not parts:
        raise UserError("all speakers have the weight 0; turn one up")
    if len(parts) == 1:
        return parts[0][0]
    for speaker, _ in parts:
        if "," in speaker or ":" in speaker:
            raise UserError(f"'{speaker}' cannot be mixed, because of the comma or colon in its name")
    return ",".join(f"{speaker}:{_number(weight)}" for speaker, weight in parts)


def command_line(request: PlayRequest, speaker: str | None, prime: str | None, data_dir: str | None) -> str:
    """Returns the command that writes the same samples as a WAV.

    Args:
        request: the clip; without a length the command does not end by itself.
        speaker: what `speaker_text` returned.
        prime: name of the recording that is continued.
        data_dir: the data folder, unless it is the default one.

    >>> command_line(PlayRequest(client="a", job="b", model="kathleen", seconds=2, temperature=0.9), None, None, None)
    'wavegen sample kathleen --seconds 2 --temperature 0.9 --stdout > kathleen-seed0.wav'
    """
    parts = ["wavegen", "sample", request.model]
    parts += ["--forever"] if request.seconds is None else ["--seconds", _number(request.seconds)]
    options: tuple[tuple[str, object, object], ...] = (
        ("--seed", request.seed, 0),
        ("--temperature", None if request.temperature is None else _number(request.temperature), None),
        (
            "--quiet-temperature",
            None if request.quiet_temperature is None else _number(request.quiet_temperature),
            None,
        ),
        ("--top-k", request.top_k, 0),
        ("--top-p", _number(request.top_p), "1"),
        ("--min-p", _number(request.min_p), "0"),
        ("--speaker", speaker, None),
        ("--prime", prime, None),
        ("--engine", request.engine, "auto"),
        ("--precision", request.precision, "float32"),
        ("--data-dir", data_dir, None),
    )
    for name, value, default in options:
        if value != default:
            parts += [name, str(value)]
    stem = request.model.rpartition("/")[2].removesuffix(".pth").removesuffix(".safetensors")
    return f"{shlex.join(parts)} --stdout > {shlex.quote(f'{stem}-seed{request.seed}.wav')}"


def _number(value: float) -> str:
    """Returns the shortest text that is read back as the same number.

    >>> _number(2.0), _number(0.1)
    ('2', '0.1')
    """
    return repr(float(value)).removesuffix(".0")
