from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `studio` is not installed")
pytest.importorskip("uvicorn", reason="the extra `studio` is not installed")

from random_checkpoint import write_random_checkpoint
from served_studio import Served, served

from wavenet_app.config import ModelConfig

TINY = ModelConfig(residual_channels=4, dilation_channels=4, skip_channels=8, dilations=(1, 2, 4))
SPOKEN = TINY.model_copy(update={"speakers": ("ann", "jo")})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the exports `noise`, of one voice, and `pair`, of two speakers."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pretrained").mkdir()
    write_random_checkpoint(folder / "pretrained" / "wavenet_noise.pth", TINY, sample_rate=8_000, gain=2.0)
    write_random_checkpoint(folder / "pretrained" / "wavenet_pair.pth", SPOKEN, sample_rate=8_000)
    return folder


@pytest.fixture(scope="module")
def studio(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio of that folder."""
    with served(data, tmp_path_factory.mktemp("scratch")) as found:
        yield found
