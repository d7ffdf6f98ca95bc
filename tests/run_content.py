"""All that a run writes into its checkpoint, of either half, as small as it can be."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from random_nets import random_net
from torch import Tensor

from segmentation.config import SegmentationConfig
from wavenet_app.checkpoints.trained import plain_config
from wavenet_app.config import ModelConfig, RunConfig
from wavenet_app.corpus.baseline import Baseline


def wavenet_content(model: ModelConfig) -> dict[str, Any]:
    """Returns what a run of a WaveNet writes, with random weights."""
    net = random_net(model)
    weights = net.state_dict()
    return {
        "config": plain_config(RunConfig(model=model)),
        "weights": weights,
        "history": [{"step": 5, "seconds": 1.5, "train": 4.0, "validation": math.nan, "learning_rate": 0.1}],
        "baseline": asdict(Baseline(8.0, 5.0, math.nan, 100)),
        "split": {"training": ["a.wav"], "validation": ["b.wav"], "gain": 1.0},
        "validation": 4.5,
        "training": {
            "weights": weights,
            "optimizer": torch.optim.AdamW(net.parameters()).state_dict(),
            "step": 5,
            "seconds": 1.5,
            "loss": 4.0,
            "best": math.inf,
        },
    }


def deeplab_content(config: SegmentationConfig, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Returns what a run of a DeepLab of three classes writes."""
    return {
        "config": config.model_dump(mode="json"),
        "weights": dict(weights),
        "classes": ["a", "b", "c"],
        "palette": [[0, 0, 0], [1, 1, 1], [2, 2, 2]],
        "raw_ids": [0, 1, 2],
        "raw_ignore": 255,
        "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
        "output_stride": 16,
        "class_weights": None,
        "data": {"name": "x", "format": "custom", "training_images": 3, "validation_images": 2},
        "history": [{"step": 5, "seconds": 1.5, "train": 4.0, "validation": 0.5, "learning_rate": 0.1}],
    }
