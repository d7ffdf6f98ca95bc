"""Every setting of a run: frozen, typed, refused by name when misspelt, and the named presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from wavenet_app.coding import Coding
from wavenet_app.core.dilation import dilation_cycle, receptive_field
from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import Settings
from wavenet_app.heads import DEFAULT_HEAD, HEADS, CategoricalHead, Head, LogisticsHead, head_of

if TYPE_CHECKING:
    HeadName = str
else:
    HeadName = Literal[tuple(HEADS)]

MELODY_CHANNELS = 3
"""Cosine and sine of how far a voice is in its period, and whether there is one."""


class MelConfig(Settings):
    """How a waveform becomes the log-mel frames that a model is conditioned on.

    What is unset is a matter of the sample rate; `resolved` fills it in. The frames of one model have to be made in
    the same way for training and for vocoding, so the checkpoint holds all of it.
    """

    n_mels: int = Field(default=80, ge=1, description="bands, evenly spaced on the mel scale")
    hop_length: int | None = Field(default=None, ge=1, description="samples a frame; unset: about 12.5 ms")
    n_fft: int | None = Field(default=None, ge=2, description="samples of a frame's window; unset: four hops")
    fmin: float = Field(default=0.0, ge=0, description="Hz; lower edge of the lowest band")
    fmax: float | None = Field(default=None, gt=0, description="Hz; upper edge of the highest; unset: half the rate")
    floor: float = Field(default=1e-5, gt=0, description="least magnitude of a band, before the logarithm")
    upsampling: int = Field(default=20, ge=1, description="learned steps a frame; a divisor of hop_length")
    melody: bool | None = Field(
        default=None, description="whether the net is also told how far a voice is in its period; unset: yes"
    )

    def resolved(self, sample_rate: int) -> MelConfig:
        """Returns the settings with nothing unset.

        Raises:
            UserError: they contradict each other or the sample rate.

        >>> MelConfig().resolved(16_000).hop_length
        200
        """
        hop = self.hop_length or self.upsampling * max(1, round(0.0125 * sample_rate / self.upsampling))
        n_fft = self.n_fft or 4 * hop + hop % 2
        fmax = self.fmax or sample_rate / 2
        for unfit, problem in (
            (hop % self.upsampling, f"hop_length = {hop} must be a multiple of upsampling = {self.upsampling}"),
            (n_fft < hop or (n_fft - hop) % 2, f"n_fft = {n_fft} must be hop_length = {hop} plus an even number"),
            (not self.fmin < fmax <= sample_rate / 2, f"fmin = {self.fmin:g} and fmax = {fmax:g} must rise and not "
             f"exceed half the sample rate of {sample_rate}"),
        ):  # fmt: skip
            if unfit:
                raise UserError(f"model.mel: {problem}")
        melody = self.melody is not False
        return self.model_copy(update={"hop_length": hop, "n_fft": n_fft, "fmax": fmax, "melody": melody})

    @property
    def hop(self) -> int:
        """Samples a frame, once resolved."""
        assert self.hop_length is not None, "the settings were not resolved"
        return self.hop_length

    @property
    def hold(self) -> int:
        """Samples for which the net sees the same condition, once resolved."""
        return self.hop // self.upsampling

    @property
    def melody_channels(self) -> int:
        """Numbers that a step says of the melody."""
        return MELODY_CHANNELS if self.melody else 0

    @property
    def columns(self) -> int:
        """Numbers of a frame as a model is told it: its bands, then its steps' melody."""
        return self.n_mels + self.upsampling * self.melody_channels


class ModelConfig(Settings):
    """Shape of a WaveNet (van den Oord et al. 2016, sections 2.1 to 2.5)."""

    residual_channels: int = Field(default=32, ge=1, description="width of the residual stream")
    dilation_channels: int = Field(default=32, ge=1, description="width of each half of the gate")
    skip_channels: int = Field(default=128, ge=1, description="width of the skip sum and of the first output layer")
    kernel_size: Literal[2, 3] = Field(default=2, description="taps of every dilated convolution and of the front")
    dilations: tuple[int, ...] = Field(
        default=dilation_cycle(10, repeats=2), description="spacing of the taps, a layer each"
    )
    head: HeadName = Field(
        default=DEFAULT_HEAD.name,
        description="what is predicted: a mu-law code, or a 16-bit sample by a mixture of logistics or one Gaussian",
    )
    quantization_channels: int = Field(
        default=CategoricalHead.quantization_channels,
        description="number of mu-law codes, a power of two; for that head alone",
    )
    mixtures: int = Field(
        default=LogisticsHead.mixtures, ge=1, le=100, description="number of logistics; for that head alone"
    )
    speakers: tuple[str, ...] = Field(default=(), description="names the net can be told; empty: it is told of none")
    global_channels: int = Field(default=16, ge=1, description="width of a speaker's embedding, where there are any")
    mel: MelConfig | None = Field(default=None, description="log-mel frames the net is told; unset: none")
    local_channels: int = Field(default=64, ge=1, description="width of the upsampled frames, where there are any")

    @field_validator("dilations")
    @classmethod
    def _positive_dilations(cls, dilations: tuple[int, ...]) -> tuple[int, ...]:
        if not dilations or min(dilations) < 1:
            raise ValueError("needs at least one dilation, each at least 1")
        return dilations

    @field_validator("quantization_channels")
    @classmethod
    def _power_of_two(cls, channels: int) -> int:
        if channels not in (2**bits for bits in range(1, 11)):
            raise ValueError("must be a power of two from 2 to 1024")
        return channels

    @model_validator(mode="after")
    def _settings_of_this_head(self) -> ModelConfig:
        for head in HEADS.values():
            for name in set(head.settings()) - set(HEADS[self.head].settings()):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} = {getattr(self, name)} is for the head {head.name}, not for {self.head}")
        return self

    @property
    def output_head(self) -> Head:
        """The meaning of the last layer's outputs."""
        return head_of(self)

    @property
    def coding(self) -> Coding:
        """The integers that are predicted."""
        return self.output_head.coding

    @property
    def output_channels(self) -> int:
        """How many numbers describe the next sample; see `wavenet_app.heads`."""
        return self.output_head.output_channels

    @property
    def local_width(self) -> int:
        """Width of what a step is told: the upsampled frames, and the melody."""
        return self.local_channels + self.mel.melody_channels if self.mel else 0

    @property
    def conditioned(self) -> bool:
        """Whether the net is told of anything beside the samples before."""
        return bool(self.speakers) or self.mel is not None

    @property
    def receptive_field(self) -> int:
        """Samples that one prediction can see, the newest included; the front adds one layer of dilation 1."""
        return receptive_field(self.kernel_size, (1, *self.dilations))

    @property
    def multiply_accumulates(self) -> int:
        """Products that one new sample takes; the front, which looks codes up, counts none."""
        gate = self.kernel_size * self.residual_channels * 2 * self.dilation_channels
        outputs = self.dilation_channels * (self.residual_channels + self.skip_channels)
        last_residual = self.dilation_channels * self.residual_channels
        logits = self.skip_channels * (self.skip_channels + self.output_channels)
        return len(self.dilations) * (gate + outputs) - last_residual + logits


class AudioConfig(Settings):
    """How a sound file becomes the waveform that the model sees."""

    sample_rate: int = Field(default=16_000, ge=1_000, le=192_000, description="Hz; every file is resampled to it")
    gain: float = Field(default=1.0, gt=0, description="factor fixed from the training split (robust peak to 0.9)")
    trim_decibels: float = Field(
        default=45.0, ge=0, description="silence this far below a clip's own peak is trimmed at its ends; 0 keeps all"
    )


class CorpusConfig(Settings):
    """Where the audio comes from and how it is split."""

    paths: tuple[str, ...] = Field(default=(), description="folders and files; empty means the built-in corpus")
    validation_fraction: float = Field(default=0.1, gt=0, lt=1, description="share of the files held out")
    split_by: str | None = Field(
        default=None, description="regular expression; files whose match is equal stay on the same side of the split"
    )
    speakers: str | None = Field(
        default=None, description="who speaks in a file: folder, csv:FILE or regex:PATTERN; unset: nobody asks"
    )


class TrainingConfig(Settings):
    """How the weights are found."""

    window: int = Field(default=6_144, ge=1, description="samples that count in the loss, a window")
    batch_size: int = Field(default=1, ge=1, description="windows a step of each process")
    processes: int | None = Field(
        default=None,
        ge=1,
        description="processes that take each step together; unset: one on a GPU, one for each core up to four without",
    )
    learning_rate: float = Field(default=5e-3, gt=0, description="greatest learning rate")
    warmup_steps: int = Field(default=200, ge=0, description="steps of linear warm-up")
    final_learning_rate: float = Field(
        default=0.02, ge=0, le=1, description="share of the greatest rate left at the end"
    )
    gradient_clip: float = Field(default=1.0, gt=0, description="greatest norm of the gradient")
    ema_decay: float = Field(default=0.999, ge=0, lt=1, description="decay of the averaged weights, reached by warm-up")
    max_steps: int | None = Field(default=None, ge=1, description="optimizer steps")
    minutes: float | None = Field(default=None, gt=0, description="wall-clock limit")
    validate_seconds: float = Field(default=30.0, gt=0, description="time between validations")
    checkpoint_seconds: float = Field(default=60.0, ge=0, description="time between writings of last.pth")
    seed: int = Field(default=0, ge=0, description="seed of the initial weights and of the order of the windows")
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="arithmetic of the products")


class RunConfig(Settings):
    """All settings of one run, as they stand in its checkpoint."""

    name: str = Field(default="run", description="folder of the run under checkpoints/")
    model: ModelConfig = ModelConfig()
    audio: AudioConfig = AudioConfig()
    corpus: CorpusConfig = CorpusConfig()
    training: TrainingConfig = TrainingConfig()


# Wider nets take smaller steps: with Adam the best rate falls about as one over the width (Yang et al. 2022, table 3).
# Only the rate of `small` has been searched for, for half an hour; `tiny` is for minutes, which want a higher one.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {
        "model": {
            "residual_channels": 24,
            "dilation_channels": 24,
            "skip_channels": 64,
            "dilations": dilation_cycle(9, repeats=1),
        },
        "training": {"learning_rate": 1e-2},
    },
    "small": {
        "model": {
            "residual_channels": 32,
            "dilation_channels": 32,
            "skip_channels": 128,
            "dilations": dilation_cycle(10, repeats=2),
        },
    },
    "base": {
        "model": {
            "residual_channels": 64,
            "dilation_channels": 64,
            "skip_channels": 256,
            "dilations": dilation_cycle(10, repeats=3),
        },
        "training": {"learning_rate": 2.5e-3},
    },
    "large": {
        "model": {
            "residual_channels": 128,
            "dilation_channels": 128,
            "skip_channels": 256,
            "dilations": dilation_cycle(10, repeats=4),
        },
        "training": {"learning_rate": 1.2e-3},
    },
}


def preset(name: str) -> RunConfig:
    """Returns the settings of a named preset.

    Raises:
        UserError: no preset has that name.

    >>> preset("base").model.receptive_field
    3071
    """
    if name not in PRESETS:
        raise UserError(f"no preset is called '{name}'; choose one of {', '.join(PRESETS)} (or auto)")
    return RunConfig.model_validate(PRESETS[name])
