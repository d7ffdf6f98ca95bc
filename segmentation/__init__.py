"""DeepLab on the dilated block of `wavenet_app`, in two dimensions.

import segmentation

mask = segmentation.load("camvid").predict("street.jpg")
"""

from typing import TYPE_CHECKING, Any

from wavenet_app.core.version import __version__

if TYPE_CHECKING:
    from segmentation.api import Labeller, load

__all__ = ["Labeller", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'segmentation' has no attribute '{name}'")
    from segmentation import api

    return getattr(api, name)
