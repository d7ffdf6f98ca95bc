"""WaveNet on folders of audio: corpus, network, training and evaluation.

import wavenet_app

run = wavenet_app.train("recordings/", preset="small", minutes=5)
"""

from typing import TYPE_CHECKING, Any

from wavenet_app.core.version import __version__

if TYPE_CHECKING:
    from wavenet_app.api import train

__all__ = ["__version__", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wavenet_app' has no attribute '{name}'")
    from wavenet_app import api

    return getattr(api, name)
