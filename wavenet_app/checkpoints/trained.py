"""Trained WaveNets: finds checkpoints, loads them, and exports them without training state."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavenet_app.checkpoints.voice_file import KIND, read_voice
from wavenet_app.config import PRESETS, RunConfig
from wavenet_app.core.checkpoint import export_name, read_checkpoint, write_exported
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import BEST, LAST, first_file, places_of, refuse_of_other_half, run_names
from wavenet_app.core.safetensors_file import SUFFIX
from wavenet_app.core.settings import validated
from wavenet_app.core.shipped import voice_names, voice_path
from wavenet_app.core.text import did_you_mean

if TYPE_CHECKING:
    from wavenet_app.checkpoints.content import VoiceFacts
    from wavenet_app.network.model import WaveNet


@dataclass(frozen=True)
class Trained:
    """A loaded checkpoint.

    Attributes:
        model: the model with its averaged weights, on the CPU.
        config: all settings of the run.
        content: all other content of the file: history, baseline, split, validation.
    """

    model: WaveNet
    config: RunConfig
    content: dict[str, Any]


def plain_config(config: RunConfig) -> dict[str, Any]:
    """Returns a config as plain values for checkpoints and JSON."""
    return config.model_dump(mode="json")


def load_trained(path: Path) -> Trained:
    """Returns the model of a checkpoint.

    Raises:
        UserError: the file is missing or damaged, or its weights do not match its config.
    """
    from wavenet_app.network.model import WaveNet  # takes time to import, and is not needed to find a checkpoint

    content = read_trained(path)
    config = validated(RunConfig, content["config"])
    model = WaveNet(config.model)
    model.load_state_dict(content["weights"])
    return Trained(model.eval(), config, content)


def read_trained(path: Path) -> dict[str, Any]:
    """Returns the content of a checkpoint, checked, without building a net.

    Raises:
        UserError: the file is missing or damaged, or its weights do not match its config.
    """
    if path.suffix == SUFFIX:
        return read_voice(path)
    from wavenet_app.checkpoints.content import WaveNetContent  # takes time to import

    return read_checkpoint(path, KIND, WaveNetContent)


def find_checkpoint(data_dir: Path, name: str | None) -> Path:
    """Returns the checkpoint file for a name.

    Args:
        data_dir: root of the data folder.
        name: a file, the folder or name of a run, the name of a pretrained file or of a shipped voice, or None for the
            newest run.

    Raises:
        UserError: there is no such checkpoint; the message lists the existing ones.
    """
    runs = data_dir / "checkpoints"
    if name is None:
        candidates = sorted(runs.glob(f"*/{BEST}"), key=lambda path: path.stat().st_mtime)
        if not candidates:
            voices = f", or name a shipped voice: {', '.join(voice_names())}" if voice_names() else ""
            raise UserError(f"there is no trained model in {runs} yet; train one with: wavegen train FOLDER{voices}")
        return candidates[-1]
    stem = name.removesuffix(".pth").removesuffix(SUFFIX).removeprefix("wavenet_")
    pretrained = (data_dir / "pretrained" / f"wavenet_{stem}{suffix}" for suffix in (".pth", SUFFIX))
    path = first_file(*places_of(name, runs, BEST), *pretrained) or voice_path(name)
    if path is not None:
        return path
    exported = (data_dir / "pretrained").glob("wavenet_*")
    known = run_names(runs, BEST)
    known += [path.stem.removeprefix("wavenet_") for path in exported if path.suffix in (".pth", SUFFIX)]
    known += voice_names()
    image_run = f"an image run; use it with: wavegen seg-predict {shlex.quote(name)} IMAGE"
    refuse_of_other_half(name, runs, DataFolder(data_dir).segmentation_runs, BEST, image_run)
    listed = f"there are: {', '.join(sorted(set(known)))}" if known else "there is none yet"
    raise UserError(f"no file, voice, or run in {runs} is called '{name}'{did_you_mean(name, known, listed)}")


def find_checkpoint_or_name_presets(name: str, folder: DataFolder) -> Path:
    """Returns the checkpoint file for a name, where a preset can be given too.

    Raises:
        UserError: there is no such checkpoint; the message lists the checkpoints and the presets.
    """
    try:
        return find_checkpoint(folder.root, name)
    except UserError as error:
        raise UserError(f"{error}; presets are {', '.join(PRESETS)}, and those for images in --help") from None


def export(path: Path, target: Path) -> None:
    """Writes a checkpoint without its training state.

    Of the folders with the training audio, and of the file that the run started from, only the names are kept, because
    the file may be shared.

    Args:
        path: the checkpoint.
        target: file to write, usually data/pretrained/wavenet_<name>.pth.

    Raises:
        UserError: the checkpoint cannot be read or the target cannot be written.
    """
    write_exported(target, KIND, shareable(read_trained(path)))


def shareable(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a checkpoint's content with names in the place of this machine's paths."""
    config = content["config"]
    corpus = {**config["corpus"], "paths": [Path(path).name for path in config["corpus"]["paths"]]}
    start = config["training"]["start_from"]
    training = {**config["training"], "start_from": None if start is None else _name_of(Path(start))}
    return {**content, "config": {**config, "corpus": corpus, "training": training}}


def to_share(content: dict[str, Any], name: str, voice: VoiceFacts) -> dict[str, Any]:
    """Returns what `write_voice` writes of a checkpoint.

    Args:
        content: what `read_trained` returned.
        name: of the model.
        voice: what it says of itself.
    """
    shared = shareable(content)
    return {**shared, "config": {**shared["config"], "name": name}, "voice": voice.model_dump()}


def _name_of(model: Path) -> str:
    """Returns the name of a model's file, or of the run that the file is in."""
    return model.parent.name if model.name in (BEST, LAST) else model.name


def export_run(checkpoint: str | None, name: str | None, folder: DataFolder) -> Path:
    """Exports a checkpoint into the pretrained folder and returns the file written there.

    Args:
        checkpoint: name as for `find_checkpoint`.
        name: middle of wavenet_<name>.pth; None for the run's own name.
        folder: the data folder.

    Raises:
        UserError: there is no such checkpoint, the name contains a slash, or the file cannot be written.
    """
    path = find_checkpoint(folder.root, checkpoint)
    target = folder.pretrained / f"wavenet_{export_name(name or load_trained(path).config.name)}.pth"
    export(path, target)
    return target
