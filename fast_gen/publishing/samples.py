"""Audio samples of a model that is shared, with pictures of their spectrograms."""

from __future__ import annotations

from pathlib import Path

from fast_gen.generation.command import run_sampling
from fast_gen.generation.session import SampleRequest
from fast_gen.vocoding.command import VocodeRequest, run_vocoding
from wavenet_app.core.console import PlainConsole
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.corpus.corpus import Corpus

_LONGEST = 20.0  # seconds of a recording that is vocoded for a sample


def generated_samples(model: Path, out: Path, folder: DataFolder, *, clips: int, seconds: float) -> None:
    """Writes unselected clips of a model; its speakers take turns.

    Args:
        model: the file.
        out: folder for the clips.
        folder: the data folder.
        clips: how many.
        seconds: length of each.
    """
    request = SampleRequest(checkpoint=str(model), seconds=seconds, out=out, clips=clips)
    run_sampling(request, folder, console=PlainConsole(quiet=True))


def vocoded_samples(model: Path, out: Path, folder: DataFolder, corpus: Corpus, *, clips: int) -> None:
    """Writes held-out recordings as a vocoder makes them from their own frames.

    Args:
        model: the file.
        out: folder for the clips.
        folder: the data folder.
        corpus: its validation clips are used, of those that are not long.
        clips: how many at most.
    """
    short = [clip for clip in corpus.validation if clip.num_samples <= _LONGEST * corpus.sample_rate]
    for number, clip in enumerate(short[:: max(1, len(short) // clips)][:clips]):
        request = VocodeRequest(
            checkpoint=str(model), source=clip.path, out=out / f"{model.stem}-{number}.wav", speaker=clip.speaker
        )
        run_vocoding(request, folder, console=PlainConsole(quiet=True))
