"""Peak memory of opening a synthetic corpus and loading batches, which must not grow with the corpus.

Writes FLAC files of a tone with a little noise (100 hours at 16 kHz: about 2.7 GB, and 11.5 GB of decoded audio),
opens a hundredth, a tenth and all of them, each in its own process, and prints the peak resident memory of each
process.

    python benchmarks/corpus_memory.py --hours 100 --folder SCRATCH
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SHARES = (0.01, 0.1, 1.0)


def main() -> None:
    """Writes the corpus and measures each share of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=100.0)
    parser.add_argument("--file-seconds", type=float, default=15.0)
    parser.add_argument("--sample-rate", type=int, default=16_000)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder, removed afterwards)")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(**arguments.measure)
        return
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="corpus_memory_"))
    try:
        compare(folder, arguments.hours, arguments.file_seconds, arguments.sample_rate, arguments.batches)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder)


def compare(folder: Path, hours: float, file_seconds: float, sample_rate: int, batches: int) -> None:
    """Writes the corpus in folders that add up to the shares, and prints a line for each share."""
    count = max(100, round(hours * 3600 / file_seconds))
    borders = [0, *(round(count * share) for share in SHARES)]
    started = time.perf_counter()
    for part, (first, last) in enumerate(pairwise(borders)):
        write_files(folder / f"part{part}", range(first, last), file_seconds, sample_rate)
    size = sum(file.stat().st_size for file in folder.rglob("*.flac")) / 2**30
    print(f"wrote {count:,} files, {size:.2f} GiB, in {time.perf_counter() - started:.0f} s")
    print("    hours     files   decode s   reopen s   imports MiB   opened MiB   after batches MiB   batches/s")
    for part in range(len(SHARES)):
        cache = str(folder / f"cache{part}")
        parts = [str(folder / f"part{index}") for index in range(part + 1)]
        task = {"folders": parts, "cache": cache, "batches": batches}
        command = [sys.executable, __file__, "--measure", json.dumps(task)]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        again = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        shutil.rmtree(cache)
        files = borders[part + 1]
        print(
            f"{files * file_seconds / 3600:9.2f} {files:9,} {answer['seconds']:10.1f} {again['seconds']:10.1f} "
            f"{answer['imports']:13.0f} {answer['opened']:12.0f} {answer['drawn']:19.0f} {again['rate']:11.1f}"
        )


def write_files(folder: Path, numbers: range, seconds: float, sample_rate: int) -> None:
    """Writes one distinct file for each number: the same tone with another start."""
    folder.mkdir(parents=True, exist_ok=True)
    length = round(seconds * sample_rate)
    tone = 6_000 * np.sin(2 * np.pi * 220 * np.arange(2 * length) / sample_rate)
    wave = (tone + np.random.default_rng(0).uniform(-2, 2, 2 * length)).astype(np.int16)
    for number in numbers:
        start = number * 7919 % length
        samples = wave[start : start + length].copy()
        samples[:2] = divmod(number, 1 << 15)  # no two files are copies
        soundfile.write(folder / f"{number:06d}.flac", samples, sample_rate, subtype="PCM_16")


def measure(folders: list[str], cache: str, batches: int) -> None:
    """Opens the corpus, loads batches spread over an epoch, and prints the peaks as JSON."""
    from wavenet_app.coding import MuLawCoding
    from wavenet_app.config import AudioConfig, CorpusConfig
    from wavenet_app.corpus.corpus import open_corpus
    from wavenet_app.corpus.windows import TrainingWindows

    imports = peak_mebibytes()
    started = time.perf_counter()
    corpus = open_corpus(
        [Path(folder) for folder in folders],
        audio=AudioConfig(),
        split=CorpusConfig(),
        cache_dir=Path(cache),
        sample_rate=None,
    )
    seconds = time.perf_counter() - started
    opened = peak_mebibytes()
    windows = TrainingWindows(corpus, context=3_071, window=6_144, batch_size=8, coding=MuLawCoding(256), seed=0)
    started = time.perf_counter()
    for number in range(batches):
        windows.batch(number * windows.batches_per_epoch // batches)
    rate = batches / (time.perf_counter() - started)
    drawn = peak_mebibytes()
    print(json.dumps({"seconds": seconds, "imports": imports, "opened": opened, "drawn": drawn, "rate": rate}))


def peak_mebibytes() -> float:
    """Returns the peak resident memory of this process; Linux reports it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
