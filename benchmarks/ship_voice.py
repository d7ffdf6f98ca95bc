r"""Makes a voice that ships with the package from a trained run: bfloat16 weights and a model card.

    python benchmarks/ship_voice.py RUN --name kathleen --licence CC0-1.0 --language "English (US)" \
        --data "kathleen, 20 minutes of read sentences" [--eval eval.json] [--data-dir data] [--overwrite]

`eval.json` is what `wavegen eval RUN --json > eval.json` printed; its figures go into the card. The files go into
wavenet_app/voices, or the folder of --out. The bits per sample of the written file on held-out audio are measured
beside those of the run, and printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fast_gen.publishing.command import described_data, read_evaluation
from wavenet_app.audio.mel import MelFrames
from wavenet_app.checkpoints.card import CardExtras, model_card
from wavenet_app.checkpoints.content import VoiceFacts
from wavenet_app.checkpoints.trained import Trained, find_checkpoint, load_trained, to_share
from wavenet_app.checkpoints.voice_file import write_voice
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.names import name_problem
from wavenet_app.core.safetensors_file import SUFFIX
from wavenet_app.core.shipped import voices_folder
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.evaluation.held_out_audio import HeldOutAudio, held_out_audio
from wavenet_app.evaluation.held_out_bits import held_out_bits

MOST_BYTES = 1_000_000
"""Size of the largest voice that ships."""


def bits(trained: Trained, audio: HeldOutAudio, seconds: float) -> float:
    """Returns the bits per sample of a model on held-out audio."""
    model = trained.config.model
    mel = None if model.mel is None else MelFrames(model.mel, trained.config.audio.sample_rate)
    conditioning = ClipConditioning(model.speakers, mel)
    found = held_out_bits(trained.model, audio.fitted, audio.corpus, seconds=seconds, conditioning=conditioning)
    return found.overall.model


def ship(options: argparse.Namespace) -> Path:
    """Writes the file and the card of a voice, and returns the file."""
    problem = name_problem(options.name)
    if problem is not None:
        raise UserError(f"--name {problem}")
    target: Path = options.out / f"{options.name}{SUFFIX}"
    if target.exists() and not options.overwrite:
        raise UserError(f"{target} exists; --overwrite replaces it")
    folder = DataFolder.at(options.data_dir)
    trained = load_trained(find_checkpoint(folder.root, options.run))
    audio = held_out_audio(trained, (), folder)
    corpus = audio.corpus
    facts = VoiceFacts(
        licence=options.licence,
        data=options.data or described_data(trained.config.corpus.paths),
        language=options.language,
        audio_minutes=corpus.duration(corpus.training) / 60,
    )
    write_voice(target, to_share(trained.content, options.name, facts))
    exact, rounded = (bits(one, audio, options.seconds) for one in (trained, load_trained(target)))
    figure = (
        f"On {options.seconds:g} s of held-out audio this file needs {rounded:.4f} bits per sample, the run's float32 "
        f"weights {exact:.4f}."
    )
    evaluation = None if options.eval is None else read_evaluation(options.eval)
    card = model_card(target, CardExtras(evaluation=evaluation, figures=[figure]))
    card = card.replace(f" {target.name}", f" {options.name}")  # commands take a shipped voice by its name
    target.with_suffix(".md").write_text(card, encoding="utf-8")
    size = target.stat().st_size
    print(f"{target} ({size / 1e6:.2f} MB)\n{target.with_suffix('.md')}\n{figure}")
    if size > MOST_BYTES:
        print(f"note: it is larger than {MOST_BYTES / 1e6:g} MB, which is much for a file that ships")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--name", required=True)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--language")
    parser.add_argument("--data")
    parser.add_argument("--eval", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=voices_folder())
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--data-dir", type=Path)
    try:
        ship(parser.parse_args())
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
