"""What a model sounds like while it is trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import voice
from fast_gen.engines.contract import load_engine
from fast_gen.engines.sampling import usual_settings
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.stream import generate
from fast_gen.vocoding.vocode import vocode
from wavenet_app.config import RunConfig
from wavenet_app.network.model import WaveNet
from wavenet_app.training.task import Heard


def preview(model: WaveNet, config: RunConfig, num_samples: int, heard: Heard) -> NDArray[np.float32]:
    """Returns audio from a model in training, always with the same random numbers so that previews can be compared.

    Args:
        model: the net, on any device.
        config: the settings of its run.
        num_samples: length.
        heard: the speaker and the mel frames, as far as the model is told of them.

    Returns:
        float32 (num_samples,) in [-1, 1].
    """
    weights = GeneratorWeights.of(model)
    engine = load_engine("auto", weights)
    seed, settings = config.training.seed, usual_settings(config.model)
    if heard.frames is not None:
        blocks = vocode(engine, model, [heard.frames], shares=heard.shares, seed=seed, settings=settings)
        return np.concatenate(list(blocks))[:num_samples]
    condition = None if heard.shares is None else voice(weights, heard.shares[None])
    return generate(engine, num_samples=num_samples, seed=seed, settings=settings, condition=condition)[0]
