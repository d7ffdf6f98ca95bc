"""Everything that `wavegen eval` measures of a model, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fast_gen.engine import choose_engine, load_engine
from fast_gen.eval_report import EvalReport, GeneratedFacts, Likeness, failures_of
from fast_gen.generate import generate
from fast_gen.sampling import SamplingSettings
from fast_gen.scored_clips import ScoredClip, scored
from fast_gen.weights import GeneratorWeights
from wavenet_app.corpus import Corpus
from wavenet_app.data_folder import DataFolder
from wavenet_app.errors import UserError
from wavenet_app.fit import training_device
from wavenet_app.frechet import embed, frechet_distance
from wavenet_app.held_out_audio import held_out_audio
from wavenet_app.held_out_bits import held_out_bits
from wavenet_app.pair_table import as_coded, quantisation_floor
from wavenet_app.runaway import failure
from wavenet_app.sound_distributions import SoundFeatures, sound_distances, sound_features, spread_pieces
from wavenet_app.trained import find_checkpoint, load_trained
from wavenet_app.training_view import DecodeView

FLOOR_PIECES = 8  # real pieces that the floor of the codes is taken on; STOI and PESQ take a second for each

Waveforms = list[NDArray[np.float32]]


@dataclass(frozen=True)
class EvalRequest:
    """What a user wants to know.

    Attributes:
        checkpoint: what `find_checkpoint` takes; None for the newest run.
        paths: audio to measure on; empty for the clips that the run held out.
        seconds: audio to measure bits on, at most; 0 for all of it.
        clips: how many to generate.
        clip_seconds: length of each.
        seed: of the generated clips.
        engine: name of an engine, or "auto".
    """

    checkpoint: str | None
    paths: tuple[str, ...] = ()
    seconds: float = 60.0
    clips: int = 8
    clip_seconds: float = 2.0
    seed: int = 0
    engine: str = "auto"


@dataclass(frozen=True, eq=False)
class EvalSound:
    """What a report is about, to be heard and drawn.

    Attributes:
        clips: the generated ones.
        real: real pieces of about their length, as the codes hold them.
        real_features: of the real pieces that the clips were compared with.
        features: of the generated clips.
        history: a row for each validation of the training, as the checkpoint holds them.
        history_lpc: what LPC-24 needs on the clips of these validations.
    """

    clips: tuple[ScoredClip, ...]
    real: Waveforms
    real_features: SoundFeatures
    features: SoundFeatures
    history: list[dict[str, float]]
    history_lpc: float


def evaluate(request: EvalRequest, folder: DataFolder, console: Console) -> tuple[EvalReport, EvalSound]:
    """Returns the report, and the sound that it is about.

    Args:
        request: what to measure.
        folder: root of all that is kept.
        console: for progress only.

    Raises:
        UserError: the checkpoint or the audio is not there, or a setting is not fit.
    """
    began = time.monotonic()
    path = find_checkpoint(folder.root, request.checkpoint)
    trained = load_trained(path)
    if trained.config.model.conditioned:
        raise UserError(
            f"{trained.config.name} is told speakers or mel frames, which eval cannot measure yet; its bits per sample "
            f"on the held-out clips stand in: wavegen info {trained.config.name}"
        )
    weights = GeneratorWeights.of(trained.model)
    choose_engine(request.engine, weights)  # refuses at once what would be refused after the first minute
    decoding = DecodeView(console)
    with decoding.progress:
        audio = held_out_audio(trained, request.paths, folder, decoding.on_decode)
    corpus, rate = audio.corpus, audio.corpus.sample_rate
    channels = trained.config.model.quantization_channels
    num_samples = max(1, round(request.clip_seconds * rate))
    model = trained.model.to(training_device())
    with _bar(console, "bits per sample") as on_file:
        bits = held_out_bits(model, audio.fitted, corpus, seconds=request.seconds or None, progress=on_file)
    if not bits.files:
        raise UserError(f"none of the {len(corpus.validation)} clips is longer than 30 ms, so nothing can be measured")
    waveforms = _generate(request, weights, num_samples, console)
    clips = tuple(scored(model, waveform, row, rate) for row, waveform in enumerate(waveforms))
    with console.status("comparing the sound with real clips"):
        originals = _real_pieces(corpus, num_samples, 2 * request.clips)
        real = [as_coded(piece, channels) for piece in originals]
        generated, features = _generated_facts(clips, real, rate, request.clip_seconds)
        floor = quantisation_floor(originals[:FLOOR_PIECES], sample_rate=rate, channels=channels)
    report = EvalReport(
        checkpoint=str(path),
        name=trained.config.name,
        sample_rate=rate,
        gain=corpus.gain,
        channels=channels,
        bits=bits,
        trained_validation=trained.content.get("validation"),
        fitted_on=audio.fitted_on,
        generated=generated,
        floor=floor,
        floor_pairs=len(originals[:FLOOR_PIECES]),
        skipped=(*corpus.skipped, *bits.skipped),
        remarks=corpus.remarks,
        seconds=time.monotonic() - began,
    )
    return report, EvalSound(clips, real, *features, trained.content["history"], trained.content["baseline"]["lpc"])


def _generate(
    request: EvalRequest, weights: GeneratorWeights, num_samples: int, console: Console
) -> NDArray[np.float32]:
    """Returns the generated clips (clips, samples), made under a bar."""
    choice = choose_engine(request.engine, weights)
    if choice.preparation:
        console.print(choice.preparation, highlight=False)
    done = 0
    with _bar(console, "generating") as show:

        def on_chunk(samples: int) -> None:
            nonlocal done
            done += samples
            show(done, num_samples)

        return generate(
            load_engine(choice.name, weights, choice.device),
            num_samples=num_samples,
            batch_size=request.clips,
            seed=request.seed,
            settings=SamplingSettings(),
            progress=on_chunk,
        )


def _generated_facts(
    clips: tuple[ScoredClip, ...], real: Waveforms, sample_rate: int, seconds: float
) -> tuple[GeneratedFacts, tuple[SoundFeatures, SoundFeatures]]:
    """Returns what the generated clips are like beside real ones, and the features of real and generated clips.

    The real pieces are dealt to two sets in turn: one to compare with, the other to say how far real audio lies from
    real audio.
    """
    compared, others = real[0::2], real[1::2]
    wanted, points = sound_features(compared, sample_rate), embed(compared, sample_rate)

    def likeness(waveforms: Waveforms, features: SoundFeatures) -> Likeness:
        distance = frechet_distance(points, embed(waveforms, sample_rate))
        return Likeness(sound_distances(wanted, features), distance, len(waveforms))

    waveforms = [clip.waveform for clip in clips]
    heard = sound_features(waveforms, sample_rate)
    facts = GeneratedFacts(
        seconds=seconds,
        bits=tuple(clip.bits for clip in clips),
        failures=failures_of(clips),
        real_seconds=len(real[0]) / sample_rate,
        real_failures=tuple(failure(piece, sample_rate) for piece in real),
        voiced=(heard.voiced_share, wanted.voiced_share),
        paused=(heard.pause_share(wanted.pause_threshold), wanted.pause_share(wanted.pause_threshold)),
        likeness=likeness(waveforms, heard),
        yardstick=likeness(others, sound_features(others, sample_rate)) if others else None,
    )
    return facts, (wanted, heard)


def _real_pieces(corpus: Corpus, num_samples: int, count: int) -> Waveforms:
    """Returns pieces of the held-out clips, spread over all of them; where most clips are shorter, of their length."""
    clips = corpus.validation
    lengths = [clip.num_samples for clip in clips]
    piece = max(1, min(num_samples, int(np.median(lengths))))
    places = spread_pieces(lengths, piece, count)
    return [corpus.waveform(clips[index], start, start + piece) for index, start in places]


@contextmanager
def _bar(console: Console, text: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar while it is entered; what it gives is called with (done, total)."""
    with Progress(
        TextColumn(text), BarColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(text)
        yield lambda done, total: progress.update(task, completed=done, total=total)
