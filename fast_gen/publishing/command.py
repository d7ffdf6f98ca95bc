"""`wavegen publish` from request to folder."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from fast_gen.publishing.samples import generated_samples, vocoded_samples
from wavenet_app.checkpoints.card import CardExtras, Evaluation, model_card
from wavenet_app.checkpoints.content import VoiceFacts
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained, to_share
from wavenet_app.checkpoints.voice_file import write_voice
from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder
from wavenet_app.core.names import name_problem
from wavenet_app.core.safetensors_file import SUFFIX
from wavenet_app.core.shown import shown
from wavenet_app.evaluation.held_out_audio import own_corpus


@dataclass(frozen=True)
class PublishRequest:
    """The options of `wavegen publish`.

    Attributes:
        checkpoint: what `find_checkpoint` takes.
        licence: of the weights.
        out: folder to make; None for published/<name> in the data folder.
        name: of the model; None for that of the run.
        data: what it was trained on, in words; None for the names of the folders.
        language: that is spoken; None for none.
        evaluation: file with what `wavegen eval --json` printed; None for none.
        clips: how many samples.
        seconds: length of each generated sample.
    """

    checkpoint: str | None
    licence: str
    out: Path | None = None
    name: str | None = None
    data: str | None = None
    language: str | None = None
    evaluation: Path | None = None
    clips: int = 4
    seconds: float = 4.0


def run_publish(request: PublishRequest, folder: DataFolder, *, console: Console) -> Path:
    """Makes a folder with the weights, the model card and audio samples, and prints what is in it.

    Returns:
        The folder.

    Raises:
        UserError: there is no such model, the folder exists, or a file cannot be read or written.
    """
    path = find_checkpoint(folder.root, request.checkpoint)
    trained = load_trained(path)
    name = _checked_name(request.name or trained.config.name)
    target = request.out or folder.published / name
    if target.exists():
        raise UserError(f"{target} exists, and nothing in it is replaced; choose another folder with --out")
    evaluation = None if request.evaluation is None else read_evaluation(request.evaluation)
    corpus, why_not = own_corpus(trained, folder, None)
    facts = VoiceFacts(
        licence=request.licence,
        data=request.data or described_data(trained.config.corpus.paths),
        language=request.language,
        audio_minutes=None if corpus is None else corpus.duration(corpus.training) / 60,
    )
    make_folder(target.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", dir=target.parent))
    try:
        file = temporary / f"{name}{SUFFIX}"
        write_voice(file, to_share(trained.content, name, facts))
        with console.status("making audio samples"):
            if trained.config.model.mel is None:
                generated_samples(file, temporary, folder, clips=request.clips, seconds=request.seconds)
            elif corpus is None:
                print_labelled(console, "note", f"without audio samples: the held-out clips are missing ({why_not})")
            else:
                vocoded_samples(file, temporary, folder, corpus, clips=request.clips)
        samples = sorted(sample.name for sample in temporary.glob("*.wav"))
        card = model_card(file, CardExtras(samples=samples, evaluation=evaluation))
        (temporary / "README.md").write_text(card, encoding="utf-8")
        temporary.chmod(0o755)  # mkdtemp's are closed to others
        temporary.replace(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; choose another folder with --out") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    size = (target / file.name).stat().st_size
    console.print(
        f"{target / file.name} ({size / 1e6:.2f} MB)\n{target / 'README.md'} (the model card; read it before you share "
        f"the folder)\n{len(samples)} audio samples",
        highlight=False,
        soft_wrap=True,
    )
    return target


def described_data(paths: tuple[str, ...]) -> str:
    """Returns the names of the folders that a run was trained on.

    >>> described_data(("/data/ann", "/data/bo.wav")), described_data(())
    ('Recordings: ann, bo.wav', 'The plucked strings that wavegen makes itself')
    """
    if not paths:
        return "The plucked strings that wavegen makes itself"
    return f"Recordings: {', '.join(Path(path).name for path in paths)}"


def read_evaluation(path: Path) -> Evaluation:
    """Returns what `wavegen eval --json` printed into a file.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    advice = f"make it with: wavegen eval RUN --json > {path.name}"
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; {advice}") from None
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{path} holds no evaluation{f' (see {place})' if place else ''}; {advice}") from None


def checked_line(text: str, flag: str) -> str:
    """Returns a text that stands in a card, without space around it.

    Raises:
        UserError: it is empty, or longer than a line.
    """
    stripped = text.strip()
    if not stripped or len(stripped.splitlines()) > 1 or len(stripped) > 500:
        raise UserError(f"{flag} takes one line of text, not {shown(text)}")
    return stripped


def _checked_name(name: str) -> str:
    problem = name_problem(name)
    if problem is not None:
        raise UserError(f"--name {shown(name)} {problem}")
    return name
