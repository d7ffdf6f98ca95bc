"""What a library does with frames by default, where the user does not say and the model does something else."""

from __future__ import annotations

from dataclasses import dataclass

from fast_gen.vocoding.making import Making
from wavenet_app.audio.mel import MelFrames


@dataclass(frozen=True)
class LibraryDefaults:
    """The defaults of a library's function for mel frames, which most programs change.

    Attributes:
        sample_rate: in Hz.
        hop: samples from frame to frame.
        window: samples of a frame's Fourier transform.
    """

    sample_rate: int
    hop: int
    window: int


LIBRARY_DEFAULTS = {
    "librosa": LibraryDefaults(22_050, 512, 2_048),  # librosa.feature.melspectrogram, librosa.load
    "torchaudio": LibraryDefaults(16_000, 200, 400),  # torchaudio.transforms.MelSpectrogram
}
"""Library -> its defaults; the bands of both reach from 0 Hz to half the rate."""


def not_stated(made_by: str, stated: Making, mel: MelFrames) -> str | None:
    """Returns a note on settings that the user leaves open, and that are other ones by default; None if there are none.

    Args:
        made_by: the program.
        stated: what is known of the frames.
        mel: the frames of the model.
    """
    defaults = LIBRARY_DEFAULTS.get(made_by)
    if defaults is None:
        return None
    settings = mel.mel
    assert settings.fmax is not None
    unsure = []  # option, value of the model, default of the library
    for option, said, own, usual, unit in (
        ("--sample-rate", stated.sample_rate, mel.sample_rate, defaults.sample_rate, " Hz"),
        ("--hop", stated.hop, mel.hop, defaults.hop, ""),
        ("--window", stated.window, settings.n_fft, defaults.window, ""),
        ("--fmin", stated.fmin, settings.fmin, 0.0, " Hz"),
    ):
        if said is None and own != usual:
            unsure.append((option, f"{own:,g}{unit}", f"{usual:,g}{unit}"))
    if stated.fmax is None and settings.fmax != (stated.sample_rate or mel.sample_rate) / 2:
        unsure.append(("--fmax", f"{settings.fmax:,g} Hz", "half the rate"))
    if not unsure:
        return None
    options = ", ".join(option for option, _, _ in unsure)
    taken = ", ".join(f"{option} {value}" for option, value, _ in unsure)
    by_default = ", ".join(f"{option} {value}" for option, _, value in unsure)
    return (
        f"{options} {'is' if len(unsure) == 1 else 'are'} not stated and taken from the model ({taken}), but "
        f"{made_by}'s defaults are {by_default}; state those that were used, or the sound is wrong"
    )
