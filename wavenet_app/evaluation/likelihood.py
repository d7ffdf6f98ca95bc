"""The exact probability that a model gives to every sample of a clip, in bits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from wavenet_app.audio.mel import silent_conditioning
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning
from wavenet_app.network.model import WaveNet

CHUNK_SAMPLES = 8_192  # one pass through the net: long enough to be quick, short enough for any memory


@torch.inference_mode()
def code_bits(
    model: WaveNet,
    codes: NDArray[np.integer],
    first: int = 0,
    shares: NDArray[np.float32] | None = None,
    frames: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Returns the bits of codes[first:], each given all the codes before it; their mean is the bits per sample.

    Before the first code stands silence, as in training and in generation. The distribution is the model's own, at
    temperature 1, whatever the clip was sampled with.

    Args:
        model: the net, on any device.
        codes: one clip as the model's coding has it, shape (samples,).
        first: how many codes are context only, such as those of a primed recording.
        shares: (speakers,), of each speaker in the voice, for a model with speakers.
        frames: (CONTEXT_FRAMES + frames + CONTEXT_FRAMES, columns), the frames of the codes as the model takes them,
            the first of which begins with the first code, and their neighbours; for a model conditioned on mel frames.

    Returns:
        float32 (samples - first,), each -log2 of a probability.
    """
    device = next(model.parameters()).device
    context = model.config.receptive_field
    silence = np.full(context, model.config.coding.silence, dtype=np.int64)
    voice = None if shares is None else torch.from_numpy(shares)[None].to(device)
    condition = model.condition(Conditioning(speakers=voice)) if frames is None else None
    padded = torch.from_numpy(np.concatenate([silence, np.asarray(codes, dtype=np.int64)]))
    bits = np.empty(max(0, len(codes) - first), dtype=np.float32)
    for start in range(first, len(codes), CHUNK_SAMPLES):
        stop = min(start + CHUNK_SAMPLES, len(codes))
        window = padded[start : stop + context].to(device)
        if frames is not None:
            around, phase = _frames_between(model, frames, start + 1 - context, stop)
            condition = model.condition(Conditioning(voice, torch.from_numpy(around)[None].to(device)), phase)
        outputs = model(window[None, :-1], context - 1, condition)
        bits[start - first : stop - first] = model.head.bits(outputs, window[None, context:])[0].cpu().numpy()
    return bits


def _frames_between(
    model: WaveNet, frames: NDArray[np.float32], start: int, stop: int
) -> tuple[NDArray[np.float32], int]:
    """Returns the frames that a stretch of codes needs, and how many samples of the first lie before the stretch.

    Where the stretch begins before the clip, there stands silence.
    """
    assert model.config.mel is not None
    hop = model.config.mel.hop
    begin, end = start // hop, -(-stop // hop) + 2 * CONTEXT_FRAMES
    silence = silent_conditioning(model.config.mel, max(0, -begin))
    return np.concatenate([silence, frames[max(0, begin) : end]]), start % hop
