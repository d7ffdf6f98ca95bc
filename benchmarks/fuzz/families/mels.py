"""Mel frames to vocode, and the caches of decoded audio and of weights, damaged between two runs."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import content_mutations
import numpy as np
import soundfile
import torch
from mutations import mutated_bytes, mutated_text, mutated_zip
from random_checkpoint import write_random_checkpoint
from random_nets import CONDITIONED, MEL, SHAPES
from worker import Door

from families.audio import sound
from fast_gen.engines.weight_cache import read_weights
from fast_gen.vocoding.sources import checked_frames, open_source
from wavenet_app.audio.mel import MelFrames
from wavenet_app.config import AudioConfig, CorpusConfig, RunConfig
from wavenet_app.corpus.corpus import Corpus, open_corpus

RATE = 1_000
MODEL = SHAPES["two cycles"].model_copy(update=CONDITIONED["mel"])
CONFIG = RunConfig(model=MODEL, audio=AudioConfig(sample_rate=RATE))
_frames = MelFrames(MEL, RATE)


def write_seeds(folder: Path) -> None:
    """Writes frames in every format and order, and a checkpoint and sounds whose caches are filled."""
    frames = _frames.of(sound(2, RATE, 1)[:, 0])
    np.save(folder / "frames.npy", frames)
    np.save(folder / "turned.npy", frames.T[None])
    np.save(folder / "double.npy", frames.astype(np.float64))
    np.savez(folder / "archive.npz", mel=frames)
    torch.save(torch.from_numpy(frames), folder / "frames.pt")
    torch.save(torch.from_numpy(frames).half().T[None], folder / "half.pt")
    torch.save(torch.from_numpy(frames), folder / "old.pt", _use_new_zipfile_serialization=False)
    cached = folder / "cached"
    (cached / "sounds").mkdir(parents=True)
    for number in range(2):
        soundfile.write(cached / "sounds" / f"{number}.wav", sound(1 + number, 8_000, 1), 8_000)
    write_random_checkpoint(cached / "model.pth", MODEL, sample_rate=RATE)
    _corpus(cached, cached / "cache")
    read_weights(cached / "model.pth", cached / "weights")


def doors(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    """Mutates frames or a file of a cache, and yields what reads it."""
    if choose.random() < 0.4:
        yield from _cache_doors(choose, seeds, place)
        return
    path = place / choose.choice(("x.npy", "x.pt", "x.npz", "x.NPY"))
    path.write_bytes(_spoilt(choose, seeds))
    yield lambda: _vocoded(path)
    yield lambda: checked_frames(_array(choose), _frames, "mel", lambda _: None)


def _spoilt(choose: random.Random, seeds: Path) -> bytes:
    seed = choose.choice(sorted(path for path in seeds.iterdir() if path.is_file()))
    data, kind = seed.read_bytes(), choose.random()
    if kind < 0.45:
        return mutated_bytes(choose, data)
    if kind < 0.6 and data[:2] == b"PK" and seed.suffix == ".pt":
        return mutated_zip(choose, data)
    whole = BytesIO()
    if kind < 0.75:
        np.save(whole, _array(choose), allow_pickle=True)
    elif kind < 0.9:
        torch.save(_tensor(choose), whole)
    else:  # the header of numpy is a text of Python
        end = data.find(b"\n") + 1
        text = mutated_text(choose, data[10:end].decode("latin-1"), 2)[:60_000]
        return data[:8] + len(text).to_bytes(2, "little") + text + data[end:]
    return whole.getvalue()


def _array(choose: random.Random) -> np.ndarray:
    bands = choose.choice((MEL.n_mels, MEL.n_mels, 1, 0, 80))
    shape = choose.choice(
        ((30, bands), (bands, 30), (1, bands, 30), (bands,), (), (2, bands, 30), (bands, 0), (0, bands))
    )
    kind = choose.choice(("f4", "f4", "f2", "f8", "i4", "c8", "O", "S3", "M8[s]", "?", ">f4", "f4,i4"))
    array = np.zeros(shape, np.dtype(kind))
    if array.size and array.dtype.kind == "f" and choose.random() < 0.5:
        array[...] = choose.choice((-3.0, np.nan, np.inf, 6e4, -6e4, -11.0))
        array.flat[-1] = choose.choice((0.0, np.nan, -np.inf, 2.0))
    return array


def _tensor(choose: random.Random) -> Any:
    if choose.random() < 0.5:
        array = _array(choose)
        with suppress(TypeError, ValueError):
            return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    return choose.choice([*content_mutations.JUNK, {"mel": torch.zeros(5, 30)}, torch.zeros(5, 30, requires_grad=True)])


def _vocoded(path: Path) -> None:
    source = open_source(path, _frames, CONFIG)
    for frames in source.frames():
        assert frames.shape[1] == MEL.n_mels
        assert np.isfinite(frames).all()


def _corpus(folder: Path, cache: Path) -> Corpus:
    split = CorpusConfig(validation_fraction=0.5)
    return open_corpus([folder / "sounds"], audio=AudioConfig(), split=split, cache_dir=cache, sample_rate=None)


def _cache_doors(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    whole = seeds / "cached"
    cache, weights = place / "cache", place / "weights"
    shutil.copytree(whole / "cache", cache)
    shutil.copytree(whole / "weights", weights)
    # nothing of the sounds has changed, so that what the cache remembers of them counts
    opened = _corpus(whole, cache) if choose.random() < 0.5 else None
    files = sorted(path for folder in (cache, weights) for path in folder.rglob("*") if path.is_file())
    for path in choose.sample(files, choose.randint(1, 2)):
        if path.suffix == ".json" and choose.random() < 0.7:
            path.write_bytes(mutated_text(choose, path.read_text()))
        else:
            path.write_bytes(mutated_bytes(choose, path.read_bytes()))
    if opened is not None:
        yield lambda: _read_all(opened)
    yield lambda: _read_all(_corpus(whole, cache))
    yield lambda: read_weights(whole / "model.pth", weights)


def _read_all(corpus: Corpus) -> None:
    for clip in (*corpus.training, *corpus.validation):
        assert len(corpus.waveform(clip)) == clip.num_samples
