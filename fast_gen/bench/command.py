"""`wavegen bench`: how fast each engine is on this machine, and whether each computes what the model says."""

from __future__ import annotations

import json
import os
import platform
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from fast_gen.bench.process import TEXTBOOK
from fast_gen.bench.run import BenchJob, BenchRow, broken_promises, own_audio, run_bench, verification_audio
from fast_gen.bench.view import left_out_lines, option_name, plain_rows, speed_table, verification_table
from fast_gen.engines.choice import engine_options
from fast_gen.engines.gpu.device import missing_gpu
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.checkpoints.trained import KIND, find_checkpoint, load_trained, plain_config
from wavenet_app.config import preset
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.network.model import WaveNet

FRESH_PRESET = "small"


@dataclass(frozen=True)
class BenchRequest:
    """What a user wants to know.

    Attributes:
        checkpoint: what `find_checkpoint` takes; None for the newest run, or fresh weights where there is none.
        seconds: of generating and starting, for all engines together, about; verifying comes on top.
        verify: whether each engine is held against the full network.
    """

    checkpoint: str | None
    seconds: float
    verify: bool


def run_bench_command(
    request: BenchRequest, folder: DataFolder, *, console: Console, progress: Console, as_json: bool
) -> None:
    """Measures every engine that can run here and prints what was found.

    Args:
        request: what to measure.
        folder: the data folder.
        console: for the result.
        progress: for what is going on, of which a pipe with JSON must not hear.
        as_json: JSON instead of tables.

    Raises:
        UserError: the checkpoint cannot be read, or an engine breaks its promises (after all is printed).
    """
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory()))
        path, fresh = _checkpoint(request.checkpoint, folder, temporary)
        trained = load_trained(path)
        weights = GeneratorWeights.of(trained.model)
        cache = temporary / "weights"
        WeightCache(cache).keep(path, trained.config, weights)
        sample_rate = trained.config.audio.sample_rate
        what = f"random weights of the preset {FRESH_PRESET}, as no model has been trained yet" if fresh else str(path)
        progress.print(what, highlight=False, soft_wrap=True)
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
    if as_json:
        facts = {
            "model": what,
            "machine": machine(),
            "sample_rate": sample_rate,
            "multiply_accumulates_per_sample": weights.multiply_accumulates,
            "verified_on": None if audio is None else audio.source,
            "engines": plain_rows(rows, sample_rate),
        }
        console.file.write(json.dumps(facts, indent=2) + "\n")
    else:
        console.print(speed_table(rows, sample_rate))
        if audio is not None:
            console.print(verification_table(rows, audio.source))
        for line in left_out_lines(rows):
            console.print(line, highlight=False, soft_wrap=True)
        console.print(machine(), highlight=False, soft_wrap=True)
    _check(rows)


def machine() -> str:
    """Returns what the figures were taken on, in words."""
    import numba
    import torch

    chip = platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if missing_gpu() is None else ""
    capability = torch.backends.cpu.get_cpu_capability()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numba {numba.__version__}"
    return f"{platform.system()}, {os.cpu_count()} CPU cores ({chip}, {capability}){gpu}; {versions}"


def _checkpoint(name: str | None, folder: DataFolder, temporary: Path) -> tuple[Path, bool]:
    """Returns a checkpoint's file, and whether it is one of fresh weights."""
    try:
        return find_checkpoint(folder.root, name), False
    except UserError:
        if name is not None:
            raise
    import torch

    config = preset(FRESH_PRESET)
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(config.model, generator)
    # the last layer starts at zero, where all codes are alike and every engine is right
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    path = temporary / f"{FRESH_PRESET}.pth"
    write_checkpoint(path, KIND, {"config": plain_config(config), "weights": model.state_dict()})
    return path, True


def _check(rows: list[BenchRow]) -> None:
    failures = [
        f"{option_name(row.option)}: {'; '.join(broken)}"
        for row in rows
        if row.measured is not None
        and row.measured.verification is not None
        and (broken := broken_promises(row.option, row.measured.verification))
    ]
    if failures:
        raise UserError(f"an engine does not compute what this model says: {' | '.join(failures)}")
