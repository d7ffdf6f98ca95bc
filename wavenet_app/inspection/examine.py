"""The data doctor: examines audio files, and measures what training on them would start from."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np

from wavenet_app.audio.decoding import UnreadableAudioError
from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.core.cores import usable_cores
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.baseline import corpus_baseline
from wavenet_app.corpus.cache import Progress
from wavenet_app.corpus.corpus import Corpus, open_corpus
from wavenet_app.corpus.sources import no_audio_in, scan_sources
from wavenet_app.inspection.advice import SHORT_SECONDS, advise, is_narrow, is_offset
from wavenet_app.inspection.facts import FileFacts, measure_file
from wavenet_app.inspection.report import CorpusFacts, Duplicate, Problem, Report, Spread


def examine(
    paths: Sequence[Path],
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Returns a report on the files and on training with them.

    Each file is decoded once for its facts, in threads, a block at a time. The bits per sample come from the corpus
    that training would open with its default settings, which also fills the cache for training.

    Args:
        paths: folders and files.
        cache_dir: folder for decoded audio; None omits the part about training.
        progress: called in this thread after each file with (done, total, file name).

    Raises:
        UserError: a path does not exist, or there is no audio file and no unreadable folder.
    """
    sources = scan_sources(paths)
    files, unreadable = _measure_all([file for _, file in sources.files], progress)
    unreadable += [Problem(str(folder), reason) for folder, reason in sources.unlisted]
    if not files and not unreadable:
        raise UserError(no_audio_in(paths, sources))
    report = replace(
        _summary(files),
        paths=tuple(map(str, paths)),
        unreadable=tuple(unreadable),
        ignored=sources.others,
    )
    if cache_dir is not None:
        try:
            corpus = open_corpus(
                paths,
                audio=AudioConfig(),
                split=CorpusConfig(),
                cache_dir=cache_dir,
                sample_rate=None,
                progress=progress,
            )
            report = replace(report, corpus=_corpus_facts(corpus))
        except UserError as error:
            report = replace(report, corpus_problem=str(error))
    return replace(report, advice=advise(report))


def _measure_all(paths: Sequence[Path], progress: Progress | None) -> tuple[list[FileFacts], list[Problem]]:
    """Returns the facts of readable files and the problems of the others, each in the order of `paths`."""
    found: dict[int, FileFacts | Problem] = {}
    # decoding, numpy and the hashes release the interpreter's lock, so threads suffice.
    with ThreadPoolExecutor(max_workers=min(8, usable_cores())) as pool:
        futures = {pool.submit(_measured, path): index for index, path in enumerate(paths)}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                index = futures[future]
                found[index] = future.result()
                if progress is not None:
                    progress(done, len(paths), paths[index].name)
        finally:
            pool.shutdown(cancel_futures=True)
    ordered = [found[index] for index in range(len(paths))]
    facts = [item for item in ordered if isinstance(item, FileFacts)]
    return facts, [item for item in ordered if isinstance(item, Problem)]


def _measured(path: Path) -> FileFacts | Problem:
    try:
        return measure_file(path)
    except UnreadableAudioError as error:
        return Problem(str(path), error.reason)
    except OSError as error:  # for example removed in the meantime
        return Problem(str(path), (error.strerror or str(error)).lower())


def _summary(files: Sequence[FileFacts]) -> Report:
    audible = [file for file in files if math.isfinite(file.peak)]
    seconds = sum(file.seconds for file in files)
    return Report(
        paths=(),
        hours=seconds / 3600,
        sample_rates=_counted(file.sample_rate for file in files),
        channels=_counted(file.channels for file in files),
        formats=_counted(f"{file.format} {file.subtype}" for file in files),
        peak=_spread([file.peak for file in audible]),
        rms=_spread([file.rms for file in audible]),
        bandwidth=_spread([file.bandwidth for file in audible]),
        silent_share=sum(file.silent_share * file.seconds for file in files) / seconds if seconds else 0.0,
        leading_silence=sum(file.leading_silence for file in files),
        trailing_silence=sum(file.trailing_silence for file in audible),
        clipped=tuple(file.path for file in files if file.clipped_runs),
        narrow=tuple(file.path for file in audible if is_narrow(file)),
        offset=tuple(file.path for file in audible if is_offset(file)),
        short=tuple(file.path for file in files if file.seconds < SHORT_SECONDS),
        silent=tuple(file.path for file in files if not math.isfinite(file.peak)),
        damaged=tuple(Problem(file.path, file.damage) for file in files if file.damage),
        remarks=tuple(Problem(file.path, remark) for file in files for remark in file.remarks),
        duplicates=_duplicates(files),
        unreadable=(),
        ignored={},
        files=tuple(files),
    )


def _corpus_facts(corpus: Corpus) -> CorpusFacts:
    return CorpusFacts(
        sample_rate=corpus.sample_rate,
        gain=corpus.gain,
        training_clips=len(corpus.training),
        validation_clips=len(corpus.validation),
        training_seconds=corpus.duration(corpus.training),
        validation_seconds=corpus.duration(corpus.validation),
        skipped=tuple(Problem(item.name, item.reason) for item in corpus.skipped),
        remarks=corpus.remarks,
        bits=corpus_baseline(corpus),
    )


def _duplicates(files: Sequence[FileFacts]) -> tuple[Duplicate, ...]:
    groups: dict[str, list[FileFacts]] = defaultdict(list)
    for file in files:
        groups[file.sound_digest].append(file)
    return tuple(
        Duplicate(tuple(file.path for file in group), len({file.byte_digest for file in group}) == 1)
        for group in groups.values()
        if len(group) > 1
    )


def _counted(values: Iterable[object]) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    return Spread(min(values), float(np.median(values)), max(values))
