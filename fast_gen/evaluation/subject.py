"""What `wavegen eval` is asked, the model that it is about, and the bar that is seen meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fast_gen.engines.choice import EngineChoice, start_engine
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Corpus
from wavenet_app.network.model import WaveNet


@dataclass(frozen=True)
class EvalRequest:
    """What a user wants to know.

    Attributes:
        checkpoint: what `find_checkpoint` takes; None for the newest run.
        paths: audio to measure on; empty for the clips that the run held out.
        seconds: audio to measure bits on, at most; 0 for all of it.
        clips: how many to generate, or of a model that is told mel frames, how many held-out ones to vocode.
        clip_seconds: length of each, at most.
        temperature: that they are sampled at; None for the usual one.
        speaker: whose voice all of the named audio is, as `speaker_shares` takes it; None for what the rule of the run
            says of each file.
        turns: by which vocoded clips are moved towards their frames; None for the usual number. Of a model that is
            told mel frames only.
        seed: of the generated clips.
        engine: name of an engine, or "auto".
    """

    checkpoint: str | None
    paths: tuple[str, ...] = ()
    seconds: float = 60.0
    clips: int = 8
    clip_seconds: float = 2.0
    temperature: float | None = None
    speaker: str | None = None
    turns: int | None = None
    seed: int = 0
    engine: str = "auto"


@dataclass(frozen=True, eq=False)
class EvalSubject:
    """A model with the audio that it is measured on.

    Attributes:
        model: the net, where it is quickest.
        weights: the same as plain arrays.
        corpus: its validation clips are the ones to measure.
        conditioning: makes the conditioning of them.
        settings: temperature, top-k and top-p of what it generates.
    """

    model: WaveNet
    weights: GeneratorWeights
    corpus: Corpus
    conditioning: ClipConditioning
    settings: SamplingSettings

    def engine(self, name: str, console: Console) -> Engine:
        """Returns what generates; says if it will have to be waited for."""

        def on_choice(choice: EngineChoice) -> None:
            if choice.preparation:
                console.print(choice.preparation, highlight=False)

        return start_engine(name, self.weights, on_choice=on_choice)[1]


@contextmanager
def progress_bar(console: Console, text: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar while it is entered; what it gives is called with (done, total)."""
    with Progress(
        TextColumn(text), BarColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(text)
        yield lambda done, total: progress.update(task, completed=done, total=total)
