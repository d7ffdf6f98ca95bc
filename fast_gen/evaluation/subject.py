"""The request of `wavegen eval`, the model and audio that it measures, and its progress bar."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from fast_gen.engines.choice import EngineChoice
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.start import start_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Corpus
from wavenet_app.network.model import WaveNet


@dataclass(frozen=True)
class EvalRequest:
    """The options of `wavegen eval`.

    Attributes:
        checkpoint: what `find_checkpoint` takes; None for the newest run.
        paths: audio to measure on; empty for the held-out clips of the run.
        seconds: audio to measure bits on, at most; 0 for all of it.
        clips: how many to generate, or with a vocoder, how many held-out ones to vocode.
        clip_seconds: length of each, at most.
        temperature: that they are sampled at; None for the default.
        quiet_temperature: that of their quiet parts; None for the default.
        speaker: of all audio in `paths`, as `speaker_shares` takes it; None for the speaker that the run's rule gives
            each file.
        turns: iterations of the refinement, for vocoders; None for the default.
        seed: of the generated clips.
        engine: name of an engine, or "auto".
    """

    checkpoint: str | None
    paths: tuple[str, ...] = ()
    seconds: float = 60.0
    clips: int = 8
    clip_seconds: float = 2.0
    temperature: float | None = None
    quiet_temperature: float | None = None
    speaker: str | None = None
    turns: int | None = None
    seed: int = 0
    engine: str = "auto"


@dataclass(frozen=True, eq=False)
class EvalSubject:
    """A model with the audio that it is measured on.

    Attributes:
        model: the network, on the fastest device.
        weights: the same as plain arrays.
        corpus: its validation clips are measured.
        conditioning: their conditioning.
        settings: the temperatures of generated clips.
    """

    model: WaveNet
    weights: GeneratorWeights
    corpus: Corpus
    conditioning: ClipConditioning
    settings: SamplingSettings

    def engine(self, name: str, console: Console) -> Engine:
        """Returns an engine with the weights of the model; prints a line if it has to compile first."""

        def on_choice(choice: EngineChoice) -> None:
            if choice.preparation:
                console.print(choice.preparation, highlight=False)

        return start_engine(name, self.weights, on_choice=on_choice)[1]
