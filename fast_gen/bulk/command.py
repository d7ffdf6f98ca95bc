"""`wavegen sample` with many clips, from request to folder."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fast_gen.bulk.batch_size import ON_A_CPU, ON_A_GPU, BatchSize
from fast_gen.bulk.manifest import ManifestLine, ManifestWriter, manifest_path, read_manifests, writing_manifest
from fast_gen.bulk.parts import Parts
from fast_gen.bulk.processes import IsStopped, results_here, results_of_processes
from fast_gen.bulk.shard import missing_ranges
from fast_gen.bulk.worker import BulkJob, DoneBatch, Worker, common_values, ready_worker, speaker_of
from fast_gen.generation.session import SampleRequest
from wavenet_app.checkpoints.voices import find_to_generate
from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import HOUR, make_folder, sweep_parts
from wavenet_app.core.terminal import number_of

_DIGITS = 6  # of the numbers in the names, so that names sort and do not depend on how many clips are wanted


def run_bulk(request: SampleRequest, parts: Parts, folder: DataFolder, *, scores: bool, console: Console) -> Path:
    """Generates the clips that are not in the folder yet, and lists each in the manifest when its file is complete.

    Args:
        request: what to generate.
        parts: which of the clips, and by how many processes.
        folder: the data folder.
        scores: whether the bits of each clip are measured.
        console: to print to.

    Returns:
        The manifest.

    Raises:
        UserError: the checkpoint or a setting is invalid, the folder holds clips of other settings or cannot be
            written, or a process ended.
    """
    _refuse_what_bulk_cannot(request)
    assert request.clips is not None
    worker = _first_worker(request, scores, folder, console)
    job, target = worker.job, request.destination.folder
    make_folder(target)
    manifest = manifest_path(target, parts.shard)
    with writing_manifest(target, parts.shard) as writer:
        sweep_parts(target, HOUR)
        if request.overwrite:
            manifest.unlink(missing_ok=True)
        wanted = parts.shard.numbers(request.clips)
        left = list(missing_ranges(wanted, _done(worker, wanted)))
        sizes = ON_A_GPU if worker.ready.engine.device == "cuda" else ON_A_CPU
        plan = _Plan(
            left,
            BatchSize(sizes, worker.num_samples),
            parts.count(worker.ready.engine.device, worker.job.request.threads),
        )
        _say_what_is_left(plan, wanted, job, console)
        speed = ""
        with _progress(console) as progress, closing(_batches(worker, parts, plan, writer)) as batches:
            task = progress.add_task("generating", total=plan.left, speed=speed)
            began = time.monotonic()
            for batch in batches:
                writer.add(batch.lines)
                plan.note(batch)
                speed = _speed(plan.made * worker.num_samples, worker.ready.config.audio.sample_rate, began)
                progress.update(task, advance=len(batch.lines), speed=speed)
    if plan.made:
        console.print(f"{speed}, in batches of {plan.size.fastest}", highlight=False)
    failures = ", ".join(f"{count} of {kind}" for kind, count in sorted(plan.failures.items()))
    if failures:
        print_labelled(console, "note", f"clips that failed ({failures}) are marked in the manifest")
    console.print(f"{manifest}  ({number_of(len(wanted), 'clip')})", highlight=False, markup=False, soft_wrap=True)
    return manifest


def _refuse_what_bulk_cannot(request: SampleRequest) -> None:
    for given, what in ((request.primes, "--prime"), (request.rank, "--rank"), (request.keep is not None, "--keep")):
        if given:
            raise UserError(f"{what} cannot be combined with --shard, --processes, --devices or --bits; leave it out")
    if request.clips is None:
        raise UserError("say how many clips there are in all, with -n")
    request.destination.check_count(request.clips)


def _first_worker(request: SampleRequest, scores: bool, folder: DataFolder, console: Console) -> Worker:
    """Returns the worker of this process, which also compiles what the others then find."""
    checkpoint, stand_in = find_to_generate(folder.root, request.checkpoint)
    if stand_in is not None:
        print_labelled(console, "note", stand_in)
    exact = replace(request, checkpoint=str(checkpoint.resolve()))
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    job = BulkJob(exact, folder.root.resolve(), "", _DIGITS, digest, scores)
    worker = ready_worker(job, console)
    worker.job = replace(job, stem=f"{worker.ready.config.name}-seed{request.seed}")
    return worker


@dataclass
class _Plan:
    """What is left to do, and what was done."""

    ranges: list[range]
    size: BatchSize
    processes: int
    made: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.left = sum(map(len, self.ranges))
        self._waiting = self.left
        self.processes = max(1, min(self.processes, self.left))

    def next_batch(self) -> range | None:
        """Returns the numbers of the next batch, which are consecutive; None at the end."""
        if not self.ranges:
            return None
        first = self.ranges[0]
        batch = first[: self.size.next(self._waiting, self.processes)]
        self._waiting -= len(batch)
        if len(batch) == len(first):
            self.ranges.pop(0)
        else:
            self.ranges[0] = first[len(batch) :]
        return batch

    def note(self, batch: DoneBatch) -> None:
        """Counts a batch that is done."""
        self.size.measured(len(batch.numbers), batch.speed)
        self.made += len(batch.lines)
        self.failures.update(line.failure for line in batch.lines if line.failure is not None)


def _batches(worker: Worker, parts: Parts, plan: _Plan, writer: ManifestWriter) -> Generator[DoneBatch]:
    if plan.processes == 1 and parts.devices is None:
        return results_here(worker.make, plan.next_batch)
    devices = None if parts.devices is None else list(parts.devices)
    ready = partial(_ready, worker.job)
    return results_of_processes(
        ready, plan.processes, devices, plan.next_batch, on_late=lambda batch: writer.add(batch.lines)
    )


def _ready(job: BulkJob, _is_stopped: IsStopped) -> Callable[[range], DoneBatch]:
    return ready_worker(job, Console(quiet=True)).make  # a batch is short enough to be finished


def _done(worker: Worker, wanted: range) -> set[int]:
    """Returns the numbers of the clips that the manifests list and whose files are there.

    Raises:
        UserError: clips of the same names have other settings, or a manifest is damaged.
    """
    job, config = worker.job, worker.ready.config
    folder = job.request.destination.folder
    common = common_values(job, worker.ready)
    done = set()
    for line in read_manifests(folder, ManifestLine):
        if line.file != job.file(line.number) or line.number not in wanted:
            continue
        other = line.difference({**common, "speaker": speaker_of(line.number, job.request, config)})
        if other is not None:
            raise UserError(
                f"{folder} holds clips of other settings ({line.file} has {other}); choose another --out, or replace "
                "them with --overwrite"
            )
        if (folder / line.file).exists():
            done.add(line.number)
    return done


def _say_what_is_left(plan: _Plan, wanted: range, job: BulkJob, console: Console) -> None:
    """Prints what is done, what will be made and by how many processes."""
    folder = job.request.destination.folder
    known = len(wanted) - plan.left
    if known:
        print_labelled(console, "note", f"already in {folder}: {known:,} of {number_of(len(wanted), 'clip')}")
    unlisted = sum((folder / job.file(number)).exists() for numbers in plan.ranges for number in numbers)
    if unlisted:
        print_labelled(console, "note", f"made again, as no manifest lists them: {number_of(unlisted, 'file')}")
    if plan.left:
        shared = f" by {plan.processes} processes" if plan.processes > 1 else ""
        console.print(f"{number_of(plan.left, 'clip')} to generate{shared}; Ctrl-C stops, and the same command resumes")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("generating"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} clips"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _speed(samples: int, sample_rate: int, began: float) -> str:
    rate = samples / max(time.monotonic() - began, 1e-9)
    return f"{rate:,.0f} samples/s, {rate / sample_rate:.1f} x real time"
