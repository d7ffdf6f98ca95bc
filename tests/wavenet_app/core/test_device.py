"""The device that this machine computes on."""

import pytest
import torch

from wavenet_app.core.device import training_device
from wavenet_app.core.errors import UserError


def test_a_gpu_that_cannot_compute_is_an_error_and_not_skipped(monkeypatch):
    def broken(*_arguments, **_options):
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", broken)
    with pytest.raises(
        UserError, match=r"the GPU cannot be used \(CUDA error: out of memory\); .*CUDA_VISIBLE_DEVICES=-1"
    ):
        training_device()
