"""All settings of a run, and the named presets. Settings are frozen and typed; unknown names are rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from wavenet_app.coding import Coding
from wavenet_app.core.dilation import dilation_cycle, receptive_field
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.schedules import SCHEDULES
from wavenet_app.core.names import FileName
from wavenet_app.core.settings import Settings, one_of
from wavenet_app.core.text import did_you_mean
from wavenet_app.heads import DEFAULT_HEAD, HEADS, CategoricalHead, Head, LogisticsHead

if TYPE_CHECKING:
    HeadName = str
else:
    HeadName = Literal[tuple(HEADS)]

MELODY_CHANNELS = 3
"""Cosine and sine of the phase of a voice within its period, and whether the frame is voiced."""

DEFAULT_CONTEXT = 512
"""Samples before a training window: with as many as the receptive field, a step takes a quarter longer for the same."""

DEFAULT_JOINED = 0.75
"""Share of the clips of a model with several speakers that follow another; the others begin as generated clips do."""

WIDEST, DEEPEST, GREATEST_DILATION = 2**14, 1_000, 2**20
"""Limits of a network's settings, so that a slip of the keyboard is an error and not hours of waiting for memory."""


class MelConfig(Settings):
    """How a waveform becomes the log-mel frames that condition a model.

    Unset values depend on the sample rate; `resolved` fills them in. Training and vocoding must compute the frames of
    a model in the same way, so the checkpoint stores all settings.
    """

    n_mels: int = Field(default=80, ge=1, le=1_024, description="bands, evenly spaced on the mel scale")
    hop_length: int | None = Field(default=None, ge=1, le=2**16, description="samples per frame; unset: about 12.5 ms")
    n_fft: int | None = Field(default=None, ge=2, le=2**18, description="samples of a frame's window; unset: four hops")
    fmin: float = Field(default=0.0, ge=0, description="Hz; lower edge of the lowest band")
    fmax: float | None = Field(default=None, gt=0, description="Hz; upper edge of the highest; unset: half the rate")
    floor: float = Field(default=1e-5, gt=0, description="minimum magnitude of a band, before the logarithm")
    upsampling: int = Field(default=20, ge=1, le=4_096, description="learned steps per frame; a divisor of hop_length")
    melody: bool | None = Field(
        default=None, description="also condition on the phase of a voice within its period; unset: yes"
    )
    filter_order: int | None = Field(
        default=None,
        ge=0,
        le=512,
        description="order of the filter that the frames put behind the net; 0: none; unset: 6 ms, at most 192",
    )

    def resolved(self, sample_rate: int) -> MelConfig:
        """Returns the settings with all values set.

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
        order = min(round(0.006 * sample_rate), n_fft // 2, 192) if self.filter_order is None else self.filter_order
        if order > n_fft // 2:
            raise UserError(f"model.mel: filter_order = {order} must be at most half of n_fft = {n_fft}")
        changes = {"hop_length": hop, "n_fft": n_fft, "fmax": fmax, "melody": melody, "filter_order": order}
        return self.model_copy(update=changes)

    @property
    def hop(self) -> int:
        """Samples per frame, once resolved."""
        assert self.hop_length is not None, "the settings were not resolved"
        return self.hop_length

    @property
    def hold(self) -> int:
        """Samples that share one conditioning vector, once resolved."""
        return self.hop // self.upsampling

    @property
    def melody_channels(self) -> int:
        """Channels of the melody at each step."""
        return MELODY_CHANNELS if self.melody else 0

    @property
    def columns(self) -> int:
        """Width of a conditioning frame: its bands, then the melody of its steps."""
        return self.n_mels + self.upsampling * self.melody_channels


class PredictionConfig(Settings):
    """Linear prediction as an input of the net; see `wavenet_app.network.prediction`.

    Unset values depend on the sample rate; `resolved` fills them in. Without a sample rate they are those of 16 kHz.
    """

    order: int = Field(default=24, ge=1, le=64, description="samples that a prediction is made of")
    window: int | None = Field(
        default=None, ge=1, le=2**16, description="newest samples that the predictor is solved from; unset: 30 ms"
    )
    hop: int | None = Field(default=None, ge=1, le=2**16, description="samples between solutions; unset: 2.5 ms")
    decay: float = Field(default=0.97, ge=0, lt=1, description="of the running mean of the residual's magnitude")
    innovation: bool = Field(
        default=False, description="also read how far the newest sample is from its prediction, as the presets do"
    )

    @model_validator(mode="after")
    def _window_beyond_order(self) -> PredictionConfig:
        if self.frame <= self.order:
            raise ValueError(f"window = {self.frame} must be more than order = {self.order}")
        return self

    def resolved(self, sample_rate: int) -> PredictionConfig:
        """Returns the settings with all values set.

        >>> PredictionConfig().resolved(44_100).frame
        1323
        """
        window = self.window or max(round(0.03 * sample_rate), self.order + 1)
        return self.model_copy(update={"window": window, "hop": self.hop or max(round(0.0025 * sample_rate), 1)})

    @property
    def frame(self) -> int:
        """Newest samples that the predictor is solved from."""
        return self.window or 480

    @property
    def step(self) -> int:
        """Samples between solutions."""
        return self.hop or 40

    @property
    def memory(self) -> int:
        """Past samples after which the prediction is the same, nearly: the window, a hop, and the running mean's."""
        return self.frame + self.step + round(8 / (1 - self.decay))


class ModelConfig(Settings):
    """Architecture of a WaveNet (van den Oord et al. 2016, sections 2.1 to 2.5)."""

    residual_channels: int = Field(default=32, ge=1, le=WIDEST, description="width of the residual stream")
    dilation_channels: int = Field(default=32, ge=1, le=WIDEST, description="width of each half of the gate")
    skip_channels: int = Field(
        default=128, ge=1, le=WIDEST, description="width of the skip sum and of the first output layer"
    )
    kernel_size: Literal[2, 3] = Field(default=2, description="taps of every dilated convolution and of the front")
    dilations: tuple[int, ...] = Field(
        default=dilation_cycle(10, repeats=2), description="spacing of the taps of each layer"
    )
    head: HeadName = Field(
        default=DEFAULT_HEAD.name,
        description="predicts a mu-law code, or a 16-bit sample by a mixture of logistics or one Gaussian",
    )
    quantization_channels: int = Field(
        default=CategoricalHead.quantization_channels,
        description="number of mu-law codes, a power of two; only for the mu-law head",
    )
    mixtures: int = Field(
        default=LogisticsHead.mixtures, ge=1, le=100, description="number of logistics; only for that head"
    )
    speakers: tuple[str, ...] = Field(default=(), description="names of the speakers; empty: no global conditioning")
    global_channels: int = Field(
        default=16, ge=1, le=WIDEST, description="width of a speaker's embedding, if there are speakers"
    )
    mel: MelConfig | None = Field(default=None, description="log-mel frames for local conditioning; unset: none")
    local_channels: int = Field(
        default=64, ge=1, le=WIDEST, description="width of the upsampled frames, if there are any"
    )

    prediction: PredictionConfig | None = Field(
        default=None, description="linear prediction of the next sample as an input; none: without"
    )

    @field_validator("prediction", mode="before")
    @classmethod
    def _none_in_words(cls, value: Any) -> Any:
        return None if value == "none" else value

    @field_validator("dilations")
    @classmethod
    def _positive_dilations(cls, dilations: tuple[int, ...]) -> tuple[int, ...]:
        if not dilations or min(dilations) < 1:
            raise ValueError("needs at least one dilation, each at least 1")
        if len(dilations) > DEEPEST or max(dilations) > GREATEST_DILATION:
            raise ValueError(f"takes at most {DEEPEST} dilations, each at most {GREATEST_DILATION}")
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
        kind = HEADS[self.head]
        return kind(**{name: getattr(self, name) for name in kind.settings()})

    @property
    def coding(self) -> Coding:
        """The coding of the predicted integers."""
        return self.output_head.coding

    @property
    def output_channels(self) -> int:
        """Parameters of the distribution of the next sample; see `wavenet_app.heads`."""
        return self.output_head.output_channels

    @property
    def local_width(self) -> int:
        """Width of the local condition of a sample: the upsampled frames, and the melody."""
        return self.local_channels + self.mel.melody_channels if self.mel else 0

    @property
    def conditioned(self) -> bool:
        """Whether the model has global or local conditioning."""
        return bool(self.speakers) or self.mel is not None

    @property
    def receptive_field(self) -> int:
        """Samples that one prediction sees, including the newest; the front adds one layer of dilation 1."""
        return receptive_field(self.kernel_size, (1, *self.dilations))

    @property
    def context(self) -> int:
        """Past samples that a prediction depends on: the receptive field, and what the linear predictor remembers."""
        return self.receptive_field + (self.prediction.memory if self.prediction else 0)

    @property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulates per new sample; the front is a table look-up and counts none."""
        gate = self.kernel_size * self.residual_channels * 2 * self.dilation_channels
        outputs = self.dilation_channels * (self.residual_channels + self.skip_channels)
        last_residual = self.dilation_channels * self.residual_channels
        logits = self.skip_channels * (self.skip_channels + self.output_channels)
        return len(self.dilations) * (gate + outputs) - last_residual + logits


class AudioConfig(Settings):
    """How an audio file becomes the waveform that the model sees."""

    sample_rate: int = Field(default=16_000, ge=1_000, le=192_000, description="Hz; all files are resampled to it")
    gain: float = Field(
        default=1.0, gt=0, description="factor that brings the robust peak of the training split to 0.9"
    )
    trim_decibels: float = Field(
        default=45.0, ge=0, description="ends of a clip that are this far below its peak are trimmed; 0 keeps all"
    )


class CorpusConfig(Settings):
    """Which audio is used and how it is split."""

    paths: tuple[str, ...] = Field(default=(), description="folders and files; empty: the built-in corpus")
    validation_fraction: float = Field(default=0.1, gt=0, lt=1, description="share of the files to hold out")
    split_by: str | None = Field(
        default=None, description="regular expression; files with an equal match stay on the same side of the split"
    )
    speakers: str | None = Field(
        default=None,
        description="rule for the speaker of a file: folder, csv:FILE or regex:PATTERN; unset: no speakers",
    )


class TrainingConfig(Settings):
    """How the model is trained."""

    window: int = Field(default=6_144, ge=1, le=2**26, description="samples per window that count in the loss")
    context: int | None = Field(
        default=None,
        ge=1,
        le=2**26,
        description="samples before a window that it sees, at most the receptive field; validation sees all of it; "
        "unset: 512",
    )
    joined: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the clips that follow the end of another clip instead of silence; unset: 0.75 with "
        "several speakers and without mel frames, else 0",
    )
    batch_size: int = Field(default=1, ge=1, le=2**16, description="windows per step of each process")
    processes: int | None = Field(
        default=None,
        ge=1,
        le=2**16,
        description="processes that share each step; unset: one on a GPU, else one per core, at most four",
    )
    fit_batch: bool = Field(
        default=False,
        description="on a GPU: take the largest batch_size that fits its memory, found by trying before the training",
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="processes that make the batches; unset: none without a GPU, up to four with one",
    )
    optimizer: Literal["adam", "soap"] | None = Field(
        default=None,
        description="unset: soap on the CPU of one machine, else adam; soap leaves matrices with both sides above 256 "
        "to adam, and uses no CUDA graphs",
    )
    learning_rate: float = Field(default=8e-3, gt=0, description="maximum learning rate")
    warmup_steps: int = Field(default=200, ge=0, lt=2**53, description="steps of linear warm-up")
    schedule: Annotated[str, one_of(SCHEDULES)] = Field(
        default="cosine", description=f"how the rate falls after the warm-up: {', '.join(SCHEDULES)}"
    )
    final_learning_rate: float = Field(
        default=0.02, ge=0, le=1, description="share of the maximum rate left at the end"
    )
    gradient_clip: float = Field(default=1.0, gt=0, description="maximum norm of the gradient")
    ema_decay: float = Field(default=0.999, ge=0, lt=1, description="decay of the averaged weights, after a warm-up")
    max_steps: int | None = Field(default=None, ge=1, lt=2**53, description="optimizer steps")
    minutes: float | None = Field(default=None, gt=0, description="wall-clock limit")
    validate_seconds: float = Field(default=30.0, gt=0, description="seconds between validations")
    checkpoint_seconds: float = Field(default=60.0, ge=0, description="seconds between writes of last.pth")
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="seed of the initial weights and of the order of the windows"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="dtype of the matrix products"
    )
    cuda_graphs: Literal["auto", "off"] = Field(
        default="auto",
        description="auto: a GPU repeats each step as one recorded graph, if that does what the step does; off: never",
    )
    layer_kernels: Literal["torch", "triton"] = Field(
        default="torch",
        description="what computes the layers on a GPU; triton: a kernel for each forward, two for each backward pass, "
        "not timed yet",
    )
    start_from: str | None = Field(
        default=None, min_length=1, description="model whose weights the run starts with; unset: random weights"
    )


class RunConfig(Settings):
    """All settings of one run, as stored in its checkpoint."""

    name: FileName = Field(default="run", description="folder of the run under checkpoints/")
    model: ModelConfig = ModelConfig()
    audio: AudioConfig = AudioConfig()
    corpus: CorpusConfig = CorpusConfig()
    training: TrainingConfig = TrainingConfig()

    @property
    def training_context(self) -> int:
        """Samples that a training window sees before its first target; 512 where the settings leave it open."""
        return min(self.training.context or DEFAULT_CONTEXT, self.model.receptive_field)


# Wider nets need lower rates: with Adam the best rate is about inversely proportional to the width (Yang et al. 2022,
# table 3).
# Only the rate of `small` was tuned, with SOAP, for minutes up to half an hour of training.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {
        "model": {
            "residual_channels": 24,
            "dilation_channels": 24,
            "skip_channels": 64,
            "dilations": dilation_cycle(9, repeats=1),
            "prediction": {"innovation": True},
        },
        "training": {"learning_rate": 1e-2},
    },
    "small": {
        "model": {
            "residual_channels": 32,
            "dilation_channels": 32,
            "skip_channels": 128,
            "dilations": dilation_cycle(10, repeats=2),
            "prediction": {"innovation": True},
        },
    },
    "base": {
        "model": {
            "residual_channels": 64,
            "dilation_channels": 64,
            "skip_channels": 256,
            "dilations": dilation_cycle(10, repeats=3),
            "prediction": {"innovation": True},
        },
        "training": {"learning_rate": 2.5e-3},
    },
    "large": {
        "model": {
            "residual_channels": 128,
            "dilation_channels": 128,
            "skip_channels": 256,
            "dilations": dilation_cycle(10, repeats=4),
            "prediction": {"innovation": True},
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
        known = f"choose one of {', '.join(PRESETS)} (or auto)"
        raise UserError(f"no preset is called '{name}'{did_you_mean(name, PRESETS, known)}")
    return RunConfig.model_validate(PRESETS[name])
