"""Names and shapes of a WaveNet's parameters by its settings alone, so that a file is checked before a net is built."""

from __future__ import annotations

from wavenet_app.config import ModelConfig
from wavenet_app.network.prediction.rows import INNOVATIONS, SIZES, VALUES


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns what the state dict of `WaveNet(config)` holds: name -> shape.

    >>> parameter_shapes(ModelConfig(dilations=(1,)))["blocks.0.dilated.weight"]
    (64, 32, 2)
    """
    residual, dilation, skip, taps = (
        config.residual_channels,
        config.dilation_channels,
        config.skip_channels,
        config.kernel_size,
    )
    shapes: dict[str, tuple[int, ...]]
    if config.output_head.one_hot_front:
        shapes = {"front.tables": (taps, config.quantization_channels, residual)}
    else:
        shapes = {"front.weight": (taps, residual)}
    shapes["front.bias"] = (residual,)
    if config.prediction:
        shapes |= {"prediction.value_table": (VALUES, residual), "prediction.size_table": (SIZES, residual)}
        if config.prediction.innovation:
            shapes["prediction.innovation_table"] = (INNOVATIONS, residual)
    for layer in range(len(config.dilations)):
        block = f"blocks.{layer}"
        shapes |= _with_bias(f"{block}.dilated", (2 * dilation, residual, taps))
        if config.speakers:
            shapes[f"{block}.global_projection.weight"] = (2 * dilation, config.global_channels, 1)
        if config.local_width:
            shapes[f"{block}.local_projection.weight"] = (2 * dilation, config.local_width, 1)
        if layer < len(config.dilations) - 1:
            shapes |= _with_bias(f"{block}.residual", (residual, dilation, 1))
        shapes |= _with_bias(f"{block}.skip", (skip, dilation, 1))
    shapes |= _with_bias("output1", (skip, skip))
    shapes |= _with_bias("output2", (config.output_channels, skip))
    if config.speakers:
        shapes["global_condition.embeddings"] = (len(config.speakers), config.global_channels)
    if config.mel:
        local = config.local_channels
        shapes |= _with_bias("local_condition.surroundings", (local, config.mel.n_mels, 5))
        shapes |= _with_bias("local_condition.steps", (config.mel.upsampling * local, local, 3))
    return shapes


def _with_bias(name: str, weight: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}
