"""The weights of a checkpoint kept as plain arrays, so that later starts do not wait for torch.

Importing torch takes longer than all else that stands before the first sound, and generation on the CPU needs it
only to read the checkpoint. What is kept is found by the content of the checkpoint, so it can never be out of date, and
is safe to delete at any time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import RunConfig
from wavenet_app.core.array_file import DamagedArrayError, read_arrays
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import HOUR, replacing, sweep_parts
from wavenet_app.core.settings import validated

KEPT_MODELS = 8
"""How many models are kept, those used last."""


class WeightCache:
    """Models as .npz files in a folder, named after the content of their checkpoints.

    Args:
        folder: where; it is made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, checkpoint: Path) -> tuple[RunConfig, GeneratorWeights] | None:
        """Returns the settings and the weights of a checkpoint that was kept; None if it was not, or is damaged."""
        try:
            place = self._place(checkpoint)
            arrays = read_arrays(place)
            if not all(np.isfinite(array).all() for array in arrays.values() if array.dtype == np.float32):
                return None  # the checkpoint itself says what is wrong with it
            config = validated(RunConfig, json.loads(str(arrays.pop("config"))))
            dilations = tuple(int(dilation) for dilation in arrays.pop("dilations"))
            conditioned, head = bool(arrays.pop("conditioned")), config.model.output_head
            prediction = config.model.prediction
            weights = GeneratorWeights(
                **arrays, dilations=dilations, conditioned=conditioned, prediction=prediction, head=head
            )
        except (DamagedArrayError, OSError, ValueError, KeyError, TypeError, UserError):
            return None
        with suppress(OSError):
            place.touch()
        return config, weights

    def keep(self, checkpoint: Path, config: RunConfig, weights: GeneratorWeights) -> None:
        """Keeps a checkpoint's settings and weights; where the folder cannot be written, it does nothing."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            sweep_parts(self._folder, older_than=HOUR)
            with replacing(self._place(checkpoint)) as file:
                of_config = ("head", "prediction")
                arrays = {name: value for name, value in vars(weights).items() if name not in of_config}
                np.savez(file, **{**arrays, "config": np.array(config.model_dump_json())})
            kept = sorted(self._folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
            for outdated in kept[:-KEPT_MODELS]:
                outdated.unlink()

    def _place(self, checkpoint: Path) -> Path:
        """Returns where a checkpoint is kept: another place for another content, or another layout of the arrays."""
        layout = Path(__file__).with_name("weights.py").read_bytes()
        with checkpoint.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        return self._folder / f"{hashlib.sha256(layout + content).hexdigest()[:32]}.npz"


def read_weights(checkpoint: Path, folder: Path) -> tuple[RunConfig, GeneratorWeights]:
    """Returns the settings and weights of a checkpoint, from the cache in `folder` if it was read before.

    Raises:
        UserError: the checkpoint is absent or damaged.
    """
    from wavenet_app.checkpoints.trained import load_trained

    cache = WeightCache(folder)
    found = cache.find(checkpoint)
    if found is None:
        trained = load_trained(checkpoint)
        found = trained.config, GeneratorWeights.of(trained.model)
        cache.keep(checkpoint, *found)
    return found
