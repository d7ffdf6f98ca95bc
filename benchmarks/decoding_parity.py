"""Our decoder beside the ffmpeg program, codec by codec: the largest difference of a sample, whole and in blocks.

    python benchmarks/decoding_parity.py --ffmpeg /usr/bin/ffmpeg

Encodes bursts of noise over a gliding tone with that ffmpeg, so that lossy codecs spend very different numbers of bits
on it. A lag is how many samples ours begins later, found by the best match; lengths are of one channel. Samples are
between -1 and 1. Prints a table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from wavenet_app.audio.decoding import SoundReader

BLOCKS = (1, 997, 4096)
WHOLE = 10**9
FURTHEST_LAG = 3_000
CASES = (
    ("WAV, 16 bits", "wav", 44_100, 2, "-c:a pcm_s16le"),
    ("WAV, 24 bits", "wav", 44_100, 2, "-c:a pcm_s24le"),
    ("WAV, float", "wav", 44_100, 2, "-c:a pcm_f32le"),
    ("FLAC, 16 bits", "flac", 44_100, 2, "-c:a flac -sample_fmt s16"),
    ("FLAC, 24 bits", "flac", 44_100, 2, "-c:a flac -sample_fmt s32"),
    ("MP3, CBR 128 kbit/s", "mp3", 44_100, 2, "-c:a libmp3lame -b:a 128k"),
    ("MP3, VBR quality 4", "mp3", 44_100, 2, "-c:a libmp3lame -q:a 4"),
    ("MP3, VBR without a Xing header", "mp3", 44_100, 2, "-c:a libmp3lame -q:a 4 -write_xing 0"),
    ("MP3, 32 kbit/s, mono, 22.05 kHz", "mp3", 22_050, 1, "-c:a libmp3lame -b:a 32k"),
    ("Ogg Vorbis, quality 4", "ogg", 44_100, 2, "-c:a libvorbis -q:a 4"),
    ("Opus, 64 kbit/s", "opus", 48_000, 2, "-c:a libopus -b:a 64k"),
    ("M4A, AAC 128 kbit/s", "m4a", 44_100, 2, "-c:a aac -b:a 128k"),
    ("M4A, ALAC", "m4a", 44_100, 2, "-c:a alac"),
)

Samples = NDArray[np.float32]


def sound(seconds: float, rate: int, channels: int) -> NDArray[np.float64]:
    """Returns the source, (samples, channels)."""
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal((len(times), channels))
    bursts = 0.2 * noise * (np.sin(2 * np.pi * 3 * times) > 0.7)[:, None]
    return np.clip(0.3 * np.sin(2 * np.pi * (200 + 100 * times) * times)[:, None] + bursts, -0.9, 0.9)


def ours(path: Path, block: int) -> Samples:
    with SoundReader(path) as reader:
        return np.concatenate(list(reader.blocks(block)))


def lag_of(one: Samples, other: Samples) -> int:
    """Returns how many samples later a signal begins than another."""
    size = 2 ** int(np.ceil(np.log2(len(one) + len(other))))
    spectra = np.fft.rfft(one[:, 0], size) * np.conj(np.fft.rfft(other[:, 0], size))
    match = np.fft.irfft(spectra, size)
    near = np.concatenate([match[-FURTHEST_LAG:], match[: FURTHEST_LAG + 1]])
    return int(np.argmax(near)) - FURTHEST_LAG


def difference(one: Samples, other: Samples, lag: int) -> float:
    one, other = one[max(0, lag) :], other[max(0, -lag) :]
    common = min(len(one), len(other))
    return float(np.abs(one[:common] - other[:common]).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ffmpeg", default="ffmpeg", help="the program")
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    quiet = [options.ffmpeg, "-hide_banner", "-loglevel", "error", "-y", "-i"]
    shown = " | ".join(f"in blocks of {block:,}" for block in BLOCKS)
    print(f"| codec | length, ours and ffmpeg's | lag | whole | {shown} |\n|{'---|' * (4 + len(BLOCKS))}")
    with tempfile.TemporaryDirectory() as folder:
        for name, suffix, rate, channels, encoder in CASES:
            source, path = Path(folder) / "source.wav", Path(folder) / f"coded.{suffix}"
            soundfile.write(source, sound(options.seconds, rate, channels), rate, subtype="FLOAT")
            subprocess.run([*quiet, str(source), *encoder.split(), str(path)], check=True)
            decoded = subprocess.run([*quiet, str(path), "-f", "f32le", "-"], check=True, stdout=subprocess.PIPE)
            theirs = np.frombuffer(decoded.stdout, "<f4").reshape(-1, channels)
            whole = ours(path, WHOLE)
            lag = lag_of(whole, theirs)
            found = [difference(ours(path, block), theirs, lag) for block in (WHOLE, *BLOCKS)]
            figures = " | ".join("0" if figure == 0 else f"{figure:.1e}" for figure in found)
            print(f"| {name} | {len(whole):,} / {len(theirs):,} | {lag} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
