"""Samples a second of `wavegen sample -n` with one process and with several, alternating in one run.

    python benchmarks/bulk_speed.py kathleen

Each run is the command of a user, into a new folder. The speed is the one that it prints, which leaves out the start of
the first process, but not that of the others. Every manifest must hold the same clips.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from train_speed import machine


def run(voice: str, clips: int, seconds: float, processes: int) -> tuple[float, str]:
    """Returns samples a second and a hash over the audio of all clips."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-n", str(clips), "--seconds", str(seconds), "--processes", str(processes), "--out", folder]
        done = subprocess.run(
            [sys.executable, "-m", "wavenet_app", "sample", voice, *options],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        lines = [json.loads(line) for line in (Path(folder) / "manifest.jsonl").read_text().splitlines()]
        names = sorted(line["file"] for line in lines)
        audio = hashlib.sha256(b"".join((Path(folder) / name).read_bytes() for name in names))
    found = re.search(r"([\d,]+) samples/s", done.stdout)
    assert found is not None, done.stdout
    return float(found[1].replace(",", "")), audio.hexdigest()


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", nargs="?", default="kathleen")
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], arguments.processes: []}
    hashes = set()
    for _ in range(arguments.rounds):
        for processes, found in rates.items():
            rate, audio = run(arguments.voice, arguments.clips, arguments.seconds, processes)
            found.append(rate)
            hashes.add(audio)
    print(machine("cpu"))
    print(
        f"{arguments.clips} clips of {arguments.seconds:g} s of {arguments.voice}; all runs equal: {len(hashes) == 1}"
    )
    print("| processes | samples/s | ratio |\n|---|---|---|")
    for processes, found in rates.items():
        rate = statistics.median(found)
        print(f"| {processes} | {rate:,.0f} | {rate / statistics.median(rates[1]):.2f} |")


if __name__ == "__main__":
    main()
