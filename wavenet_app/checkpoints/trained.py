"""Trained WaveNets: finds checkpoints, loads them, and exports them without training state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavenet_app.config import PRESETS, RunConfig
from wavenet_app.core.checkpoint import export_name, read_checkpoint, write_exported
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import BEST, first_file, places_of, run_names
from wavenet_app.core.settings import validated
from wavenet_app.core.text import did_you_mean

if TYPE_CHECKING:
    from wavenet_app.network.model import WaveNet

KIND = "wavenet"


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
    # these take time to import, and neither is needed to find a checkpoint
    from wavenet_app.checkpoints.content import WaveNetContent
    from wavenet_app.network.model import WaveNet

    content = read_checkpoint(path, KIND, WaveNetContent)
    config = validated(RunConfig, content["config"])
    model = WaveNet(config.model)
    model.load_state_dict(content["weights"])
    return Trained(model.eval(), config, content)


def find_checkpoint(data_dir: Path, name: str | None) -> Path:
    """Returns the checkpoint file for a name.

    Args:
        data_dir: root of the data folder.
        name: a file, the folder or name of a run, the name of a pretrained file, or None for the newest run.

    Raises:
        UserError: there is no such checkpoint; the message lists the existing ones.
    """
    runs = data_dir / "checkpoints"
    if name is None:
        candidates = sorted(runs.glob(f"*/{BEST}"), key=lambda path: path.stat().st_mtime)
        if not candidates:
            raise UserError(f"there is no trained model in {runs} yet; train one with: wavegen train FOLDER")
        return candidates[-1]
    stem = name.removesuffix(".pth").removeprefix("wavenet_")
    path = first_file(*places_of(name, runs, BEST), data_dir / "pretrained" / f"wavenet_{stem}.pth")
    if path is not None:
        return path
    known = run_names(runs, BEST)
    known += [path.stem.removeprefix("wavenet_") for path in (data_dir / "pretrained").glob("wavenet_*.pth")]
    listed = f"there are: {', '.join(sorted(known))}" if known else f"none has been trained in {runs} yet"
    raise UserError(f"no checkpoint is called '{name}'{did_you_mean(name, known)}; {listed}")


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

    Of the folders with the training audio only the names are kept, because the file may be shared.

    Args:
        path: the checkpoint.
        target: file to write, usually data/pretrained/wavenet_<name>.pth.

    Raises:
        UserError: the checkpoint cannot be read or the target cannot be written.
    """
    from wavenet_app.checkpoints.content import WaveNetContent

    content = read_checkpoint(path, KIND, WaveNetContent)
    corpus = content["config"]["corpus"]
    corpus["paths"] = [Path(path).name for path in corpus["paths"]]
    write_exported(target, KIND, content)


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
