"""The voices that ship with the package: what each is, and the one that is used by default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavenet_app.checkpoints.trained import find_checkpoint
from wavenet_app.checkpoints.voice_file import read_plain_voice
from wavenet_app.config import RunConfig
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import BEST
from wavenet_app.core.settings import validated
from wavenet_app.core.shipped import voice_names, voice_path, voices_folder

DEFAULT = "kathleen"
"""The voice that is used where none is named; without it, the first that generates without frames."""


@dataclass(frozen=True)
class ShippedVoice:
    """A voice of the package.

    Attributes:
        name: that every command takes.
        path: its file.
        config: all settings of its run.
        language: that is spoken; None for none.
        licence: of its weights.
        data: what it was trained on.
        audio_minutes: length of its training audio; None if it is not known.
        minutes: of training.
        steps: of training.
        bits: per sample on the held-out clips of its data; None if they were not measured.
        lpc: bits of LPC-24 on the same clips, or None.
        size: of the file, in bytes.
    """

    name: str
    path: Path
    config: RunConfig
    language: str | None
    licence: str
    data: str
    audio_minutes: float | None
    minutes: float
    steps: int
    bits: float | None
    lpc: float | None
    size: int

    @property
    def vocoder(self) -> bool:
        """Whether it turns mel frames into audio, and so cannot generate without any."""
        return self.config.model.mel is not None


def read_shipped_voice(path: Path) -> ShippedVoice:
    """Returns what a voice's file says of it. Imports no torch.

    Raises:
        UserError: the file is damaged, or says nothing of its licence and data.
    """
    plain = read_plain_voice(path)
    facts, baseline = plain.get("voice"), plain.get("baseline")
    if facts is None:
        raise UserError(f"{path} does not hold what it should: it does not describe a voice")
    last: dict[str, Any] = plain["history"][-1] if plain["history"] else {"step": 0, "seconds": 0.0}
    return ShippedVoice(
        name=path.stem,
        path=path,
        config=validated(RunConfig, plain["config"]),
        language=facts.get("language"),
        licence=facts["licence"],
        data=facts["data"],
        audio_minutes=facts.get("audio_minutes"),
        minutes=last["seconds"] / 60,
        steps=last["step"],
        bits=plain.get("validation"),
        lpc=None if baseline is None else baseline["lpc"],
        size=path.stat().st_size,
    )


def shipped_voices() -> tuple[list[ShippedVoice], list[str]]:
    """Returns the voices, and why others in the folder cannot be used, a line each."""
    voices, problems = [], []
    for name in voice_names():
        try:
            voices.append(read_shipped_voice(voices_folder() / f"{name}.safetensors"))
        except UserError as error:
            problems.append(str(error))
    return voices, problems


def default_voice() -> ShippedVoice | None:
    """Returns the voice that is used where none is named; None if none is shipped."""
    path = voice_path(DEFAULT)
    if path is not None:
        return read_shipped_voice(path)
    return next((voice for voice in shipped_voices()[0] if not voice.vocoder), None)


def find_to_generate(data_dir: Path, name: str | None) -> tuple[Path, str | None]:
    """Returns the checkpoint to generate with, and a line for the user if a shipped voice stands in for it.

    Args:
        data_dir: root of the data folder.
        name: what `find_checkpoint` takes; None for the newest run, or the default voice if there is no run.

    Raises:
        UserError: there is no such checkpoint, or neither a run nor a voice.
    """
    if name is None and not any((data_dir / "checkpoints").glob(f"*/{BEST}")):
        voice = default_voice()
        if voice is not None:
            spoken = f"{voice.language}, " if voice.language else ""
            return voice.path, (
                f"no model is trained in {data_dir / 'checkpoints'} yet, so this is the shipped voice {voice.name} "
                f"({spoken}{voice.licence}); list all with: wavegen voices"
            )
    return find_checkpoint(data_dir, name), None
