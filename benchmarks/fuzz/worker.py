"""Handles one case after another in a process of limited memory: reads seeds, answers with a line of JSON each.

python benchmarks/fuzz/worker.py FAMILY FOLDER GIGABYTES SECONDS
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import random
import resource
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402

from wavenet_app.core.errors import UserError  # noqa: E402

LONGEST_LINE = 4000  # names in a case may have thousands of letters

Door = Callable[[], object]


def outcome_of(doors: Iterable[Door]) -> tuple[str, str]:
    """Returns what became of a case at all doors, the worst of "accepted", "refused" and "unhandled", and why."""
    found = ("accepted", "")
    try:
        for door in doors:
            try:
                door()
            except UserError as error:
                text = str(error)
                if len(text.splitlines()) != 1 or len(text) > LONGEST_LINE:
                    return "unhandled", f"not one line: {text[:300]!r} ({len(text)} letters) {_place(error)}"
                found = ("refused", text[:300])
            except OSError as error:  # the command line makes one line of it
                found = ("refused", f"{error.filename}: {error.strerror}"[:300])
    except Exception as error:  # noqa: BLE001 - which ones there are is the question
        text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        return "unhandled", f"{text[:200]} {_place(error)}"
    return found


def _place(error: BaseException) -> str:
    """Returns the innermost line of the program that an error passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(ROOT))]
    frames = [frame for frame in frames if "benchmarks/fuzz" not in frame.filename] or frames
    return f"[{Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno}]" if frames else "[]"


def _traceback_since(log: Path, place: int) -> str:
    """Returns the last line of a traceback that something printed to standard error since then, "" for none."""
    printed = log.read_bytes()[place:].decode(errors="replace")
    return printed.strip().splitlines()[-1] if "Traceback" in printed else ""


def _peak_megabytes() -> int:
    """Returns the most memory since the last call, in MB."""
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return peak // 1000


def _handle(family: Any, seed: int, seeds: Path, place: Path) -> tuple[str, str]:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    os.chdir(place)
    return outcome_of(family.doors(random.Random(seed), seeds, place))


def main() -> None:
    name, folder, gigabytes, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    log = (folder / "worker.log").open("a")
    os.dup2(log.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)  # numpy's, which a user would see
    faulthandler.enable(log)
    torch.set_num_threads(1)
    family = importlib.import_module(f"families.{name}")
    seeds, place = folder / "seeds", folder / "case"
    if not seeds.exists():
        seeds.mkdir()
        family.write_seeds(seeds)
    _handle(family, 0, seeds, place)  # imports, which take no time of a case
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + int(gigabytes * 2**30),) * 2)
    answers.write("ready\n")
    for line in sys.stdin:
        seed = int(line)
        _peak_megabytes()
        faulthandler.dump_traceback_later(seconds, file=log)
        printed = (folder / "worker.log").stat().st_size
        verdict, reason = _handle(family, seed, seeds, place)
        faulthandler.cancel_dump_traceback_later()
        if verdict != "unhandled" and (shown := _traceback_since(folder / "worker.log", printed)):
            verdict, reason = "unhandled", f"printed a traceback: {shown}"
        answers.write(json.dumps([seed, verdict, reason, _peak_megabytes()]) + "\n")


if __name__ == "__main__":
    main()
