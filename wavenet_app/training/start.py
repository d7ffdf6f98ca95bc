"""Starting a run from a trained model: the settings it gives, and every tensor that fits by name and shape."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wavenet_app.checkpoints.trained import find_checkpoint, read_trained
from wavenet_app.config import ModelConfig, RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import override, validated
from wavenet_app.corpus.corpus import MAX_AUTO_RATE, Corpus
from wavenet_app.heads import HEADS
from wavenet_app.network.shapes import parameter_shapes

if TYPE_CHECKING:
    from torch import Tensor

_BODY = ".dilated.weight"
_EMBEDDINGS = "global_condition.embeddings"
_OF_SPEAKERS = "global_projection.weight"
_PROJECTIONS = (_OF_SPEAKERS, "local_projection.weight")
GREATEST_RATE = 5e-3
"""Learning rate of a run that starts from a model, at most: with SOAP, 8e-3 ended at more bits and less pitch."""

_SHAPE_SETTINGS = ("residual_channels", "dilation_channels", "kernel_size")


@dataclass(frozen=True)
class Source:
    """A trained model that a run starts from.

    Attributes:
        name: as the user gave it.
        path: its file.
        config: all settings of its run.
        weights: its averaged weights by name.
    """

    name: str
    path: Path
    config: RunConfig
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Start:
    """What a run takes over from a model.

    Attributes:
        weights: the tensors to put into the new net; all others keep their initial values.
        notes: what was taken and what is new, a line each.
    """

    weights: dict[str, Tensor]
    notes: list[str]


def read_source(name: str, folder: DataFolder) -> Source:
    """Returns the model of a file, a run or a shipped voice.

    Raises:
        UserError: there is no such model, or it cannot be read.
    """
    return source_at(find_checkpoint(folder.root, name), name)


def source_at(path: Path, name: str) -> Source:
    """Returns the model of a file.

    Args:
        path: the file.
        name: what to call it.

    Raises:
        UserError: it cannot be read.
    """
    content = read_trained(path)
    return Source(name, path, validated(RunConfig, content["config"]), content["weights"])


def settings_from(source: Source, head: str | None) -> RunConfig:
    """Returns the settings that a run has from its source: the model but for its speakers, and the learning rate.

    A model that reads linear prediction also reads innovations from now on, whose table begins with zeros.

    Args:
        source: the model to start from.
        head: the head that the user chose; None for that of the source.
    """
    model = source.config.model.model_dump(exclude={"speakers"})
    if head is not None and head in HEADS and head != model["head"]:
        for name in set(HEADS[model["head"]].settings()) - set(HEADS[head].settings()):
            del model[name]
        model["head"] = head
    if model["prediction"] is not None:
        model["prediction"]["innovation"] = True
    rate = source.config.training.learning_rate
    return override(RunConfig(), {"model": model, "training": {"learning_rate": rate}})


def at_gentle_rate(config: RunConfig) -> tuple[RunConfig, list[str]]:
    """Returns the settings of a run that starts from a model at a rate of at most 5e-3; a line if it fell."""
    usual = config.training.learning_rate
    if usual <= GREATEST_RATE:
        return config, []
    note = f"the learning rate is {GREATEST_RATE:g} instead of {usual:g}, as the run starts from a trained model"
    return override(config, {"training": {"learning_rate": GREATEST_RATE}}), [note]


def rate_note(source: Source, corpus: Corpus) -> list[str]:
    """Returns a line if the recordings are at another rate than the run would otherwise have."""
    rates = Counter(clip.native_rate for clip in corpus.training + corpus.validation)
    usual, rate = min(rates.most_common(1)[0][0], MAX_AUTO_RATE), corpus.sample_rate
    if usual == rate:
        return []
    above = f", so there is nothing above {usual // 2} Hz in them" if usual < rate else ""
    return [f"the recordings are resampled to the {rate} Hz of {source.name}{above}"]


def take_over(source: Source, config: ModelConfig) -> Start:
    """Returns the weights of a source that fit a new model by name and shape.

    Conditioning that the source does not have starts at zero, so that the new net begins as the source; new speakers
    start at the mean of the source's.

    Args:
        source: the model to start from.
        config: of the new model.

    Raises:
        UserError: no dilated convolution fits.
    """
    shapes = parameter_shapes(config)
    own = {name: tensor.float() for name, tensor in source.weights.items()}
    taken = {name: own[name] for name, shape in shapes.items() if name in own and tuple(own[name].shape) == shape}
    taken.pop(_EMBEDDINGS, None)  # its rows are those of the source's speakers
    if not any(name.endswith(_BODY) for name in taken):
        raise UserError(_no_fit(source, config))
    notes = []
    if config.speakers:
        notes += _take_speakers(source.config.model.speakers, own, config, shapes, taken)
    if _EMBEDDINGS in own and not _projections_of(taken, "global"):
        _fold_mean_speaker(own, taken)
        own = {name: tensor for name, tensor in own.items() if not name.endswith((_EMBEDDINGS, _OF_SPEAKERS))}
        notes.append(f"the net starts as the mean of the speakers of {source.name}, which it does not keep apart")
    fitting = set(taken)
    taken |= _silent_projections(shapes, taken)
    total = _total(shapes)
    share = "all" if len(fitting) == len(shapes) else f"{_size(taken, fitting):,} of"
    lines = [f"starts from {source.name}, {source.path}: {share} {total:,} weights"]
    new, left = [name for name in shapes if name not in fitting], [name for name in own if name not in fitting]
    lines += [f"new: {_listed(new)}"] if new else []
    lines += [f"not taken from {source.name}: {_listed(left)}"] if left else []
    depth = min(len(config.dilations), len(source.config.model.dilations))
    if config.dilations[:depth] != source.config.model.dilations[:depth]:
        notes.append(f"the dilations are not those of {source.name}; each layer has the weights of the same number")
    before, now = (model.mel is not None and bool(model.mel.filter_order) for model in (source.config.model, config))
    if before != now:
        filtered = ("the waveform itself", "what the filter of the frames takes")
        notes.append(f"the codes of {source.name} are of {filtered[before]}, those of this run of {filtered[now]}")
    return Start(taken, [*lines, *notes])


def _take_speakers(
    known: Sequence[str],
    own: Mapping[str, Tensor],
    config: ModelConfig,
    shapes: Mapping[str, tuple[int, ...]],
    taken: dict[str, Tensor],
) -> list[str]:
    """Puts an embedding for each speaker into `taken`, if the source has embeddings of that width; returns notes."""
    import torch

    fresh = [name for name in config.speakers if name not in known]
    note = [f"speakers with new embeddings: {', '.join(fresh)}"] if fresh else []
    if _EMBEDDINGS not in own or own[_EMBEDDINGS].shape[1] != shapes[_EMBEDDINGS][1]:
        return note
    table, places = own[_EMBEDDINGS], {name: row for row, name in enumerate(known)}
    mean = table.mean(dim=0)
    rows = [table[places[name]] if name in places else mean for name in config.speakers]
    taken[_EMBEDDINGS] = torch.stack(rows)
    return [f"{note[0]} (at the mean of those of the source)"] if note else []


def _fold_mean_speaker(own: Mapping[str, Tensor], taken: dict[str, Tensor]) -> None:
    """Adds what the source's speakers add to its gates on average to the biases that were taken."""
    mean = own[_EMBEDDINGS].mean(dim=0)
    for name, projection in own.items():
        bias = name.replace(_OF_SPEAKERS, "dilated.bias")
        if name.endswith(_OF_SPEAKERS) and bias in taken:
            taken[bias] = taken[bias] + projection.flatten(1) @ mean


def _silent_projections(shapes: Mapping[str, tuple[int, ...]], taken: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns zeros for the projections of conditioning that the layers taken over do not have."""
    import torch

    return {
        name: torch.zeros(shape)
        for name, shape in shapes.items()
        if name.endswith(_PROJECTIONS) and name not in taken and f"{name.rsplit('.', 2)[0]}.dilated.weight" in taken
    }


def _projections_of(taken: Mapping[str, Tensor], kind: str) -> bool:
    return any(name.endswith(f"{kind}_projection.weight") for name in taken)


def _size(tensors: Mapping[str, Tensor], names: set[str]) -> int:
    return sum(tensors[name].numel() for name in names)


def _total(shapes: Mapping[str, tuple[int, ...]]) -> int:
    total = 0
    for shape in shapes.values():
        count = 1
        for length in shape:
            count *= length
        total += count
    return total


def _listed(names: Sequence[str]) -> str:
    """Returns names of tensors, the layers of each kind as one.

    >>> _listed(["blocks.0.skip.bias", "blocks.1.skip.bias", "output2.bias"])
    'blocks.*.skip.bias, output2.bias'
    """
    return ", ".join(dict.fromkeys(re.sub(r"^blocks\.\d+", "blocks.*", name) for name in names))


def _no_fit(source: Source, config: ModelConfig) -> str:
    """Returns why the layers of a source do not fit, and what to change."""
    before = source.config.model
    other = [name for name in _SHAPE_SETTINGS if getattr(before, name) != getattr(config, name)]
    listed = ", ".join(
        f"model.{name} is {getattr(before, name)} there and {getattr(config, name)} here" for name in other
    )
    return (
        f"no layer of {source.name} fits this model: {listed}; drop --preset and --set to take over the shape of "
        f"{source.name}, or drop --start-from"
    )
