"""What bits per sample on held-out audio say about a model, in words."""

from __future__ import annotations

import math

from wavenet_app.corpus.baseline import Baseline

LITTLE_SECONDS = 20.0


def verdict(validation: float, baseline: Baseline) -> str:
    """Says whether a model predicts better than a classical linear predictor.

    >>> verdict(3.0, Baseline(unigram=7.0, order1=5.0, lpc=4.1, samples=1))
    '1.10 bits below LPC-24: it predicts better than a linear predictor can'
    >>> verdict(4.3, Baseline(unigram=7.0, order1=5.0, lpc=4.1, samples=1))
    'not yet better than LPC-24 (0.20 bits above): expect noise, train longer'
    """
    gap = baseline.lpc - validation
    if math.isnan(gap):
        return "no verdict: the validation clips are too short for the LPC-24 baseline"
    if gap > 0:
        return f"{gap:.2f} bits below LPC-24: it predicts better than a linear predictor can"
    return f"not yet better than LPC-24 ({-gap:.2f} bits above): expect noise, train longer"


def verdict_elsewhere(bits: float, baseline: Baseline) -> str:
    """Says how a model does on audio that is not that of its run, of which it may know nothing.

    >>> verdict_elsewhere(4.3, Baseline(unigram=7.0, order1=5.0, lpc=4.1, samples=1))
    '0.20 bits above LPC-24 on this audio, which the model was not trained for'
    """
    gap = baseline.lpc - bits
    if math.isnan(gap) or gap > 0:
        return verdict(bits, baseline)
    return f"{-gap:.2f} bits above LPC-24 on this audio, which the model was not trained for"


def gained(before: float | None, best: float | None) -> str | None:
    """Returns in words what training has gained over the model that a run starts from; None for a run from scratch.

    Args:
        before: bits per sample before training; None from scratch.
        best: the best validation of the run, on the same audio; None if there was none.

    >>> gained(2.836, 2.853)
    'training has gained nothing yet: 2.853 bits at best, 2.836 before training; train longer, or add recordings'
    >>> gained(3.027, 2.96)
    'training has lowered the bits by 0.067, from 3.027 to 2.960'
    """
    if before is None or best is None or not math.isfinite(best):
        return None
    if round(best, 3) >= round(before, 3):
        return (
            f"training has gained nothing yet: {best:.3f} bits at best, {before:.3f} before training; "
            "train longer, or add recordings"
        )
    return f"training has lowered the bits by {before - best:.3f}, from {before:.3f} to {best:.3f}"


def few_clips(clips: int, seconds: float) -> str | None:
    """Returns a note if the held-out audio is too little for a sure verdict: one clip, or less than 20 s; else None.

    Args:
        clips: how many are held out.
        seconds: their length in all.

    >>> few_clips(39, 116.0) is None
    True
    >>> few_clips(2, 9.3)
    'only 2 clips (9.3 s) are held out, so other clips can give another verdict; add recordings to be sure'
    """
    if clips > 1 and seconds >= LITTLE_SECONDS:
        return None
    held_out = "1 clip" if clips == 1 else f"{clips} clips"
    verb = "is" if clips == 1 else "are"
    return (
        f"only {held_out} ({seconds:.3g} s) {verb} held out, so other clips can give another verdict; "
        "add recordings to be sure"
    )
