"""Tables of speakers, files of settings, --set, regular expressions, and whole command lines up to the work itself."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import soundfile
from mutations import TEXTS, json_of, mutated_text, mutated_values
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES
from worker import Door

import cli
import fast_gen.bench.command
import fast_gen.bulk.recordings
import fast_gen.evaluation.command
import fast_gen.generation.command
import fast_gen.playing.command
import fast_gen.publishing.command
import fast_gen.vocoding.command
import segmentation.evaluation.command
import segmentation.prediction.command
import segmentation.receptive_field
import segmentation.training.command
import wavenet_app.inspection.command
import wavenet_app.receptive_field
import wavenet_app.training.command
from families.audio import sound
from segmentation.config import PRESETS as IMAGE_PRESETS
from segmentation.training.options import SegmentationOptions
from segmentation.training.options import check_early as check_images_early
from wavenet_app.checkpoints.trained import plain_config
from wavenet_app.config import PRESETS, RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.speakers import speaker_rule, speaker_shares
from wavenet_app.corpus.split import split_files
from wavenet_app.training.options import RunOptions, check_early
from wavenet_app.training.run import prepare_run

NAMES = ("ann/a.wav", "ann/b.wav", "jo/c.wav", "jo/deep/d.flac", "e.wav")
TABLES = {
    "commas.csv": "file,speaker\nann/a.wav,ann\nann/b.wav,ann\nc.wav,jo\nd.flac,jo\n",
    "tabs.tsv": "client_id\tpath\tsentence\nann\ta.wav\tHe said \"no\tway\njo\tc.wav\tYes, and no\n",
    "bars.txt": "a.wav|ann|What was said here\nb.wav|ann|More words\nc.wav|jo|And so on\n",
    "excel.csv": "sep=;\nfile;speaker\n\"a.wav\";\"ann; the first\"\n",
    "SPEAKERS.TXT": ";ID |SEX| SUBSET |MINUTES| NAME\nann | F | train | 25.03 | A. N.\njo | M | train | 25.11 | J.\n",
}  # fmt: skip
ASSIGNMENTS = (
    "model.residual_channels=4", "model.dilations=[1, 2, 4]", "training.batch_size=2", "training.learning_rate=1e-3",
    "audio.trim_decibels=40", "training.processes=1", "training.window=256", "model.head=gaussian", "model.mel={}",
    "model.mel.n_mels=20", "model.prediction={}", "data.image_scale=0.5", "model.atrous_rates=[6, 12]", "name=x",
)  # fmt: skip
PATTERNS = (r"_([a-z]+)_", r"^(?P<speaker>[^/]+)/", r".*/", r"(a+)+$", r"[[:alpha:]]", r"(?i)x|y{1,5}", r"\p{L}+")
COMMANDS = (
    "train SOUNDS --preset tiny --minutes 1 --max-steps 5 --name a --seed 1 --speakers folder --split-by x",
    "train SOUNDS --config FILE --set model.skip_channels=4 --logger none --sample-rate 8000 --head logistics",
    "train --start-from MODEL --condition mel", "train --resume x", "info MODEL --json", "inspect SOUNDS --json",
    "sample MODEL --seconds 1 --clips 2 --temperature 0.9 --top-k 5 --top-p 0.9 --speaker a:1 --format flac",
    "sample MODEL --stdout --raw --prime SOUNDS --prime-seconds 1 --rank --keep 1 --precision int8 --threads 1",
    "vocode MODEL SOUNDS --refine 1 --speaker x --out y", "eval MODEL SOUNDS --clip-seconds 1 --report x.html",
    "publish MODEL --licence CC0-1.0 --data x --language Dutch --eval FILE", "export MODEL --name x", "voices --json",
    "receptive-field tiny --count 2 --size 65 --output-stride 8", "receptive-field MODEL --seed 3",
    "bench MODEL --json",
    "seg-train shapes --preset dilated --minutes 1 --set data.image_scale=0.5 --coco-classes all", "devices",
    "seg-train --config FILE --resume x", "seg-eval MODEL shapes --split val --scales 0.5,1 --flip --window 65",
    "seg-predict MODEL SOUNDS --output-stride 8 --scales 1", "seg-check shapes --files 2", "data", "data get voc", "-V",
)  # fmt: skip
WORK = (
    (fast_gen.bench.command, "run_bench_command"), (fast_gen.evaluation.command, "run_eval"),
    (fast_gen.generation.command, "run_sampling"), (fast_gen.vocoding.command, "run_vocoding"),
    (fast_gen.bulk.recordings, "run_folder"),
    (segmentation.receptive_field, "run_deeplab_field"), (wavenet_app.receptive_field, "run_wavenet_field"),
    (fast_gen.playing.command, "run_live"), (fast_gen.publishing.command, "run_publish"),
    (segmentation.evaluation.command, "run_evaluation"), (segmentation.prediction.command, "run_prediction"),
    (segmentation.training.command, "run_training"), (wavenet_app.training.command, "run_training"),
)  # fmt: skip
"""What would take minutes; everything before it is real."""


def write_seeds(folder: Path) -> None:
    """Writes tables, files of settings, sounds and a model."""
    for name, text in TABLES.items():
        (folder / name).write_text(text)
    (folder / "config.json").write_text(json.dumps(plain_config(RunConfig())))
    sections = RunConfig().model_dump(mode="json", exclude_none=True)
    lines = [f"name = {json.dumps(sections.pop('name', 'x'))}"]
    for section, values in sections.items():
        if isinstance(values, dict):
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    (folder / "config.toml").write_text("\n".join(lines))
    for name in NAMES[:3]:
        (folder / "sounds" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / "sounds" / name, sound(0.5, 8_000, 1), 8_000)
    write_random_checkpoint(folder / "model.pth", SHAPES["two cycles"], sample_rate=1_000)
    (folder / "eval.json").write_text(json.dumps({"verdict": "x", "bits": 4.5, "clips": [{"a": 1}]}))


def doors(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    """Mutates one of the kinds, and yields what reads it."""
    kind = choose.choice((_tables, _files, _assignments, _patterns, _lines, _lines))
    yield from kind(choose, seeds, place)


def _changed(choose: random.Random, text: str) -> str:
    return mutated_text(choose, text, 2).decode("utf-8", "surrogateescape")


def _tables(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    name = choose.choice(list(TABLES))
    path = place / name
    path.write_bytes(mutated_text(choose, TABLES[name]))

    def speakers() -> None:
        rule = speaker_rule(f"csv:{path}", NAMES)
        for file in NAMES:
            _found(rule, file)

    yield speakers
    yield lambda: _prepared(seeds, place, speakers=f"csv:{path}")


def _found(rule: Any, name: str) -> None:
    try:
        assert rule(name, f"/data/{name}")
    except Exception as error:  # a rule has an error of its own for a file without a speaker
        if type(error).__name__ != "NoSpeakerError":
            raise


def _files(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    name = choose.choice(("config.json", "config.toml", "eval.json"))
    text, path = (seeds / name).read_text(), place / name
    if path.suffix == ".json" and choose.random() < 0.7:
        path.write_bytes(json_of(choose, mutated_values(choose, json.loads(text))))
    else:
        path.write_bytes(mutated_text(choose, text))
    if name == "eval.json":
        yield lambda: fast_gen.publishing.command.read_evaluation(path)
        return
    yield lambda: _prepared(seeds, place, config_file=path)
    yield lambda: _prepared(seeds, place, config_file=path, minutes=1.0, start_from=str(seeds / "model.pth"))
    options = SegmentationOptions(config_file=path, max_steps=3, logger="none")
    yield lambda: check_images_early(options, DataFolder(place / "data"))


def _assignments(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    chosen = [choose.choice(ASSIGNMENTS) for _ in range(choose.randint(1, 3))]
    chosen[0] = _changed(choose, chosen[0])
    if choose.random() < 0.3:
        key, _, _ = chosen[-1].partition("=")
        chosen[-1] = (
            f"{key}={choose.choice(('', 'nan', '-1', '1e999', '10000000000', '{}', '[]', 'true', 'x', '[[1]]'))}"
        )
    more = choose.choice(({}, {"max_steps": 3}, {"head": "gaussian"}, {"condition": "mel"}, {"minutes": 1.0}))
    preset = choose.choice(("auto", *PRESETS))
    yield lambda: _prepared(seeds, place, assignments=tuple(chosen), preset=preset, **more)
    images = SegmentationOptions(
        preset=choose.choice(("auto", *IMAGE_PRESETS)), assignments=tuple(chosen), logger="none"
    )
    yield lambda: check_images_early(images, DataFolder(place / "data"))


def _patterns(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    pattern = _changed(choose, choose.choice(PATTERNS))
    many = (*NAMES, *(f"{'a' * number}/x{number}!.wav" for number in range(20)))
    yield lambda: split_files(many, 0.2, pattern)
    yield lambda: [_found(speaker_rule(f"regex:{pattern}"), name) for name in NAMES]
    yield lambda: _prepared(seeds, place, speakers=_changed(choose, f"regex:{pattern}"), split_by=pattern)
    yield lambda: speaker_shares(_changed(choose, "ann:0.5,jo:0.5"), ("ann", "jo", "a:b,c"))


def _prepared(seeds: Path, place: Path, **options: Any) -> None:
    folder = DataFolder(place / "data")
    given = RunOptions(paths=(str(seeds / "sounds"),), logger="none", **options)
    check_early(given, folder)
    prepare_run(given, folder, device="cpu")


def _lines(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    shutil.copy(seeds / "config.toml", place / "config.toml")
    shutil.copy(seeds / "model.pth", place / "model.pth")
    named = {"SOUNDS": str(seeds / "sounds"), "MODEL": str(place / "model.pth"), "FILE": str(place / "config.toml")}
    words = [named.get(word, word) for word in choose.choice(COMMANDS).split()]
    for _ in range(choose.randint(1, 3)):
        at = choose.randrange(len(words))
        action = choose.choice(("change", "change", "text", "text", "drop", "repeat", "swap", "mix"))
        if action == "change":
            words[at] = _changed(choose, words[at])
        elif action == "text":
            words[at] = choose.choice(TEXTS)
        elif action == "drop" and len(words) > 1:
            del words[at]
        elif action == "repeat":
            words.insert(at, words[at])
        elif action == "mix":
            words += choose.choice(COMMANDS).split()[1:]
        else:
            other = choose.randrange(len(words))
            words[at], words[other] = words[other], words[at]
    # the system passes no zero bytes, and bytes that are no UTF-8 as surrogates
    words = [word.replace("\0", "")[:100_000] for word in words]
    if words[0] != "data" or words == ["data"]:  # the others download
        yield lambda: _typed(words)


def _typed(words: list[str]) -> None:
    """Runs a command line; raises a UserError if it is refused in one line, AssertionError if it is not one line."""
    wavenet_app.inspection.command.seconds_per_epoch = lambda *_args: {}
    for module, name in WORK:
        setattr(module, name, lambda *_args, **_options: True)
    sys.argv = ["wavegen", *words]
    os.environ["COLUMNS"] = "100"
    out, error = TextIOWrapper(BytesIO(), "utf-8"), StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(error):
            cli.main()
    except SystemExit as end:
        code = end.code or 0
        text = error.getvalue()
        assert "Traceback" not in text, text[-500:]
        if code == 2 and text.startswith("error: "):
            raise UserError(text.removesuffix("\n")) from None
        assert code in (0, 1, 2), (words, code, text)
