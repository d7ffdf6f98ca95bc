"""The options of a training whose vocoder takes frames of other settings."""

from __future__ import annotations

from fast_gen.vocoding.making import Making
from wavenet_app.config import AudioConfig, MelConfig
from wavenet_app.core.settings import validated

_FINEST = 20
"""Learned steps per frame that a training takes where the settings do not say."""


def training_options(making: Making, bands: int) -> list[str]:
    """Returns the options of `wavegen train` for a vocoder of such frames.

    They name each setting that is not the default of that run, whose defaults depend on its sample rate and hop.

    Args:
        making: how the frames are made; the sample rate, the hop, the window and the range are known.
        bands: of a frame.

    Raises:
        UserError: no vocoder can have such frames.

    >>> training_options(Making("ln", 22_050, 256, 1_024, 0.0, 8_000.0), 80)[2:]
    ['--set model.mel.hop_length=256', '--set model.mel.upsampling=16', '--set model.mel.fmax=8000']
    """
    rate, hop = making.sample_rate, making.hop
    assert rate is not None
    assert hop is not None
    validated(AudioConfig, {"sample_rate": rate})
    others = {"n_mels": bands, "n_fft": making.window, "fmin": making.fmin, "fmax": making.fmax}
    of_hop = {"hop_length": hop, "upsampling": _steps(hop)}
    validated(MelConfig, {**of_hop, **others}).resolved(rate)  # raises where no vocoder can have them
    default, default_of_hop = MelConfig().resolved(rate), validated(MelConfig, of_hop).resolved(rate)
    needed = {
        **({} if hop == default.hop_length else of_hop),
        **{name: value for name, value in others.items() if value != getattr(default_of_hop, name)},
    }
    if needed.get("upsampling") == default.upsampling:
        del needed["upsampling"]
    return [
        "--condition mel",
        f"--sample-rate {rate}",
        *(f"--set model.mel.{name}={_written(value)}" for name, value in needed.items()),
    ]


def _steps(hop: int) -> int:
    """Returns the divisor of a hop that is nearest to the usual number of learned steps.

    >>> _steps(256)
    16
    """
    return min((steps for steps in range(1, hop + 1) if hop % steps == 0), key=lambda steps: abs(steps - _FINEST))


def _written(value: float | None) -> str:
    """Returns a number as short as it can be read back."""
    short = f"{value:g}"
    return short if float(short) == value else str(value)
