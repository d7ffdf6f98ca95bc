"""Feeds mutated files and settings to the program's readers, and counts what becomes of them.

    python benchmarks/fuzz FAMILY --minutes 15
    python benchmarks/fuzz FAMILY --seed 1234 --cases 1

Families are the modules in families/: audio, coco, masks, checkpoints, settings and mels. A case follows from its seed
alone. Its files, if it is not handled, stay in OUT/FAMILY/<kind>/<seed>. A worker process with limited memory handles
the cases, and a new one takes over when it crashes or takes too long. The last line is a row of a table: family,
minutes, cases, accepted, refused in one line, unhandled (and kinds of it), hangs, peak memory in MB.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
START_SECONDS = 300.0
KEPT = 3  # cases of a kind


class Worker:
    """A process that handles cases."""

    def __init__(self, family: str, folder: Path, gigabytes: float, seconds: float) -> None:
        self.seconds = seconds
        command = [sys.executable, str(HERE / "worker.py"), family, str(folder), str(gigabytes), str(seconds)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WAVEGEN_DATA": str(folder / "case" / "data")}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, start_new_session=True
        )
        if self._line(START_SECONDS) != "ready":
            raise SystemExit(f"no worker starts; see {folder / 'worker.log'}")

    def handle(self, seed: int) -> tuple[str, str, int]:
        """Returns what became of a case, why, and the most memory in MB that it took."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{seed}\n".encode())
            line = self._line(self.seconds + 1)
        except BrokenPipeError:
            line = ""
        if line:
            _, verdict, reason, megabytes = json.loads(line)
            return verdict, reason, megabytes
        ended = self.process.poll() if line is None else self.process.wait()
        self.stop()
        return ("hang", "", 0) if ended is None else ("unhandled", f"the process ended with {ended}", 0)

    def stop(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()

    def _line(self, seconds: float) -> str | None:
        """Returns the next line, "" at the end of the process, None if none comes in time."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline().decode().strip() if ready else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=sorted(path.stem for path in (HERE / "families").glob("[!_]*.py")))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--cases", type=int, default=10**9, help="stop after this many")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--gigabytes", type=float, default=6.0, help="of address space beyond what a start takes")
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of a case")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "wavegen-fuzz")
    options = parser.parse_args()
    folder = options.out.resolve() / options.family
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    peak = (0, 0)
    worker = Worker(options.family, folder, options.gigabytes, options.seconds)
    began = time.monotonic()
    for seed in itertools.islice(itertools.count(options.seed), options.cases):
        if time.monotonic() - began > 60 * options.minutes:
            break
        verdict, reason, megabytes = worker.handle(seed)
        counts[verdict] += 1
        peak = max(peak, (megabytes, seed))
        if verdict in ("unhandled", "hang"):
            kind = reason.rpartition("[")[2].strip("]").replace("/", ".") or verdict
            kind = f"{kind}-{hashlib.sha256(reason.split(':')[0].encode()).hexdigest()[:4]}"
            kinds[kind] += 1
            if kinds[kind] <= KEPT:
                shutil.copytree(folder / "case", folder / kind / str(seed), dirs_exist_ok=True, symlinks=True)
                print(f"seed {seed}: {verdict}: {reason} (kind {kind})", flush=True)
        if worker.process.poll() is not None:
            worker = Worker(options.family, folder, options.gigabytes, options.seconds)
    worker.stop()
    minutes = (time.monotonic() - began) / 60
    for kind, count in kinds.most_common():
        print(f"{count} times {kind}")
    row = [options.family, f"{minutes:.1f}", f"{sum(counts.values()):,}", f"{counts['accepted']:,}"]
    row += [f"{counts['refused']:,}", f"{counts['unhandled']} ({len(kinds)})", str(counts["hang"])]
    print(f"| {' | '.join(row)} | {peak[0]} (seed {peak[1]}) |")


if __name__ == "__main__":
    main()
