"""`wavegen vocode` with a folder, from request to a folder of the same tree."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from fast_gen.bulk.manifest import read_manifests, writing_manifest
from fast_gen.bulk.parts import Parts
from fast_gen.bulk.processes import IsStopped, results_here, results_of_processes
from fast_gen.vocoding.command import (
    VocodedFile,
    Vocoder,
    VocodeRequest,
    get_vocoder,
    say_how_frames_are_read,
    say_made,
    target_of,
    vocode_file,
)
from fast_gen.vocoding.saved import MEL_SUFFIXES
from wavenet_app.audio.files import printable
from wavenet_app.checkpoints.trained import find_checkpoint
from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder
from wavenet_app.core.terminal import number_of
from wavenet_app.corpus.sources import scan_sources


class VocodedLine(BaseModel):
    """What the manifest says of a file.

    Attributes:
        file: its path, from the folder of the manifest.
        source: path of the recording or the frames, from the folder of the sources.
        samples: length.
        sample_rate: in Hz.
        seed: of the random numbers.
        speaker: as asked for; None for a model without speakers.
        temperature: like the next three, how codes were picked.
        top_k: 0 for all codes.
        top_p: 1 for all codes.
        min_p: 0 for all codes.
        refine: iterations of the refinement.
        precision: of the weights.
        level: what was said of the level at which the file was written, or None.
        checkpoint: SHA-256 of the checkpoint's file.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    source: str
    samples: int
    sample_rate: int
    seed: int
    speaker: str | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    refine: int
    precision: str
    level: str | None
    checkpoint: str


@dataclass(frozen=True)
class Recording:
    """A source and the audio file that it becomes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Outcome:
    """A recording, with the file that was made, or why there is none."""

    recording: Recording
    made: VocodedFile | None
    problem: str | None


def run_folder(request: VocodeRequest, parts: Parts, folder: DataFolder, *, console: Console) -> list[Path]:
    """Makes an audio file of each recording and saved mel in a folder; the tree of the folder is mirrored.

    Files that exist are kept. The next run of the same command resumes files that were stopped.

    Returns:
        The files made now, in order.

    Raises:
        UserError: the checkpoint, a setting or the folder is invalid, no file of it can be used, or another process
            makes the same files.
    """
    if request.destination.file is not None:
        raise UserError(f"--out {request.out} is one file, and {request.source} is a folder; name a folder")
    recordings = find_recordings(request, console)
    recordings = [recordings[number] for number in parts.shard.numbers(len(recordings))]
    kept = {one for one in recordings if one.target.exists() and not request.overwrite}
    left = [one for one in recordings if one not in kept]
    vocoder = get_vocoder(request, folder, console)
    say_how_frames_are_read([one.source for one in recordings], vocoder, console)
    digest = hashlib.sha256(find_checkpoint(folder.root, request.checkpoint).read_bytes()).hexdigest()
    unlisted = _unlisted([one for one in recordings if one in kept], request, digest)
    if kept:
        console.print(
            f"kept in {request.out}: {len(kept)} of {number_of(len(recordings), 'file')}; --overwrite makes them again",
            highlight=False,
            soft_wrap=True,
        )
    if unlisted:
        print_labelled(console, "note", f"{unlisted} of them are in no manifest, so nothing is known of their settings")
    processes = min(parts.count(vocoder.engine.device, request.threads), max(1, len(left)))
    if processes > 1:
        console.print(f"{len(left)} files to make by {processes} processes; Ctrl-C stops, the same command resumes")
    made: list[Path] = []
    problems: list[str] = []
    make_folder(request.out)
    with writing_manifest(request.out, parts.shard) as manifest:
        if request.overwrite:
            manifest.path.unlink(missing_ok=True)

        def note(outcome: Outcome) -> None:
            if outcome.made is None:
                problems.append(str(outcome.problem))
                print_labelled(console, "skipped", str(outcome.problem))
                return
            made.append(outcome.recording.target)
            manifest.add([_line(outcome.recording, outcome.made, request, digest)])
            if processes > 1:
                say_made(outcome.recording.target, outcome.made, console)

        with closing(_outcomes(request, parts, processes, vocoder, folder, left, console, note)) as outcomes:
            for outcome in outcomes:
                note(outcome)
    if problems and not made and not kept:
        tried = number_of(len(problems), "file")
        raise UserError(f"no recording in {request.source} can be used ({tried}); the first: {problems[0]}")
    console.print(f"{len(made)} made, {len(kept)} kept, {len(problems)} skipped", highlight=False)
    return sorted(made)


def find_recordings(request: VocodeRequest, console: Console) -> list[Recording]:
    """Returns each file of the folder with the audio file that it becomes, in order; prints what is skipped.

    Raises:
        UserError: there is no usable file, or a result would replace a source.
    """
    sources = scan_sources([request.source])
    files = [file for _, file in sources.files]
    files += [file for file in request.source.rglob("*") if file.suffix.lower() in MEL_SUFFIXES and file.is_file()]
    made = request.out.resolve()
    if made not in (request.source.resolve(), *request.source.resolve().parents):  # results are not input
        files = [file for file in files if made not in file.resolve().parents]
    others = {suffix: count for suffix, count in sources.others.items() if suffix not in MEL_SUFFIXES}
    if others:
        endings = ", ".join(suffix or "(no ending)" for suffix in sorted(others))
        console.print(f"{number_of(sum(others.values()), 'other file')} skipped: {endings}", highlight=False)
    for unlisted, reason in sources.unlisted:
        print_labelled(console, "skipped", f"{printable(str(unlisted))}: {reason}")
    if not files:
        raise UserError(f"{request.source} has neither audio nor saved mel frames")
    names = [file.relative_to(request.source) for file in sorted(files)]
    stems = Counter(name.with_suffix("") for name in names)
    return [
        Recording(request.source / name, target_of(request, name, whole_name=stems[name.with_suffix("")] > 1))
        for name in names
    ]


def _unlisted(kept: Iterable[Recording], request: VocodeRequest, digest: str) -> int:
    """Returns how many of the files that exist are in no manifest of the folder.

    Raises:
        UserError: one was made by another model or with other settings, or a manifest is damaged.
    """
    listed = {line.file: line for line in read_manifests(request.out, VocodedLine)}
    wanted = _settings(request, digest)
    missing = 0
    for recording in kept:
        line = listed.get(recording.target.relative_to(request.out).as_posix())
        if line is None:
            missing += 1
            continue
        other = next((name for name, value in wanted.items() if getattr(line, name) != value), None)
        if other is not None:
            raise UserError(
                f"{request.out} holds files of other settings ({printable(line.file)} has another {other}); choose "
                "another --out, or replace them with --overwrite"
            )
    return missing


def _settings(request: VocodeRequest, digest: str) -> dict[str, Any]:
    """Returns what all lines of a run have in common."""
    return {
        "seed": request.seed,
        "speaker": request.speaker,
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "min_p": request.min_p,
        "refine": request.turns,
        "precision": request.precision,
        "checkpoint": digest,
    }


def _outcomes(
    request: VocodeRequest,
    parts: Parts,
    processes: int,
    vocoder: Vocoder,
    folder: DataFolder,
    recordings: list[Recording],
    console: Console,
    on_late: Callable[[Outcome], None],
) -> Generator[Outcome]:
    left: Iterator[Recording] = iter(recordings)

    def next_recording() -> Recording | None:
        return next(left, None)

    if processes == 1 and parts.devices is None:
        return results_here(partial(_outcome, vocoder, console, lambda: False), next_recording)
    devices = None if parts.devices is None else list(parts.devices)
    ready = partial(_ready, request, folder.root.resolve())
    return results_of_processes(ready, processes, devices, next_recording, on_late)


def _ready(request: VocodeRequest, data_dir: Path, is_stopped: IsStopped) -> Callable[[Recording], Outcome]:
    console = Console(quiet=True)
    return partial(_outcome, get_vocoder(request, DataFolder.at(data_dir), console), console, is_stopped)


def _outcome(vocoder: Vocoder, console: Console, is_stopped: IsStopped, recording: Recording) -> Outcome:
    try:
        return Outcome(recording, vocode_file(recording.source, recording.target, vocoder, console, is_stopped), None)
    except UserError as error:
        return Outcome(recording, None, str(error))


def _line(recording: Recording, made: VocodedFile, request: VocodeRequest, digest: str) -> VocodedLine:
    return VocodedLine(
        file=recording.target.relative_to(request.out).as_posix(),
        source=recording.source.relative_to(request.source).as_posix(),
        samples=made.num_samples,
        sample_rate=made.sample_rate,
        level=made.level,
        **_settings(request, digest),
    )
