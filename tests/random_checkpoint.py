"""Checkpoints with random weights, which generate varied noise."""

from pathlib import Path

from random_nets import random_net

from wavenet_app.checkpoints.trained import KIND, load_trained, plain_config
from wavenet_app.checkpoints.voice_file import write_voice
from wavenet_app.config import AudioConfig, ModelConfig, RunConfig
from wavenet_app.core.checkpoint import read_checkpoint, write_checkpoint


def write_random_checkpoint(
    path: Path, model: ModelConfig, *, sample_rate: int = 16_000, gain: float = 1.0, seed: int = 0
) -> Path:
    """Writes a checkpoint of a run that is named after the file, and returns its path."""
    config = RunConfig(name=path.stem, model=model, audio=AudioConfig(sample_rate=sample_rate, gain=gain))
    weights = random_net(model, seed).state_dict()
    write_checkpoint(path, KIND, {"config": plain_config(config), "weights": weights})
    return path


def forget_training(path: Path) -> None:
    """Gives a trained checkpoint random weights that depend on all conditioning, and keeps everything else."""
    weights = random_net(load_trained(path).config.model).state_dict()
    write_checkpoint(path, KIND, {**read_checkpoint(path, KIND), "weights": weights})


def write_random_voice(
    path: Path, model: ModelConfig, *, sample_rate: int = 16_000, seed: int = 0, language: str | None = "Dutch"
) -> Path:
    """Writes a voice that is named after its file, and returns its path."""
    config = RunConfig(name=path.stem, model=model, audio=AudioConfig(sample_rate=sample_rate))
    row = {"step": 1_200, "seconds": 600.0, "train": 3.9, "validation": 3.8, "learning_rate": 0.001}
    content = {
        "config": plain_config(config),
        "weights": random_net(model, seed).state_dict(),
        "history": [row],
        "baseline": {"unigram": 6.0, "order1": 5.0, "lpc": 4.05, "samples": 100},
        "validation": 3.75,
        "voice": {
            "licence": "CC0-1.0",
            "data": "twenty minutes of speech",
            "language": language,
            "audio_minutes": 20.0,
        },
    }
    write_voice(path, content)
    return path
