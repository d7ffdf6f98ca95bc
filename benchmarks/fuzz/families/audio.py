"""Sound files of all containers and codecs: header, decoding in blocks, one mono signal, facts, a corpus."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
from mutations import EXTREMES, mutated_bytes
from worker import Door

from wavenet_app.audio.decoding import SoundReader, probe
from wavenet_app.audio.mono import read_audio
from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.corpus.corpus import open_corpus
from wavenet_app.inspection.examine import examine
from wavenet_app.inspection.facts import measure_file

RATE = 16_000
PLAIN = (
    ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("wav", "DOUBLE"), ("wav", "ULAW"), ("wav", "MS_ADPCM"),
    ("wav", "PCM_U8"), ("flac", "PCM_16"), ("flac", "PCM_24"), ("ogg", "VORBIS"), ("ogg", "OPUS"), ("aiff", "PCM_16"),
    ("au", "PCM_16"), ("caf", "PCM_16"), ("w64", "PCM_16"), ("mp3", "MPEG_LAYER_III"),
)  # fmt: skip
CODED = (
    ("m4a", "aac"), ("aac", "aac"), ("m4a", "alac"), ("mkv", "aac"), ("wma", "wmav2"), ("ac3", "ac3"),
    ("wv", "wavpack"), ("tta", "tta"), ("mp2", "mp2"), ("webm", "libopus"), ("mov", "pcm_s16le"),
)  # fmt: skip


def sound(seconds: float, rate: int, channels: int) -> np.ndarray:
    """Returns noise below a falling tone, float32, shape (samples, channels)."""
    times = np.arange(round(seconds * rate)) / rate
    tone = 0.4 * np.sin(2 * np.pi * 220 * times)[:, None] * np.exp(-2 * times)[:, None]
    noise = 0.02 * np.random.default_rng(0).standard_normal((len(times), channels))
    return (tone + noise).astype(np.float32)


def write_seeds(folder: Path) -> None:
    """Writes a short file of each kind."""
    for number, (suffix, subtype) in enumerate(PLAIN):
        rate = 48_000 if subtype == "OPUS" else (RATE, 44_100)[number % 2]
        soundfile.write(folder / f"{number}.{suffix}", sound(0.3, rate, 1 + number % 2), rate, subtype=subtype)
    for number, (suffix, codec) in enumerate(CODED, start=len(PLAIN)):
        with av.open(folder / f"{number}.{suffix}", "w") as container:
            stream = container.add_stream(codec, rate=48_000, layout="mono", bit_rate=64_000)
            samples = (sound(0.3, 48_000, 1) * 32767).astype(np.int16).T
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout="mono")
            frame.sample_rate = 48_000
            resampler = av.AudioResampler(stream.format, "mono", 48_000, frame_size=stream.frame_size or None)
            for part in (frame, None):
                for piece in resampler.resample(part):
                    container.mux(stream.encode(piece))
            container.mux(stream.encode(None))


def doors(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    """Mutates one file, or joins two, and yields the readers."""
    files = sorted(seeds.iterdir())
    seed = choose.choice(files)
    data = seed.read_bytes()
    if choose.random() < 0.1:
        data += choose.choice(files).read_bytes()
    if choose.random() < 0.15:  # a field of the header with an extreme value, and nothing else
        field = choose.randrange(min(len(data), 128))
        extreme = choose.choice(EXTREMES)
        data = data[:field] + extreme + data[field + len(extreme) :]
    elif choose.random() < 0.97:
        data = mutated_bytes(choose, data)
    folder = place / "sounds"
    folder.mkdir()
    suffix = seed.suffix if choose.random() < 0.9 else choose.choice((".wav", ".mp3", ".ogg", ".m4a"))
    path = folder / f"case{suffix}"
    path.write_bytes(data)
    frames, rate = choose.choice((1, 7, 1000, 8192)), choose.choice((8_000, 16_000, 44_100))
    yield lambda: probe(path)
    yield lambda: _read_blocks(path, frames)
    yield lambda: read_audio(path, rate, lambda _: None)
    yield lambda: measure_file(path)
    shutil.copy(seeds / "0.wav", folder / "whole.wav")
    trim, fraction = choose.choice((0.0, 40.0)), choose.choice((0.1, 0.5))
    if choose.random() < 0.3:
        yield lambda: examine([folder], cache_dir=place / "cache")
    else:
        for _ in range(2):  # the second time from the cache
            yield lambda: open_corpus(
                [folder],
                audio=AudioConfig(trim_decibels=trim),
                split=CorpusConfig(validation_fraction=fraction),
                cache_dir=place / "cache",
                sample_rate=None,
            )


def _read_blocks(path: Path, frames: int) -> None:
    with SoundReader(path) as reader:
        for block in reader.blocks(frames):
            assert len(block) <= frames
            assert np.isfinite(block).all()
