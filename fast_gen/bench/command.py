"""`wavegen bench`: the speed of every engine on this machine, and whether it agrees with the full network."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from fast_gen.bench.process import TEXTBOOK
from fast_gen.bench.run import BenchJob, BenchRow, own_audio, run_bench, tolerance_errors, verification_audio
from fast_gen.bench.view import (
    auto_line,
    clips_table,
    option_name,
    plain_rows,
    skipped_lines,
    speed_table,
    verification_table,
)
from fast_gen.engines.choice import engine_options
from fast_gen.engines.contract import PRECISIONS
from fast_gen.engines.fastest import fastest_known
from fast_gen.engines.gpu.device import missing_gpu
from fast_gen.engines.start import Job
from fast_gen.engines.trial_cache import TrialCache, trial_key
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.checkpoints.trained import KIND, find_checkpoint, load_trained, plain_config
from wavenet_app.config import preset
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.network.model import WaveNet

RANDOM_PRESET = "small"


@dataclass(frozen=True)
class BenchRequest:
    """The options of `wavegen bench`.

    Attributes:
        checkpoint: what `find_checkpoint` takes; None for the newest run, or random weights if there is none.
        seconds: approximate time for all engines together, without verification.
        verify: whether each engine is compared with the full network.
    """

    checkpoint: str | None
    seconds: float
    verify: bool


def run_bench_command(
    request: BenchRequest, folder: DataFolder, *, console: Console, progress: Console, as_json: bool
) -> None:
    """Measures every engine that can run here and prints the results.

    Args:
        request: what to measure.
        folder: the data folder.
        console: for the result.
        progress: for progress, which must not get into JSON.
        as_json: JSON instead of tables.

    Raises:
        UserError: the checkpoint cannot be read, or an engine is out of tolerance (after the results are printed).
    """
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory()))
        path, is_random = _checkpoint(request.checkpoint, folder, temporary)
        trained = load_trained(path)
        weights = GeneratorWeights.of(trained.model)
        cache = temporary / "weights"
        WeightCache(cache).keep(path, trained.config, weights)
        sample_rate = trained.config.audio.sample_rate
        what = (
            f"random weights of the preset {RANDOM_PRESET}, as no model has been trained yet"
            if is_random
            else str(path)
        )
        progress.print(what, highlight=False, soft_wrap=True)
        busy = busy_note()
        if busy:
            progress.print(busy, highlight=False, soft_wrap=True)
        audio = None
        if request.verify:
            audio = verification_audio(trained.config, trained.content.get("split"), folder) or own_audio(weights)
        job = BenchJob(
            checkpoint=path,
            weights_folder=cache,
            options=[TEXTBOOK, *engine_options(weights)],
            seconds=request.seconds,
            codes=None if audio is None else audio.codes,
        )
        rows = run_bench(
            job, lambda option: progress.print(f"measuring {option_name(option)}", highlight=False, soft_wrap=True)
        )
    trials = TrialCache(folder.cache / "trials")
    keep_trials(rows, weights, trials)
    counts = sorted({clips for row in rows if row.measured for clips in row.measured.trials})
    taken = auto_takes(weights, trials, counts)
    if as_json:
        facts = {
            "model": what,
            "machine": machine(),
            "sample_rate": sample_rate,
            "multiply_accumulates_per_sample": weights.multiply_accumulates,
            "verified_on": None if audio is None else audio.source,
            "engines": plain_rows(rows, sample_rate),
            "auto": {str(clips): place for clips, place in taken.items()},
        }
        console.file.write(json.dumps(facts, indent=2) + "\n")
    else:
        console.print(speed_table(rows, sample_rate))
        console.print(clips_table(rows))
        if audio is not None:
            console.print(verification_table(rows, audio.source))
        for line in skipped_lines(rows):
            console.print(line, highlight=False, soft_wrap=True)
        console.print(machine(), highlight=False, soft_wrap=True)
        if taken:
            console.print(auto_line(taken), highlight=False, soft_wrap=True)
    _check(rows)


def keep_trials(rows: Sequence[BenchRow], weights: GeneratorWeights, trials: TrialCache) -> None:
    """Keeps what was measured for `auto`, which then takes the fastest."""
    for row in rows:
        if row.measured is not None and row.option != TEXTBOOK:
            option = row.option
            for clips, trial in row.measured.trials.items():
                key = trial_key(weights, option.precision, option.threads, clips)
                trials.keep(key, {(option.engine, option.device): trial})


def auto_takes(weights: GeneratorWeights, trials: TrialCache, counts: Sequence[int]) -> dict[int, str]:
    """Returns number of clips -> the engine that `auto` takes from now on, in the default precision on one thread."""
    found = {clips: fastest_known(weights, PRECISIONS[0], 1, Job(clips, trials=trials)) for clips in counts}
    return {clips: place[0] for clips, place in found.items() if place is not None}


def busy_note() -> str | None:
    """Returns a warning where other programs leave no core free for the measurement, else None."""
    if not hasattr(os, "getloadavg"):  # on Windows
        return None
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= max(cores - 1, 0.5):
        return None
    return f"note: this machine is busy (load average {load:.1f}, {cores} cores); on an idle one the speeds are higher"


def machine() -> str:
    """Returns a description of the machine and the packages that were measured."""
    import numba
    import torch

    chip = platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if missing_gpu() is None else ""
    capability = torch.backends.cpu.get_cpu_capability()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numba {numba.__version__}"
    return f"{platform.system()}, {os.cpu_count()} CPU cores ({chip}, {capability}){gpu}; {versions}"


def _checkpoint(name: str | None, folder: DataFolder, temporary: Path) -> tuple[Path, bool]:
    """Returns a checkpoint file, and whether it has random weights."""
    try:
        return find_checkpoint(folder.root, name), False
    except UserError:
        if name is not None:
            raise
    import torch

    config = preset(RANDOM_PRESET)
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(config.model, generator)
    # the last layer starts at zero, where all codes are equally likely and no engine can be wrong
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    path = temporary / f"{RANDOM_PRESET}.pth"
    write_checkpoint(path, KIND, {"config": plain_config(config), "weights": model.state_dict()})
    return path, True


def _check(rows: list[BenchRow]) -> None:
    failures = [
        f"{option_name(row.option)}: {'; '.join(errors)}"
        for row in rows
        if row.measured is not None
        and row.measured.verification is not None
        and (errors := tolerance_errors(row.option, row.measured.verification))
    ]
    if failures:
        raise UserError(f"an engine does not agree with the full network: {' | '.join(failures)}")
