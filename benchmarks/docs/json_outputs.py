"""What commands print with --json, where they build it from plain values: the source of its schemas and its page."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wavenet_app.config import RunConfig


class Output(BaseModel):
    """Exactly these keys."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


def _says(text: str) -> Any:
    return Field(description=text)


class Baseline(Output):
    """Bits per sample of classical predictors."""

    unigram: float = _says("of the frequency of each code")
    order1: float = _says("given the code before")
    lpc: float = _says("of linear prediction from 24 samples")
    samples: int = _says("that were measured")


class Published(Output):
    """What a published model says of itself."""

    licence: str = _says("licence of the weights")
    data: str = _says("what it was trained on")
    language: str | None = _says("the spoken language")
    audio_minutes: float | None = _says("length of the training audio")


class Info(Output):
    """Settings, size, history and bits of a WaveNet."""

    file: str = _says("the checkpoint")
    name: str = _says("name of its run")
    config: RunConfig = _says("all settings")
    parameters: int = _says("number of weights")
    multiply_accumulates_per_sample: int = _says("work for a new sample")
    receptive_field: int = _says("receptive field in samples")
    receptive_field_ms: float = _says("receptive field in milliseconds")
    steps: int = _says("optimizer steps of the training")
    seconds: float = _says("training time")
    history: list[dict[str, float | None]] = _says("the curve: `step`, `seconds`, `train`, `validation` and others")
    baseline: Baseline | None = _says("bits per sample of what the model must beat")
    validation: float | None = _says("bits per sample of held-out audio")
    coding: str = _says("what a sample is, such as `256 mu-law codes`")
    voice: Published | None = _says("what a published model says of itself")
    software: dict[str, str | None] | None = _says("versions that it was trained with")


class Trained(Output):
    """What a DeepLab was trained on."""

    name: str = _says("name of the data set")
    format: str = _says("format of the data set")
    training_images: int = _says("number of images")
    validation_images: int = _says("number of images")


class DeepLabInfo(Output):
    """Layout, settings, classes and history of a DeepLab."""

    file: str = _says("the checkpoint")
    layout: str = _says("whose file it is: ours, or another project's")
    model: dict[str, Any] = _says("settings of the net")
    atrous_rates: list[int] | None = _says("rates of the pyramid")
    parameters: int = _says("number of weights")
    classes: list[str] | None = _says("names of the classes")
    raw_ids: list[int] | None = _says("value of each class in the mask files")
    normalisation: dict[str, list[float]] | None = _says("`mean` and `std` of red, green and blue")
    image_scale: float | None = _says("factor on the size of images")
    data: Trained | None = _says("what it was trained on")
    config: dict[str, Any] | None = _says("all settings")
    steps: int | None = _says("optimizer steps of the training")
    seconds: float | None = _says("training time")
    best_mean_iou: float | None = _says("best mean IoU of the validation images, from 0 to 1")
    history: list[dict[str, float | None]] = _says("the curve: `step`, `seconds`, `train`, `validation` and others")


class Voice(Output):
    """The shipped voices."""

    name: str = _says("the name that `sample`, `vocode` and `train` take")
    file: str = _says("its path")
    language: str | None = _says("the spoken language")
    speakers: list[str] = _says("names of its speakers; empty for one speaker without a name")
    vocoder: bool = _says("whether it takes mel frames")
    sample_rate: int = _says("sample rate in Hz")
    audio_minutes: float | None = _says("length of the training audio")
    minutes: float = _says("training time")
    steps: int = _says("optimizer steps of the training")
    bits: float | None = _says("bits per sample of held-out clips")
    lpc: float | None = _says("bits per sample of linear prediction")
    licence: str = _says("licence of the weights")
    data: str = _says("what it was trained on")
    size: int = _says("size of the file in bytes")


class Verification(Output):
    """An engine against the full network."""

    greatest_logit_difference: float = _says("over all scored samples")
    bits: float = _says("per sample, of the engine")
    reference_bits: float = _says("per sample, of the full network")
    samples_equal: float = _says("share of generated samples that are the same, from 0 to 1")
    bits_cost: float = _says("bits per sample beyond the full network")
    tolerance_errors: list[str] = _says("limits that it exceeds")


class EngineRow(Output):
    """An engine."""

    engine: str = _says("its name")
    device: str = _says("where it runs")
    precision: str = _says("of the weights")
    threads: int = _says("of the CPU")
    skipped: str | None = _says("why it was not measured")
    samples_per_second: float | None = _says("of one clip")
    real_time_factor: float | None = _says("samples per second by the sample rate")
    ratio_to_textbook: float | None = _says("to the generator that computes the whole receptive field for each sample")
    first_sound_seconds: float | None = _says("from the start of a process")
    compiling_seconds: float | None = _says("that compiling added")
    samples_per_second_by_clips: dict[str, float] = _says("number of clips at once to the speed of all together")
    self_check: str | None = _says("`passed`, or what is wrong with its sound")
    peak_memory_bytes: int | None = _says("of the process")
    device_memory_bytes: int | None = _says("on a GPU")
    verification: Verification | None = _says("with `--verify`")


class Bench(Output):
    """Machine, model, a row per engine."""

    model: str = _says("what was measured")
    machine: str = _says("the machine it was measured on")
    sample_rate: int = _says("sample rate in Hz")
    multiply_accumulates_per_sample: int = _says("work for a new sample")
    verified_on: str | None = _says("the audio of `--verify`")
    engines: list[EngineRow] = _says("a row for each engine, device and precision")
    auto: dict[str, str] = _says("number of clips to the engine that `auto` takes from now on")


class Protocol(Output):
    """How images were labelled."""

    output_stride: int = _says("of the net")
    image_scale: float = _says("factor on the size of images")
    scales: list[float] = _says("whose results are averaged")
    flip: bool = _says("whether mirrored images are averaged in")
    window: int | None = _says("side of sliding windows, in pixels")
    too_large_to_be_seen_whole: int = _says("images that were cut into windows for their size")
    ignored: int = _says("value of a mask that is not scored")


class SegEval(Output):
    """Protocol, IoU, confusion matrix."""

    checkpoint: str = _says("the file")
    dataset: str = _says("name of the data set")
    format: str = _says("format of the data set")
    split: str = _says("the split that was scored")
    images: int = _says("number of scored images")
    images_in_split: int = _says("number of images in the split")
    skipped: list[str] = _says("files that were left out, with the reason")
    protocol: Protocol = _says("how images were labelled")
    mean_iou: float | None = _says("mean IoU, from 0 to 1")
    pixel_accuracy: float | None = _says("share of pixels that are right, from 0 to 1")
    iou: dict[str, float | None] = _says("class to IoU; `null` for an absent class")
    absent: list[str] = _says("classes without a pixel")
    only_predicted: list[str] = _says("classes that appear only in predictions")
    confusion: list[list[int]] = _says("pixels; rows are labels, columns are predictions")


class Note(Output):
    """A file with a problem."""

    file: str = _says("its path")
    problem: str = _says("the kind")
    detail: str = _says("what was found")


class SplitReport(Output):
    """A split of a data set."""

    images: int = _says("that there are")
    checked: int = _says("that were read")
    class_shares: dict[str, float] = _says("class to share of the pixels")
    ignored_share: float = _says("share of pixels that are not scored")
    smallest: list[int] | None = _says("width and height")
    largest: list[int] | None = _says("width and height")
    skipped: list[Note] = _says("files that the data set leaves out")
    broken: list[Note] = _says("files that cannot be read")
    suspicious: list[Note] = _says("files that are likely wrong")
    remarks: list[str] = _says("in words")


class SegCheck(Output):
    """Problems, warnings, splits."""

    name: str = _says("name of the data set")
    format: str = _says("format of the data set")
    classes: list[str] = _says("names of the classes")
    problems: list[str] = _says("what would stop a training")
    warnings: list[str] = _says("what to look at")
    splits: dict[str, SplitReport] = _says("each split")
    sheet: str | None = _says("the picture of overlays")


class ReceptiveField(Output):
    """Field, touched share, radii."""

    name: str = _says("name of the run or preset")
    unit: Literal["samples", "pixels"] = _says("unit of lengths: `samples` or `pixels`")
    sample_rate: int | None = _says("sample rate in Hz; `null` for images")
    field: list[int] = _says("length, or height and width, of what one output can read")
    sees_everything: list[str] = _says("parts that read the whole input, such as pooling")
    maps: list[int] = _says("shape of the measured maps")
    is_cut: bool = _says("whether the field is larger than the input")
    touched_share: float = _says("share of the field that is read at all, from 0 to 1")
    inputs: str = _says("what was averaged over")
    radii: dict[str, dict[str, float]] = _says("net to share of the gradient's energy to the distance that holds it")
    picture: str = _says("the file that was drawn")


class DataSet(Output):
    """The published data sets."""

    name: str = _says("what `data get` takes")
    kind: Literal["audio", "images"] = _says("`audio` or `images`")
    status: Literal["present", "partly", "absent"] = _says("`present`, `partly` there or `absent`")
    folder: str = _says("where it belongs")
    parts: list[str] = _says("subsets or voices that are there")
    items: str = _says("what it holds, in words")
    files: int = _says("number of files on disk")
    files_counted_to_the_end: bool = _says("false where there are more files than are counted")
    bytes: int = _says("size on disk")
    expected_bytes: int = _says("size once unpacked")
    download_bytes: int = _says("size of the download")
    licence: str = _says("licence in a few words")
    next: str = _says("the next command")


OUTPUTS: dict[str, tuple[str, Any]] = {
    "info": ("wavegen info", Info),
    "info-deeplab": ("wavegen info", DeepLabInfo),
    "voices": ("wavegen voices", list[Voice]),
    "bench": ("wavegen bench", Bench),
    "seg-eval": ("wavegen seg-eval", SegEval),
    "seg-check": ("wavegen seg-check", SegCheck),
    "receptive-field": ("wavegen receptive-field", ReceptiveField),
    "data": ("wavegen data", list[DataSet]),
}
"""File under schemas/ -> the command, and what it prints."""
