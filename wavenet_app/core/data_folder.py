"""The data folder: which sub-folder holds what, and what a data set's name stands for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wavenet_app.core.errors import UserError

ENVIRONMENT_VARIABLE = "WAVEGEN_DATA"


@dataclass(frozen=True)
class DataFolder:
    """The sub-folders of one root.

    Attributes:
        root: the folder itself.
    """

    root: Path

    @classmethod
    def at(cls, given: Path | None) -> DataFolder:
        """Returns the folder given, else the one that WAVEGEN_DATA names, else ./data."""
        return cls(given or Path(os.environ.get(ENVIRONMENT_VARIABLE) or "data"))

    @property
    def checkpoints(self) -> Path:
        """Folder of runs, one sub-folder each."""
        return self.root / "checkpoints"

    @property
    def segmentation_runs(self) -> Path:
        """Folder of segmentation's runs, one sub-folder each; apart, so that the newest WaveNet is a WaveNet."""
        return self.checkpoints / "segmentation"

    @property
    def pretrained(self) -> Path:
        """Folder of wavenet_*.pth and deeplab_*.pth files."""
        return self.root / "pretrained"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard events, one sub-folder a run."""
        return self.root / "tensorboard"

    @property
    def generated(self) -> Path:
        """Folder of generated audio."""
        return self.root / "generated"

    @property
    def segmentation_results(self) -> Path:
        """Folder of masks, overlays and the sheets of `wavegen seg-check`."""
        return self.root / "segmentation_results"

    @property
    def receptive_field_viz(self) -> Path:
        """Folder of the pictures of receptive fields."""
        return self.root / "receptive_field_viz"

    @property
    def cache(self) -> Path:
        """Folder of decoded audio and of weights ready to generate; safe to delete at any time."""
        return self.root / ".cache"

    def data_set(self, argument: str) -> Path:
        """Returns what a data set argument stands for: a path that exists, else a name under the root.

        Raises:
            UserError: neither exists.
        """
        path = Path(argument)
        if path.exists():
            return path
        named = self.data_set_path(argument)
        if named.exists():
            return named
        raise UserError(f"there is no file or folder '{argument}', neither here nor as {named}")

    def data_set_path(self, name: str) -> Path:
        """Returns where a data set of that name lies under the root, whether it exists or not."""
        return self.root / name.strip("/")
