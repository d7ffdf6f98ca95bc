"""Checkpoints: our own, voices, other projects' DeepLabs; to use, describe, export, resume, start from."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import content_mutations
import torch
from mutations import json_of, mutated_bytes, mutated_values, mutated_zip
from random_checkpoint import write_random_voice
from random_nets import CONDITIONED, GAUSSIAN, LOGISTICS, PREDICTION, SHAPES
from run_content import deeplab_content, wavenet_content
from worker import Door

from fast_gen.engines.weight_cache import read_weights
from segmentation.checkpoints.info import describe as describe_deeplab
from segmentation.checkpoints.info import export_deeplab
from segmentation.checkpoints.pretrained import read_pretrained, take_over
from segmentation.checkpoints.segmenter import load_segmenter
from segmentation.config import SegmentationConfig, SegmentationModelConfig
from segmentation.network.deeplab import build_model
from wavenet_app.checkpoints.content import WaveNetContent
from wavenet_app.checkpoints.info import describe
from wavenet_app.checkpoints.trained import export
from wavenet_app.checkpoints.voice_file import _digest
from wavenet_app.checkpoints.voices import read_shipped_voice
from wavenet_app.config import ModelConfig, RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import read_resumed
from wavenet_app.core.safetensors_file import METADATA
from wavenet_app.training import start

SMALL = ModelConfig(residual_channels=2, dilation_channels=3, skip_channels=4, dilations=(1, 2))
DEEPLAB = SegmentationModelConfig(backbone="dilated", num_classes=3, aspp_channels=4)
_models: dict[str, Any] = {}


def _models_of_kinds() -> dict[str, ModelConfig]:
    changes = {"plain": {}, "speakers": {"speakers": ("a", "b")}, "mel": CONDITIONED["mel"]}
    more = {"logistics": LOGISTICS, "gaussian": GAUSSIAN, "prediction": PREDICTION}
    return {name: SMALL.model_copy(update=change) for name, change in (changes | more).items()}


def _wavenet(model: ModelConfig) -> dict[str, Any]:
    return {"format": "wavegen-wavenet", "version": 1, **wavenet_content(model)}


def _deeplab() -> dict[str, Any]:
    content = deeplab_content(SegmentationConfig(model=DEEPLAB), build_model(DEEPLAB).state_dict())
    return {"format": "wavegen-deeplab", "version": 1, **content}


def write_seeds(folder: Path) -> None:
    """Writes a small file of each kind."""
    for name, model in _models_of_kinds().items():
        torch.save(_wavenet(model), folder / f"wavenet_{name}.pth")
    torch.save(_deeplab(), folder / "deeplab.pth")
    weights = build_model(DEEPLAB).state_dict()
    torch.save({"model_state": weights, "epoch": 3, "best_score": 0.5}, folder / "foreign_deeplab.pth")
    torch.save({f"module.{name}": tensor for name, tensor in weights.items()}, folder / "parallel_deeplab.pth")
    torch.save(weights, folder / "old_deeplab.pth", _use_new_zipfile_serialization=False)
    write_random_voice(folder / "voice.safetensors", SHAPES["two cycles"])


def doors(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    """Mutates a file's bytes, the pickle inside it, or its content; yields all that reads it."""
    seed = choose.choice(sorted(seeds.iterdir()))
    path = place / seed.name
    path.write_bytes(_spoilt(choose, seed))
    if "deeplab" in seed.name:
        yield from _deeplab_doors(path, DataFolder(place / "data"))
    else:
        yield from _wavenet_doors(path, place)


def _spoilt(choose: random.Random, seed: Path) -> bytes:
    data = seed.read_bytes()
    kind = choose.random()
    if kind < 0.2:
        return mutated_bytes(choose, data)
    if seed.suffix == ".safetensors":
        length = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:length])
        if kind < 0.6:  # the settings are JSON in a text of the header
            content = mutated_values(choose, json.loads(header[METADATA]["content"]))
            header[METADATA]["content"] = json_of(choose, content).decode()
        else:
            header = mutated_values(choose, header)
        _sign(header, data[length:])
        text = json_of(choose, header)
        return len(text).to_bytes(8, "little") + text + data[length:]
    if kind < 0.5 and data[:2] == b"PK":
        return mutated_zip(choose, data)
    content = torch.load(seed, weights_only=True)
    if kind < 0.55:
        return choose.choice((pickle.dumps, lambda one: repr(one).encode()))(content)
    whole = BytesIO()
    torch.save(content_mutations.mutated(content, choose.randrange(2**32)), whole)
    return whole.getvalue()


def _sign(header: Any, numbers: bytes) -> None:
    """Gives a voice the digest of its changed content, as a program that writes nonsense would."""
    metadata = header.get(METADATA) if isinstance(header, dict) else None
    if isinstance(metadata, dict) and isinstance(metadata.get("content"), str):
        entries = {name: entry for name, entry in header.items() if name != METADATA}
        metadata["sha256"] = _digest(metadata["content"], entries, numbers)


def _wavenet_doors(path: Path, place: Path) -> Iterator[Door]:
    yield lambda: describe(path)
    yield lambda: read_weights(path, place / "weights")
    yield lambda: export(path, place / "out.pth")
    if path.suffix == ".safetensors":
        yield lambda: read_shipped_voice(path)
    else:
        again = "start a new run"
        yield lambda: read_resumed(str(path), place, "wavenet", WaveNetContent, called="run", otherwise=again)
    own = RunConfig(model=SMALL).model
    yield lambda: start.take_over(start.read_source(str(path), DataFolder(place)), own)


def _deeplab_doors(path: Path, folder: DataFolder) -> Iterator[Door]:
    model = _models.setdefault("deeplab", build_model(DEEPLAB))
    pixels = torch.zeros(1, 3, 33, 47)
    uses: tuple[Callable[[], object], ...] = (
        lambda: load_segmenter(path, 16).model(pixels),
        lambda: describe_deeplab(read_pretrained(path)),
        lambda: take_over(model, read_pretrained(path)),
        lambda: export_deeplab(str(path), "x", folder),
    )
    for use in uses:
        yield lambda use=use: _with_the_file(use, path)  # type: ignore[misc]


def _with_the_file(use: Callable[[], object], path: Path) -> None:
    """Uses a file; a refusal has to name it."""
    try:
        use()
    except UserError as error:
        if path.name not in str(error):
            raise ValueError(f"it does not name the file: {error}") from None
        raise
