"""Fast causal generation with WaveNet: one new sample costs O(layers), not O(receptive field).

import fast_gen

voice = fast_gen.load("speech-small")
audio = voice.generate(seconds=2, seed=1)
"""

from typing import TYPE_CHECKING, Any

from wavenet_app.core.version import __version__

if TYPE_CHECKING:
    from fast_gen.api import Voice, load

__all__ = ["Voice", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fast_gen' has no attribute '{name}'")
    from fast_gen import api

    return getattr(api, name)
