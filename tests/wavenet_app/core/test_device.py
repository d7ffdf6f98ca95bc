"""The device that this machine computes on, and the precision that it multiplies faster."""

import pytest
import torch

from wavenet_app.core import device
from wavenet_app.core.device import bfloat16_is_faster, training_device
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


@pytest.mark.parametrize(
    ("amx", "avx512", "float32", "bfloat16", "faster"),
    [
        (True, True, 1.0, 2.0, True),  # AMX needs no measurement
        (False, True, 2.0, 1.0, True),
        (False, True, 1.1, 1.0, False),  # too little to pay for the conversions
        (False, True, 1.0, 2.0, False),
        (False, False, 2.0, 1.0, False),
    ],
)
def test_a_cpu_takes_bfloat16_where_it_multiplies_it_faster(monkeypatch, amx, avx512, float32, bfloat16, faster):
    times = {torch.float32: float32, torch.bfloat16: bfloat16}
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(device, "_seconds", lambda left, right: times[left.dtype] if right.dtype == left.dtype else 0)
    device._measured_faster.cache_clear()
    try:
        assert bfloat16_is_faster("cpu") == faster
    finally:
        device._measured_faster.cache_clear()


def test_a_product_takes_time():
    assert device._seconds(torch.ones(64, 64), torch.ones(64, 64)) > 0
