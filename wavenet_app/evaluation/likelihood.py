"""The exact probability of each sample of a clip under a model, in bits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from wavenet_app.audio.mel import silent_conditioning
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning
from wavenet_app.network.model import WaveNet

CHUNK_SAMPLES = 8_192  # per forward pass: large enough to be fast, small enough for any memory


@torch.inference_mode()
def code_bits(
    model: WaveNet,
    codes: NDArray[np.integer],
    first: int = 0,
    shares: NDArray[np.float32] | None = None,
    frames: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Returns the bits of codes[first:], each given all earlier codes; their mean is the bits per sample.

    Silence precedes the first code, as in training and in generation. The distribution is that of the model at
    temperature 1, independent of how the clip was sampled.

    Args:
        model: the model, on any device.
        codes: codes of one clip in the model's coding, shape (samples,).
        first: number of codes that are only context, such as those of a priming recording.
        shares: (speakers,), share of each speaker in the voice, for a model with speakers.
        frames: (CONTEXT_FRAMES + frames + CONTEXT_FRAMES, columns), the frames of the codes as the model takes them,
            the first of which begins with the first code, and their neighbours; for a model conditioned on mel frames.

    Returns:
        float32 (samples - first,), each -log2 of a probability.
    """
    device = next(model.parameters()).device
    context = model.config.context
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
    """Returns the frames for a part of the codes, and how many samples of the first frame precede the part.

    Before the start of the clip, the frames are silence.
    """
    assert model.config.mel is not None
    hop = model.config.mel.hop
    begin, end = start // hop, -(-stop // hop) + 2 * CONTEXT_FRAMES
    silence = silent_conditioning(model.config.mel, max(0, -begin))
    return np.concatenate([silence, frames[max(0, begin) : end]]), start % hop
