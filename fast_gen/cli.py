"""The commands of `fast_gen`: sample, vocode, eval, bench and devices."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fast_gen.options import (
    PRECISION_NAMES,
    Engine,
    EvalTemperature,
    Format,
    Gpus,
    MinP,
    Overwrite,
    Processes,
    QuietTemperature,
    Refine,
    Seed,
    Shards,
    Temperature,
    Threads,
    TopK,
    TopP,
    VocodingTemperature,
)
from wavenet_app.core.completion import choices, wavenets
from wavenet_app.core.data_folder import DataFolder, elsewhere
from wavenet_app.core.errors import UserError
from wavenet_app.core.near import did_you_mean_path
from wavenet_app.core.options import (
    NOTHING_WRITTEN,
    AsJson,
    CheckpointName,
    DataDir,
    finite,
    loading,
    make_console,
    stopped_in_words,
)
from wavenet_app.core.swapped import FRAMES, RECORDING, refuse_data_as_model

RESUMES = "stopped; what is complete is kept, and the same command resumes"

Speaker = Annotated[
    str | None,
    typer.Option(metavar="NAME|NAME:WEIGHT,...", help="Which speaker, or a mix of several (default: each in turn)."),
]


def sample(
    checkpoint: CheckpointName = None,
    seconds: Annotated[float, typer.Option(callback=finite, min=0.01, max=86_400, help="Length of each clip.")] = 2.0,
    clips: Annotated[
        int | None,
        typer.Option("--clips", "-n", min=1, help="Number of clips (default: 1, or one for each --prime)."),
    ] = None,
    seed: Seed = 0,
    temperature: Temperature = None,
    quiet_temperature: QuietTemperature = None,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    speaker: Speaker = None,
    prime: Annotated[
        list[Path] | None,
        typer.Option(metavar="CLIP|FOLDER", help="Continue this recording; several take turns over the clips."),
    ] = None,
    prime_seconds: Annotated[
        float | None,
        typer.Option(callback=finite, min=0.001, help="Use this much of its end (default: the receptive field)."),
    ] = None,
    keep_prime: Annotated[bool, typer.Option("--keep-prime", help="Start each file with the recording.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder, or file of a single clip (default: generated/ in the data folder).")
    ] = None,
    audio_format: Format = None,
    overwrite: Overwrite = False,
    engine: Engine = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            metavar=PRECISION_NAMES,
            autocompletion=choices(PRECISION_NAMES),
            help="Precision of the weights (default: float32; --play takes less if float32 is too slow).",
        ),
    ] = None,
    threads: Threads = 1,
    rank: Annotated[
        bool,
        typer.Option("--rank", help="Most likely clips first; clips of noise, hum or silence are generated again."),
    ] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="With --rank: keep this many of the most likely.")] = None,
    play: Annotated[bool, typer.Option("--play", help="Play while generating, and write the file too.")] = False,
    device: Annotated[
        str | None, typer.Option(metavar="NAME|INDEX", help="Sound device to play on; see wavegen devices.")
    ] = None,
    forever: Annotated[
        bool, typer.Option("--forever", help="Continue until Ctrl-C; needs --play or --stdout.")
    ] = False,
    stdout: Annotated[
        bool, typer.Option("--stdout", help="Stream the WAV to standard output instead of a file.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="With --stdout: 16-bit little-endian samples without a header.")
    ] = False,
    shard: Shards = None,
    processes: Processes = None,
    devices: Gpus = None,
    bits: Annotated[
        bool, typer.Option("--bits", help="For many clips: measure the bits per sample of each, which takes time.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Generate audio.

    Writes an audio file and a picture of its spectrogram for each clip. More than 64 clips are written as they are
    made, without pictures, and listed in manifest.jsonl; the same command resumes.
    """
    refuse_data_as_model(checkpoint, "sample MODEL --prime", RECORDING)
    from fast_gen.bulk.shard import MOST_AT_ONCE
    from fast_gen.generation.command import run_sampling
    from fast_gen.generation.session import SampleRequest

    folder = DataFolder.at(data_dir)
    request = SampleRequest(
        checkpoint=checkpoint,
        seconds=seconds,
        clips=clips,
        seed=seed,
        temperature=temperature,
        quiet_temperature=quiet_temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        primes=tuple(prime or ()),
        prime_seconds=prime_seconds,
        keep_prime=keep_prime,
        out=out or folder.generated,
        engine=engine,
        precision=precision,
        threads=threads,
        rank=rank,
        keep=keep,
        speaker=speaker,
        format_name=audio_format,
        overwrite=overwrite,
    )
    live_options = play or forever or stdout or raw or device is not None
    divided = shard is not None or processes is not None or devices is not None or bits
    if divided or ((clips or 1) > MOST_AT_ONCE and not (live_options or rank or prime)):
        from fast_gen.bulk.command import run_bulk
        from fast_gen.bulk.parts import Parts

        if live_options:
            raise UserError("--shard, --processes, --devices and --bits are for clips that are written, not played")
        parts = Parts.of(shard, processes, devices)
        with stopped_in_words(RESUMES):
            run_bulk(request, parts, folder, scores=bits, console=make_console())
        return
    if not live_options:
        run_sampling(request, folder, console=make_console())
        return
    from fast_gen.playing.command import LiveRequest, run_live

    pipe = sys.stdout.buffer if stdout else None
    live = LiveRequest(play=play, device=device, forever=forever, pipe=pipe, raw=raw)
    run_live(request, live, folder, console=make_console(stderr=stdout))


def vocode(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A model trained with --condition mel: a file, run or shipped voice.",
            autocompletion=wavenets,
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A recording, a folder of recordings, or mel frames (.npy, .npz, .pt).")
    ],
    speaker: Speaker = None,
    seed: Seed = 0,
    temperature: VocodingTemperature = None,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    refine: Refine = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder, or file of a single result (default: generated/ in the data folder).")
    ] = None,
    audio_format: Format = None,
    overwrite: Overwrite = False,
    engine: Engine = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar=PRECISION_NAMES,
            help="Precision of the weights; less is faster.",
            autocompletion=choices(PRECISION_NAMES),
        ),
    ] = "float32",
    threads: Threads = 1,
    shard: Shards = None,
    processes: Processes = None,
    devices: Gpus = None,
    data_dir: DataDir = None,
) -> None:
    """Turn recordings or mel frames into audio with a trained vocoder.

    Run it again to resume where it stopped. The files of a folder are listed in manifest.jsonl.
    """
    folder = DataFolder.at(data_dir)
    refuse_data_as_model(checkpoint, "vocode MODEL", RECORDING, FRAMES)
    _check_checkpoint(checkpoint, folder)
    if not source.exists():
        raise UserError(f"there is no file or folder {source}{elsewhere(source, data_dir)}{did_you_mean_path(source)}")
    with loading(make_console(stderr=True)):
        from fast_gen.bulk.parts import Parts
        from fast_gen.bulk.recordings import run_folder
        from fast_gen.engines.sampling import VOCODING_TEMPERATURE
        from fast_gen.vocoding.command import VocodeRequest, run_vocoding
        from fast_gen.vocoding.refine import USUAL_TURNS

    request = VocodeRequest(
        checkpoint=checkpoint,
        source=source,
        out=out or folder.generated,
        speaker=speaker,
        seed=seed,
        temperature=VOCODING_TEMPERATURE if temperature is None else temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        turns=USUAL_TURNS if refine is None else refine,
        engine=engine,
        precision=precision,
        threads=threads,
        format_name=audio_format,
        overwrite=overwrite,
    )
    if source.is_dir():
        with stopped_in_words(RESUMES):
            run_folder(request, Parts.of(shard, processes, devices), folder, console=make_console())
    elif shard is not None or processes is not None or devices is not None:
        raise UserError(f"--shard, --processes and --devices divide the files of a folder, and {source} is one file")
    else:
        run_vocoding(request, folder, console=make_console())


def evaluate(
    checkpoint: CheckpointName = None,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Audio the model has not seen (default: the run's validation clips)."),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(callback=finite, min=0, help="Measure bits per sample on at most this much audio; 0 for all."),
    ] = 60.0,
    clips: Annotated[
        int, typer.Option("--clips", "-n", min=1, help="Number of clips to generate, or to vocode with a vocoder.")
    ] = 8,
    clip_seconds: Annotated[
        float, typer.Option(callback=finite, min=0.1, max=86_400, help="Length of each generated clip.")
    ] = 2.0,
    temperature: EvalTemperature = None,
    quiet_temperature: QuietTemperature = None,
    speaker: Annotated[
        str | None,
        typer.Option(metavar="NAME|NAME:WEIGHT,...", help="Speaker of the given audio (default: the run's rule)."),
    ] = None,
    refine: Refine = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the generated clips.")] = 0,
    engine: Engine = "auto",
    report: Annotated[
        Path | None, typer.Option(metavar="OUT.html", help="Write a page with players, spectrograms and curves.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Measure how good a model is.

    Compares its bits per sample with classical predictors, and its clips with real ones.
    """
    began = time.monotonic()
    folder, console = DataFolder.at(data_dir), make_console()
    refuse_data_as_model(checkpoint, "eval MODEL", RECORDING)
    _check_checkpoint(checkpoint, folder)
    with loading(make_console(stderr=True)):
        from fast_gen.evaluation.command import run_eval
        from fast_gen.evaluation.subject import EvalRequest

    request = EvalRequest(
        checkpoint=checkpoint,
        paths=tuple(paths or ()),
        seconds=seconds,
        clips=clips,
        clip_seconds=clip_seconds,
        temperature=temperature,
        quiet_temperature=quiet_temperature,
        speaker=speaker,
        turns=refine,
        seed=seed,
        engine=engine,
    )
    with stopped_in_words(NOTHING_WRITTEN):
        run_eval(request, folder, console=console, as_json=as_json, page=report, began=began)


def bench(
    checkpoint: CheckpointName = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare each engine with the full network.")] = False,
    seconds: Annotated[
        float, typer.Option(callback=finite, min=1, help="Approximate time for all engines together.")
    ] = 60.0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Measure the speed of every engine, device and precision on this machine."""
    folder = DataFolder.at(data_dir)
    if checkpoint is not None:
        _check_checkpoint(checkpoint, folder)
    with loading(make_console(stderr=True)):
        from fast_gen.bench.command import BenchRequest, run_bench_command

    request = BenchRequest(checkpoint, seconds, verify)
    progress = make_console(stderr=True)
    run_bench_command(request, folder, console=make_console(), progress=progress, as_json=as_json)


def devices() -> None:
    """List the sound devices for sample --device."""
    from fast_gen.playing.command import run_devices

    run_devices(make_console())


def _check_checkpoint(name: str | None, folder: DataFolder) -> None:
    """Raises a UserError at once, before torch is imported, if there is no such checkpoint."""
    from wavenet_app.checkpoints.trained import find_checkpoint

    find_checkpoint(folder.root, name)
