"""What anchors a vocoder to its frames: four ways to use linear prediction, trained alike, judged as sampled.

    python benchmarks/vocoder_ablation.py FOLDER --variant past --variant frames --variant noise --variant filter
                                          [--steps 500] [--start kathleen] [--clips 10] [--seconds 2]

- `past`: the net reads the prediction of the past samples (`model.prediction`), as voices do.
- `frames`: it reads the prediction by the filter of its frames, applied to the past samples, and the filter's gain.
- `noise`: the same, but in training the past has noise in the codes of the filter's excitation, and the targets lead
  back to the clean clip (Valin and Skoglund 2019, "LPCNet", section 3.3).
- `filter`: the net makes the excitation, and the filter of the frames stands behind it (`model.mel.filter_order`).

All start from the same voice and see the same windows, one a step. Held-out clips are vocoded from their own frames.
White noise, and pulses with noise, through the filter need no net and stand beside them. Bits of `filter` are of other
codes than those of the others, so they do not compare.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from vocoder_quality import kept_pitch

from fast_gen.engines.sampling import SamplingSettings, pick, uniforms
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.evaluation.vocoded import chosen_clips
from fast_gen.vocoding.filtered import filtered, filtered_noise
from fast_gen.vocoding.vocode import vocode
from wavenet_app.audio.frame_filter import LEVEL, Filters
from wavenet_app.audio.mel import Frames, MelFrames, silent_conditioning
from wavenet_app.coding import Coding, MuLawCoding
from wavenet_app.config import AudioConfig, CorpusConfig, MelConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.settings import override
from wavenet_app.corpus.coded import for_model
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Clip, Corpus, open_corpus
from wavenet_app.corpus.windows import Batch, TrainingWindows, ValidationWindows
from wavenet_app.evaluation.pair_table import measures
from wavenet_app.heads import mean_bits
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning
from wavenet_app.network.model import PredictionRows, WaveNet
from wavenet_app.network.prediction.rows import size_rows, value_rows
from wavenet_app.training.start import Source, read_source, take_over

VARIANTS = ("past", "frames", "noise", "filter")
CHANNELS = 32  # of the upsampled frames
WINDOW = 6_144
WARMUP_STEPS = 100
RESIDUAL_SHARE = 0.7  # of the filter's gain: about the mean magnitude of the excitation
MOST_NOISE = 2.0  # codes: mean magnitude of the noise of the noisiest windows

Sound = NDArray[np.float32]


class FrameRows(ClipConditioning):
    """Adds what the net reads of the prediction by the frames' filter to a batch, and the past with noise.

    Args:
        mel: makes frames, with a filter.
        coding: of the codes.
        noise: greatest mean magnitude of the noise, in codes; 0 for none.
    """

    def __init__(self, mel: MelFrames, coding: Coding, noise: float) -> None:
        super().__init__((), mel)
        self.frames, self.coding, self.noise = mel, coding, noise
        self.random = np.random.default_rng(1)
        self.training = True

    def of(
        self, corpus: Corpus, windows: Sequence[tuple[Clip, int, int]], context: int, length: int
    ) -> dict[str, Tensor]:
        """Returns the entries of `ClipConditioning`, "past" and the rows of prediction."""
        entries = super().of(corpus, windows, context, length)
        pasts, values, sizes = zip(
            *(self._rows(corpus, clip, start - context, context + length) for clip, start, _ in windows), strict=True
        )
        entries["past"] = torch.from_numpy(np.stack(pasts))
        entries["predicted_rows"] = torch.from_numpy(np.stack([values, sizes, np.zeros_like(sizes)], axis=1))
        return entries

    def _rows(self, corpus: Corpus, clip: Clip, first: int, length: int) -> tuple[NDArray[np.int64], ...]:
        filters = whole_filters(self.frames, self.frames.of(corpus.waveform(clip)))
        sound = corpus.waveform(clip, first, first + length)
        before = max(0, -first)
        codes = self.coding.encode(np.pad(sound, (before, length - before - len(sound)))).astype(np.int64)
        clean = self.coding.decode(codes).astype(np.float64)
        amount = self.random.uniform(0, self.noise) if self.noise and self.training else 0.0
        added = np.round(self.random.laplace(size=length) * amount)
        order = filters.coefficients.shape[1]
        seen, predictions = np.zeros(order + length), np.zeros(length)
        steps = np.clip((first + np.arange(length)) // self.frames.filter.hold, 0, len(filters.gains) - 1)  # type: ignore[union-attr]
        for time_, (step, value) in enumerate(zip(steps, clean, strict=True)):
            past = seen[time_ : time_ + order][::-1]
            predictions[time_] = filters.coefficients[step] @ past
            seen[time_ + order] = value
            if added[time_]:
                scale = filters.gains[step] / LEVEL
                code = moved_code((value - predictions[time_]) / scale, added[time_])
                seen[time_ + order] = np.clip(predictions[time_] + scale * code, -1, 1)
        past_codes = self.coding.encode(seen[order:]).astype(np.int64)
        return past_codes, value_rows(predictions[1:]), size_rows(RESIDUAL_SHARE * filters.gains[steps[1:]])


def moved_code(excitation: float, steps: float) -> float:
    """Returns the value of the mu-law code that lies some steps from that of an excitation."""
    curve = math.copysign(math.log1p(255 * min(abs(excitation), 1)) / math.log(256), excitation)
    moved = min(max(curve + steps / 127.5, -1.0), 1.0)
    return math.copysign((256 ** abs(moved) - 1) / 255, moved)


def whole_filters(mel: MelFrames, frames: Frames) -> Filters:
    """Returns the filters of all frames of a clip."""
    assert mel.filter is not None
    return mel.filter.of(np.concatenate([mel.silent(1), frames, mel.silent(1)]))


def bits(model: WaveNet, batch: Batch, conditioning: ClipConditioning) -> Tensor:
    """Returns the mean bits per sample of a batch."""
    codes, mask = batch["codes"], batch["mask"]
    context = codes.shape[1] - mask.shape[1]
    condition = model.condition(Conditioning(None, batch["mel"]), conditioning.phase(context))
    rows = PredictionRows(*batch["predicted_rows"].unbind(1)) if "predicted_rows" in batch else None
    outputs = model(batch.get("past", codes)[:, :-1], context - 1, condition, rows)
    return mean_bits(model.head.bits(outputs, codes[:, context:]), mask)


def train(model: WaveNet, windows: TrainingWindows, steps: int, rate: float) -> None:
    """Trains a model with Adam and a cosine schedule."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
    assert windows.conditioning is not None
    for step in range(steps):
        warm, share = min(1, (step + 1) / WARMUP_STEPS), 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * (0.02 + 0.98 * share)
        optimizer.zero_grad()
        bits(model, windows.batch(step), windows.conditioning).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def held_out(model: WaveNet, windows: ValidationWindows) -> float:
    """Returns the bits per sample of 24 s of held-out audio."""
    assert windows.conditioning is not None
    if isinstance(windows.conditioning, FrameRows):
        windows.conditioning.training = False
    batches = [windows[index] for index in range(len(windows))]
    counts = [float(batch["mask"].sum()) for batch in batches]
    total = sum(
        float(bits(model, batch, windows.conditioning)) * count for batch, count in zip(batches, counts, strict=True)
    )
    return total / sum(counts)


@torch.no_grad()
def naive_frames(model: WaveNet, mel: MelFrames, frames: Frames, temperature: float) -> Sound:
    """Vocodes a clip with a net that reads the prediction by its frames' filter, without queues of its own.

    It steps through the layers with a ring of past inputs each; nothing is shared with the engines but the pick.
    """
    assert model.prediction is not None
    assert mel.filter is not None
    coding, config = model.config.coding, model.config
    columns = np.concatenate(list(mel.conditioning([frames])))
    ends = silent_conditioning(mel.mel, CONTEXT_FRAMES)
    around = torch.from_numpy(np.concatenate([ends, columns, ends]))[None]
    condition = model.condition(Conditioning(None, around))
    quiet = model.condition(Conditioning(None, torch.from_numpy(np.concatenate([ends, ends, ends[:1]]))[None]))
    assert condition is not None
    assert quiet is not None
    filters, samples = whole_filters(mel, frames), len(frames) * mel.hop
    sizes = size_rows(RESIDUAL_SHARE * filters.gains)
    numbers = torch.from_numpy(uniforms(0, rows=1, length=samples))
    past, codes = np.zeros(mel.filter.order), np.full(samples + 2, coding.silence, np.int64)
    blocks: list = list(model.blocks)
    rings = [torch.zeros(block.dilated.dilation, config.residual_channels) for block in blocks]
    settings = SamplingSettings(temperature)
    for place in range(-config.receptive_field, samples):
        step = max(place, 0) // mel.filter.hold
        prediction = filters.coefficients[step] @ past if place >= 0 else 0.0
        row = PredictionRows(
            torch.tensor([[int(value_rows(np.array([prediction]))[0])]]),
            torch.tensor([[int(sizes[step]) if place >= 0 else 0]]),
            torch.zeros(1, 1, dtype=torch.int64),
        )
        newest = codes[max(place, 0) : max(place, 0) + 2] if place >= 0 else codes[:2]
        hidden = model.front(torch.from_numpy(newest.copy())[None])[0, -1] + model.prediction(row)[0, 0]
        added = condition.values[0, place // condition.hold] if place >= 0 else quiet.values[0, 0]
        skips: Tensor | float = 0.0
        for block, ring, gates in zip(blocks, rings, added.chunk(len(blocks)), strict=True):
            old = ring[place % len(ring)].clone()
            ring[place % len(ring)] = hidden
            weight = block.dilated.weight
            both = weight[:, :, 0] @ old + weight[:, :, 1] @ hidden + block.dilated.bias + gates
            filtered, gate = both.chunk(2)
            activated = filtered.tanh() * gate.sigmoid()
            skips = skips + block.skip.weight[:, :, 0] @ activated + block.skip.bias
            if block.residual is not None:
                hidden = hidden + block.residual.weight[:, :, 0] @ activated + block.residual.bias
        if place >= 0:
            assert isinstance(skips, Tensor)
            logits = model.output2(F.relu(model.output1(F.relu(skips))))
            codes[place + 2] = int(pick(logits[None], numbers[:, place], settings)[0])
            past = np.concatenate([[coding.decode(codes[place + 2])], past[:-1]])
    return coding.decode(codes[2:])


def pulsed(mel: MelFrames, frames: Frames) -> Sound:
    """Returns pulses in the melody of frames, and noise for the rest, through their filter: a vocoder without a net."""
    assert mel.filter is not None
    columns = np.concatenate(list(mel.conditioning([frames])))
    steps = columns[:, mel.mel.n_mels :].reshape(-1, 3)
    samples = len(frames) * mel.hop
    turns = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])) / (2 * np.pi)
    turns = np.interp(np.arange(samples), (np.arange(len(turns)) + 0.5) * mel.mel.hold, turns)
    sure = np.repeat(steps[:, 2], mel.mel.hold).astype(np.float64)
    beats = np.flatnonzero(np.diff(np.floor(turns)) > 0)
    pulses = np.zeros(samples)
    pulses[beats] = np.gradient(turns)[beats].clip(1e-3) ** -0.5  # as much energy a sample at any pitch
    noise = np.random.default_rng(0).standard_normal(samples)
    excitation = LEVEL * (pulses * math.sqrt(0.8) * sure + noise * np.sqrt(1 - 0.8 * sure**2))
    return next(filtered([excitation.astype(np.float32)], [frames], mel.filter, mel.mel))


def sampled(
    variant: str, model: WaveNet, mel: MelFrames, plain: MelFrames, sounds: list[Sound], temperature: float
) -> list[Sound]:
    """Returns clips vocoded from their own frames."""
    if variant in ("frames", "noise"):
        return [naive_frames(model, mel, mel.of(sound), temperature)[: len(sound)] for sound in sounds]
    own = mel if variant == "filter" else plain
    engine, settings = load_engine("cpu", GeneratorWeights.of(model)), SamplingSettings(temperature)
    made = []
    for sound in sounds:
        given = own.conditioning([own.of(sound)])
        blocks = vocode(engine, model, given, frame_filter=own.filter, seed=0, settings=settings)
        made.append(np.concatenate(list(blocks))[: len(sound)])
    return made


def report(name: str, sounds: list[Sound], made: list[Sound], rate: int) -> None:
    """Prints the means of the pair metrics, and the share of voiced frames with the original's pitch."""
    rows = [measures(sound, one, rate) for sound, one in zip(sounds, made, strict=True)]
    means = {label.partition(" (")[0]: np.nanmean([row[label].value for row in rows]) for label in rows[0]}
    pitch = np.nanmean([kept_pitch(sound, one, rate) for sound, one in zip(sounds, made, strict=True)])
    print(f"{name}: " + ", ".join(f"{label} {value:.3f}" for label, value in means.items()) + f", pitch {pitch:.0%}")


def run(variant: str, corpus: Corpus, source: Source, sounds: list[Sound], options: argparse.Namespace) -> None:
    """Trains a variant and prints its bits and its clips' metrics."""
    rate = corpus.sample_rate
    settings = MelConfig().resolved(rate)
    mel, plain = (MelFrames(one, rate) for one in (settings, settings.model_copy(update={"filter_order": 0})))
    own = mel if variant == "filter" else plain
    changes = {"mel": own.mel.model_dump(), "local_channels": CHANNELS}
    if variant == "filter":
        changes["prediction"] = None
    config = override(source.config, {"model": changes}).model
    model = WaveNet(config, torch.Generator().manual_seed(0))
    model.load_state_dict({**model.state_dict(), **take_over(source, config).weights})
    conditioning: ClipConditioning = ClipConditioning((), own)
    assert isinstance(config.coding, MuLawCoding)
    if variant in ("frames", "noise"):
        conditioning = FrameRows(mel, config.coding, MOST_NOISE if variant == "noise" else 0.0)
    common = {
        "context": config.receptive_field,
        "window": WINDOW,
        "batch_size": 1,
        "coding": config.coding,
        "conditioning": conditioning,
        "prediction": config.prediction if variant == "past" else None,
    }
    coded, began = for_model(corpus, own.mel), time.monotonic()
    train(model, TrainingWindows(coded, seed=0, **common), options.steps, source.config.training.learning_rate)
    measured = held_out(model, ValidationWindows(coded, limit_seconds=24.0, **common))
    print(f"{variant}: {options.steps} steps in {time.monotonic() - began:.0f} s, {measured:.3f} bits held out")
    for temperature in options.temperatures:
        report(f"{variant} at {temperature:g}", sounds, sampled(variant, model, mel, plain, sounds, temperature), rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, action="append")
    parser.add_argument("--start", default="kathleen")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--temperatures", type=float, nargs="*", default=[0.8, 0.5])
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    folder = DataFolder.at(options.data_dir)
    source = read_source(options.start, folder)
    corpus = open_corpus(
        [options.folder],
        audio=AudioConfig(),
        split=CorpusConfig(),
        cache_dir=folder.cache,
        sample_rate=source.config.audio.sample_rate,
    )
    rate = corpus.sample_rate
    length = round(options.seconds * rate)
    sounds = [corpus.waveform(clip, 0, length) for clip in chosen_clips(corpus.validation, options.clips)]
    mel = MelFrames(MelConfig().resolved(rate), rate)
    whispered = [filtered_noise(mel.of(sound), mel, seed=0)[: len(sound)] for sound in sounds]
    report("white noise through the filter", sounds, whispered, rate)
    hummed = [pulsed(mel, mel.of(sound))[: len(sound)] for sound in sounds]
    report("pulses and noise through the filter", sounds, hummed, rate)
    for variant in options.variant or VARIANTS:
        run(variant, corpus, source, sounds, options)


if __name__ == "__main__":
    main()
