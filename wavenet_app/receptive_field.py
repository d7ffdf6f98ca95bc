"""`wavegen receptive-field` for WaveNets: the theoretical and the effective receptive field of a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from wavenet_app.audio.mel import MelFrames
from wavenet_app.audio.mono import read_audio
from wavenet_app.checkpoints.trained import find_checkpoint_or_name_presets, load_trained
from wavenet_app.config import PRESETS, RunConfig, preset
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.dilated import ResidualBlock
from wavenet_app.core.errors import UserError
from wavenet_app.core.receptive_field.effective import effective_field
from wavenet_app.core.receptive_field.pictures import write_field_picture
from wavenet_app.core.receptive_field.report import FieldReport, FieldRequest
from wavenet_app.core.receptive_field.touched import reach, structural_twin, touched_map
from wavenet_app.core.receptive_field.view import measuring, show
from wavenet_app.corpus.plucked import plucked_clips
from wavenet_app.corpus.sources import scan_sources
from wavenet_app.network.model import WaveNet

DEFAULT_COUNT = 16


def run_wavenet_field(request: FieldRequest, folder: DataFolder, *, console: Console, as_json: bool) -> None:
    """Measures and draws the receptive field of a WaveNet, and prints its size.

    Raises:
        UserError: there is no such checkpoint or preset, the inputs cannot be read, or an option is only for images.
    """
    for option, value in (("--size", request.size), ("--output-stride", request.output_stride)):
        if value is not None:
            raise UserError(f"{option} {value} is for DeepLabs, but '{request.name}' is a WaveNet; drop it")
    nets: dict[str, WaveNet] = {}
    if request.name in PRESETS and not Path(request.name).exists():
        config, title = preset(request.name), f"preset_{request.name}"
    else:
        trained = load_trained(find_checkpoint_or_name_presets(request.name, folder))
        config, title = trained.config, trained.config.name
        nets["trained"] = trained.model
    generator = torch.Generator().manual_seed(request.seed)
    nets = {"untrained": untrained(config, generator), **nets}
    count = DEFAULT_COUNT if request.count is None else request.count
    clips, described = _clips(config, request.inputs, folder, count, request.seed)
    report = measure(title, config, nets, clips, described, generator)
    picture = folder.receptive_field_viz / f"{title}.png"
    write_field_picture(picture, report)
    show(report, picture, console=console, as_json=as_json)


def measure(
    name: str,
    config: RunConfig,
    nets: dict[str, WaveNet],
    clips: Sequence[NDArray[np.int64]],
    described: str,
    generator: torch.Generator,
) -> FieldReport:
    """Returns the receptive field of the newest prediction of WaveNets of one architecture.

    Mu-law codes are discrete, so gradients are taken with respect to the output of the front. Each position of it
    depends on `kernel_size` codes: the theoretical field, in codes, is `kernel_size` - 1 longer than the map.

    Args:
        name: name of the run or preset.
        config: config of all the nets.
        nets: "untrained" or "trained" -> the net.
        clips: codes, each of shape (receptive_field,).
        described: description of the clips.
        generator: draws the random signs of the estimate.
    """
    field = config.model.receptive_field
    width = config.model.residual_channels
    twin = structural_twin(nets["untrained"])
    touched = touched_map(lambda hidden: newest_logits(twin, hidden), width, (field - config.model.kernel_size + 1,))
    place = (len(touched) - 1,)
    energies = {}
    for net, model in nets.items():
        model.requires_grad_(False)
        fronts = (_front(model, codes)[:, -len(touched) :] for codes in clips)
        energies[net] = effective_field(
            lambda hidden, model=model: newest_logits(model, hidden),  # type: ignore[misc]
            measuring(fronts, len(clips), f"measuring the {net} net"),
            generator,
        )
    return FieldReport(
        name=name,
        unit="samples",
        field=(field,),
        reach=reach(touched, place),
        sees_everything=(),
        place=place,
        touched=touched,
        energies=energies,
        inputs=described,
        sample_rate=config.audio.sample_rate,
    )


def newest_logits(model: WaveNet, hidden: Tensor) -> Tensor:
    """Returns the outputs (batch, output_channels) for the next code, by the plain blocks.

    Args:
        model: the net; its conditioning is zero in every block.
        hidden: output of the front, (batch, residual_channels, time).
    """
    batch, _, time = hidden.shape
    skips: Tensor | float = 0.0
    for block in model.blocks:
        assert isinstance(block, ResidualBlock)
        speaker, content = block.global_projection, block.local_projection
        hidden, skip = block(
            hidden,
            None if speaker is None else hidden.new_zeros(batch, speaker.weight.shape[1]),
            None if content is None else hidden.new_zeros(batch, content.weight.shape[1], time),
        )
        skips = skips + skip[..., -1]
    assert isinstance(skips, Tensor)
    return model.output2(F.relu(model.output1(F.relu(skips))))


def untrained(config: RunConfig, generator: torch.Generator) -> WaveNet:
    """Returns a net with initial weights, except for the last layer, whose zeros would hide the other layers."""
    model = WaveNet(config.model, generator).eval()
    with torch.no_grad():
        model.output2.weight.normal_(std=config.model.skip_channels**-0.5, generator=generator)
    return model


@torch.no_grad()
def _front(model: WaveNet, codes: NDArray[np.int64]) -> Tensor:
    return model.first_inputs(torch.from_numpy(codes)[None])[0].t()


def _clips(
    config: RunConfig, inputs: str | None, folder: DataFolder, count: int, seed: int
) -> tuple[list[NDArray[np.int64]], str]:
    """Returns `count` windows of codes, as long as the receptive field, and a description of their source.

    The source is the given audio, else the training audio of the run if it still exists, else the built-in corpus.
    """
    rate, length = config.audio.sample_rate, config.model.receptive_field
    generator = np.random.default_rng(seed)
    if inputs is not None:
        paths = [folder.data_set(inputs)]
    else:
        paths = [Path(path) for path in config.corpus.paths if Path(path).exists()]
    if paths:
        files = [file for _, file in scan_sources(paths).files]
        if not files:
            raise UserError(f"{', '.join(map(str, paths))} holds no audio to average over; name some with --inputs")
        waveforms = [read_audio(files[number * len(files) // count], rate) for number in range(count)]
        described = f"{count} stretches of {', '.join(path.name for path in paths)}"
    else:
        waveforms = [clip for _, clip in islice(plucked_clips(rate, count=count), count)]
        described = f"{count} stretches of the built-in strings"
    gain = config.audio.gain if paths else 1.0  # the built-in strings are at full level
    cut = [_stretch(gain * waveform, length, generator) for waveform in waveforms]
    mel = None if config.model.mel is None else MelFrames(config.model.mel, rate)
    coded = [clip if mel is None else mel.coded(clip.astype(np.float32)) for clip in cut]
    return [config.model.coding.encode(clip).astype(np.int64) for clip in coded], described


def _stretch(waveform: NDArray[np.floating], length: int, generator: np.random.Generator) -> NDArray[np.floating]:
    """Returns a random stretch of a clip; silence is put before a clip that is too short."""
    if len(waveform) < length:
        return np.pad(waveform, (length - len(waveform), 0))
    start = int(generator.integers(len(waveform) - length + 1))
    return waveform[start : start + length]
