"""Use a trained WaveNet from Python: load it, generate, stream, and score audio.

import fast_gen

voice = fast_gen.load()
audio = voice.generate(seconds=2)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition, voice
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, check_head, usual_settings
from fast_gen.engines.start import Job, start_engine
from fast_gen.engines.trial_cache import TrialCache
from fast_gen.engines.weight_cache import read_weights
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.primes import Prime, prime_codes, read_primes, samples_heard
from fast_gen.generation.stream import CHUNK_SAMPLES, stream
from wavenet_app.checkpoints.trained import Trained, load_trained
from wavenet_app.checkpoints.voices import find_to_generate
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.numbers import checked_number, checked_whole
from wavenet_app.corpus.speakers import speaker_shares

if TYPE_CHECKING:
    from wavenet_app.audio.mel import MelFrames

Waveform = NDArray[np.float32]

LEAST_SECONDS = 0.01
"""The shortest clip, as for the command."""


def load(
    name: str | Path | None = None,
    *,
    engine: str = "auto",
    precision: str = "float32",
    threads: int = 1,
    data_dir: str | Path | None = None,
) -> Voice:
    """Returns a trained WaveNet.

    Args:
        name: a checkpoint file, or the name of a run or of an exported file in the data folder, or of a shipped voice;
            None for the newest run, or a shipped voice if there is no run.
        engine: "auto" for the fastest engine on this machine, or "cpu", "cluster", "pipeline", "cuda",
            "graph" or "torch".
        precision: of the weights: "float32", "bfloat16" or "int8".
        threads: CPU cores for the engine.
        data_dir: the data folder; None for $WAVEGEN_DATA, else ./data.

    Raises:
        UserError: no checkpoint has that name, it cannot be read, or the engine cannot run here.
    """
    folder = DataFolder.at(None if data_dir is None else Path(data_dir))
    threads = checked_whole("threads", threads, least=1)
    path, _ = find_to_generate(folder.root, None if name is None else str(name))
    config, weights = read_weights(path, folder.cache / "weights")
    job = Job(trials=TrialCache(folder.cache / "trials"))
    _, started = start_engine(engine, weights, "auto", precision, threads, job=job)
    return Voice(path, config, weights, started)


class Voice:
    """A trained WaveNet, ready to generate. Make one with `load`.

    All waveforms are float32 and mono, at `sample_rate` and at the level of the recordings that the model was trained
    on: from -1 to 1, or a little beyond where those peak above 0.9.

    Attributes:
        path: the checkpoint.
        config: all settings of its run.
        sample_rate: in Hz.
        speakers: names of its speakers; empty for a model of one voice.
    """

    def __init__(self, path: Path, config: RunConfig, weights: GeneratorWeights, engine: Engine) -> None:
        self.path, self.config = path, config
        self.sample_rate = config.audio.sample_rate
        self.speakers = config.model.speakers
        self._weights, self._engine = weights, engine

    def __repr__(self) -> str:
        """Its name, sample rate and speakers."""
        speakers = f", {len(self.speakers)} speakers" if self.speakers else ""
        return f"<Voice {self.config.name}, {self.sample_rate} Hz{speakers}>"

    def generate(
        self,
        seconds: float = 2.0,
        *,
        n: int | None = None,
        seed: int = 0,
        temperature: float | None = None,
        quiet_temperature: float | None = None,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        speaker: str | None = None,
        prime: str | Path | Waveform | None = None,
        mel: NDArray[np.floating] | None = None,
        refine: int | None = None,
    ) -> Waveform:
        """Returns generated audio. The same seed gives the same audio.

        Args:
            seconds: length of each clip, at least 0.01; a vocoder's clip is as long as its frames.
            n: number of clips in a batch; None for a single clip without a batch axis.
            seed: of the random numbers; clip number `row` is the same in a batch of any size.
            temperature: lower is safer, higher is wilder; None for 0.97, or 0.6 for a vocoder.
            quiet_temperature: the temperature of quiet parts, where lower means longer pauses; None for 1, or
                `temperature` if that is higher.
            top_k: sample from this many of the most likely codes; 0 for all.
            top_p: sample from the most likely codes that hold this much probability.
            min_p: sample from the codes at least this many times as likely as the most likely one.
            speaker: a name, or a mix such as "ann:0.7,jo:0.3"; None for each speaker in turn.
            prime: a recording to continue: a file, or a waveform (samples,) at `sample_rate`.
            mel: for a vocoder, log-mel frames (frames, n_mels) as the model was trained on.
            refine: for a vocoder, iterations that pull the audio towards its frames; None for the usual number,
                0 to keep it as sampled.

        Returns:
            (samples,), or (n, samples) if `n` is given.

        Raises:
            UserError: a value is out of range, or the model does not take it.
        """
        if mel is not None:
            if n is not None or prime is not None:
                raise UserError("a vocoder makes one clip from its frames; leave out n and prime")
            settings = self._settings(temperature, quiet_temperature, top_k, top_p, min_p)
            return self._vocode(mel, seed, settings, speaker, refine)
        clips = 1 if n is None else checked_whole("n", n, least=1)
        samples = self._samples(seconds)
        settings = self._settings(temperature, quiet_temperature, top_k, top_p, min_p)
        chunks = self._chunks(samples, clips, seed, settings, speaker, prime, CHUNK_SAMPLES)
        waveform = np.concatenate(list(chunks), axis=1)
        return waveform[0] if n is None else waveform

    def stream(
        self,
        seconds: float | None = None,
        *,
        seed: int = 0,
        temperature: float | None = None,
        quiet_temperature: float | None = None,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        speaker: str | None = None,
        prime: str | Path | Waveform | None = None,
        chunk_samples: int = CHUNK_SAMPLES,
    ) -> Iterator[Waveform]:
        """Returns an iterator over the chunks of one clip, (up to chunk_samples,), in constant memory.

        The joined chunks equal what `generate` returns, for any `chunk_samples`. The voice is busy until the iterator
        is exhausted or dropped: a new call starts a new clip.

        Args:
            seconds: length of the clip, at least 0.01; None for an endless one.
            seed: as in `generate`, like the next seven.
            temperature: lower is safer, higher is wilder; None for 0.97.
            quiet_temperature: the temperature of quiet parts.
            top_k: sample from this many of the most likely codes; 0 for all.
            top_p: sample from the most likely codes that hold this much probability.
            min_p: sample from the codes at least this many times as likely as the most likely one.
            speaker: a name or a mix.
            prime: a recording to continue.
            chunk_samples: samples in a chunk, 1,024 unless given; the last one may be shorter.

        Raises:
            UserError: a value is out of range, or the model does not take it.
        """
        samples = None if seconds is None else self._samples(seconds)
        chunk_samples = checked_whole("chunk_samples", chunk_samples, least=1)
        settings = self._settings(temperature, quiet_temperature, top_k, top_p, min_p)
        chunks = self._chunks(samples, 1, seed, settings, speaker, prime, chunk_samples)
        return (chunk[0] for chunk in chunks)

    def score(self, waveform: NDArray[np.floating], *, speaker: str | None = None) -> float:
        """Returns the bits per sample that the model needs for a waveform; lower is more likely.

        A vocoder is conditioned on the waveform's own mel frames.

        Args:
            waveform: (samples,), at `sample_rate`.
            speaker: who speaks, for a model with speakers.

        Raises:
            UserError: the waveform is empty, or the model needs a speaker.
        """
        from wavenet_app.evaluation.likelihood import code_bits

        scaled = self._scaled(waveform)
        coded = scaled if self._mel is None else self._mel.coded(scaled)
        codes = self.config.model.coding.encode(coded)
        shares = None if self.speakers == () else self._shares(speaker, 1)[0]
        return float(code_bits(self._trained.model, codes, 0, shares, self._own_frames(scaled)).mean())

    @cached_property
    def _trained(self) -> Trained:
        return load_trained(self.path)

    def _samples(self, seconds: float) -> int:
        return max(1, round(checked_number("seconds", seconds, least=LEAST_SECONDS) * self.sample_rate))

    def _settings(
        self, temperature: float | None, quiet_temperature: float | None, top_k: int, top_p: float, min_p: float
    ) -> SamplingSettings:
        chosen = None if temperature is None else checked_number("temperature", temperature)
        of_quiet = None if quiet_temperature is None else checked_number("quiet_temperature", quiet_temperature)
        settings = usual_settings(
            self.config.model,
            chosen,
            of_quiet,
            checked_whole("top_k", top_k),
            checked_number("top_p", top_p),
            checked_number("min_p", min_p),
        )
        check_head(settings, self.config.model.output_head)
        return settings

    def _shares(self, speaker: str | None, clips: int) -> NDArray[np.float32]:
        """Returns the share of each speaker in each clip, (clips, speakers)."""
        if speaker is not None:
            return np.repeat(speaker_shares(speaker, self.speakers)[None], clips, axis=0)
        return np.eye(len(self.speakers), dtype=np.float32)[np.arange(clips) % len(self.speakers)]

    def _condition(self, speaker: str | None, clips: int) -> ChunkCondition | None:
        if not self.speakers:
            if speaker is not None:
                speaker_shares(speaker, self.speakers)  # raises: there are none
            return None
        return voice(self._weights, self._shares(speaker, clips))

    def _chunks(
        self,
        samples: int | None,
        clips: int,
        seed: int,
        settings: SamplingSettings,
        speaker: str | None,
        prime: str | Path | Waveform | None,
        chunk_samples: int,
    ) -> Iterator[Waveform]:
        if self.config.model.mel is not None:
            raise UserError(f"{self.config.name} is a vocoder; give it frames: generate(mel=...)")
        model = self.config.model
        seed = checked_whole("seed", seed)
        codes = None
        if prime is not None:
            heard = samples_heard(model)
            codes = prime_codes([self._prime(prime)], first_row=0, rows=clips, samples=heard, coding=model.coding)
        chunks = stream(
            self._engine,
            num_samples=samples,
            batch_size=clips,
            seed=seed,
            settings=settings,
            prime_codes=codes,
            condition=self._condition(speaker, clips),
            chunk_samples=chunk_samples,
        )
        return (self._unscaled(chunk) for chunk in chunks)

    def _prime(self, prime: str | Path | Waveform) -> Prime:
        if isinstance(prime, str | Path):
            path = Path(prime)
            samples = samples_heard(self.config.model)
            found = read_primes([path], self.config, named=[path], clips=1, samples=samples, say=_warn)
            return found[0]
        return Prime(Path("waveform"), self._scaled(prime))

    def _scaled(self, waveform: NDArray[np.floating]) -> Waveform:
        """Returns a waveform at the level of training."""
        waveform = np.asarray(waveform, np.float32)
        if waveform.ndim != 1 or not len(waveform) or not np.isfinite(waveform).all():
            raise UserError(f"a waveform must be finite numbers of the shape (samples,), not {waveform.shape}")
        return np.clip(waveform * np.float32(self.config.audio.gain), np.float32(-1), np.float32(1))

    def _unscaled(self, waveform: Waveform) -> Waveform:
        """Returns a waveform at the level of the recordings."""
        return waveform / np.float32(self.config.audio.gain)

    def _vocode(
        self, mel: NDArray[np.floating], seed: int, settings: SamplingSettings, speaker: str | None, refine: int | None
    ) -> Waveform:
        from fast_gen.vocoding.refine import USUAL_TURNS, refined
        from fast_gen.vocoding.sources import checked_frames
        from fast_gen.vocoding.vocode import vocode

        if self._mel is None:
            raise UserError(f"{self.config.name} does not take mel frames; train with condition='mel' for a vocoder")
        turns = USUAL_TURNS if refine is None else checked_whole("refine", refine, least=0)
        frames = checked_frames(np.asarray(mel), self._mel, "mel", warn=_warn)
        blocks = vocode(
            self._engine,
            self._trained.model,
            self._mel.conditioning([frames]),
            frame_filter=self._mel.filter,
            shares=self._shares(speaker, 1)[0] if self.speakers else None,
            seed=checked_whole("seed", seed),
            settings=settings,
        )
        return self._unscaled(refined(np.concatenate(list(blocks)), frames, self._mel, turns))

    def _own_frames(self, scaled: Waveform) -> NDArray[np.float32] | None:
        """Returns the frames of a waveform for `code_bits`, None for a model without mel frames."""
        from wavenet_app.audio.mel import silent_conditioning
        from wavenet_app.network.conditioning import CONTEXT_FRAMES

        mel = self._mel
        if mel is None:
            return None
        frames = np.concatenate(list(mel.conditioning([mel.of(scaled)])))
        silence = silent_conditioning(mel.mel, CONTEXT_FRAMES)
        return np.concatenate([silence, frames, silence])

    @cached_property
    def _mel(self) -> MelFrames | None:
        from wavenet_app.audio.mel import MelFrames

        mel = self.config.model.mel
        return None if mel is None else MelFrames(mel, self.sample_rate)


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=2)
