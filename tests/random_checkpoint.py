"""Checkpoints with random weights, which generate varied noise."""

from pathlib import Path

from engine_contract import random_net

from wavenet_app.checkpoints.trained import KIND, load_trained, plain_config
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
