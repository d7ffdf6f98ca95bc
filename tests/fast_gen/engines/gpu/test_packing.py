"""The conditions of the kernels of a GPU: padded, in their order, and in parts where they do not fit at once."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_nets import CONDITIONED, GAUSSIAN, LOGISTICS, SHAPES, random_net

from fast_gen.engines.condition import FOREVER, ChunkCondition
from fast_gen.engines.gpu import packing as gpu_packing
from fast_gen.engines.gpu.packing import PackedModel, condition_parts, pack, pack_condition
from fast_gen.engines.weights import GeneratorWeights


@pytest.fixture(scope="module")
def model() -> PackedModel:
    """Four layers, 5 channels of each half of the gate padded to 16."""
    net = random_net(SHAPES["odd widths"].model_copy(update=CONDITIONED["speakers"]))
    return pack(GeneratorWeights.of(net), "cpu", torch.float32)


def random_values(rows: int, steps: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, steps, 4 * 2 * 5)).astype(np.float32)


def test_filters_and_gates_alternate_and_all_else_is_zero(model: PackedModel) -> None:
    values = random_values(2, 3)
    packed = pack_condition(ChunkCondition(values, 4, 1), model, rows=16, samples=9)
    assert packed.values.shape == (3, 16, 4, 32)
    assert packed.steps.tolist() == packed.steps_on_device.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    by_half = torch.from_numpy(values.reshape(2, 3, 4, 2, 5))
    assert torch.equal(packed.values[2, 1, 3, 0:10:2], by_half[1, 2, 3, 0])
    assert torch.equal(packed.values[2, 1, 3, 1:10:2], by_half[1, 2, 3, 1])
    assert packed.values.count_nonzero() == values.size


@pytest.mark.parametrize(
    ("head", "kind"), [({}, torch.bfloat16), (LOGISTICS, torch.float32), (GAUSSIAN, torch.float32)]
)
def test_only_a_distributions_numbers_keep_weights_of_float32(head: dict[str, Any], kind: torch.dtype) -> None:
    net = random_net(SHAPES["odd widths"].model_copy(update=head))
    packed = pack(GeneratorWeights.of(net), "cpu", torch.bfloat16)
    assert packed.output2.dtype == kind
    assert {packed.dilated.dtype, packed.residuals.dtype, packed.skips.dtype, packed.output1.dtype} == {torch.bfloat16}
    if head:
        assert torch.equal(packed.output2[:11, : net.config.output_channels], net.output2.weight.T)


@given(
    hold=st.sampled_from([1, 2, 5, FOREVER]),
    first=st.integers(0, 4),
    samples=st.integers(0, 40),
    room=st.integers(1, 9),
)
def test_parts_make_up_the_whole_and_have_room(
    model: PackedModel, hold: int, first: int, samples: int, room: int
) -> None:
    phase = first % hold
    values = random_values(2, (phase + max(samples, 1) - 1) // hold + 1)
    condition = ChunkCondition(values, hold, phase)
    whole = pack_condition(condition, model, 2, samples)
    joined, covered = [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_packing, "CONDITION_AT_ONCE", room * 2 * 4 * 32)
        for part, packed in condition_parts(condition, model, 2, samples):
            assert packed is not None
            assert part.start == covered < part.stop
            assert len(packed.values) <= room
            assert len(packed.steps) == part.stop - part.start
            joined.append(packed.values[packed.steps])
            covered = part.stop
    assert covered == samples
    if samples:
        assert torch.equal(torch.cat(joined), whole.values[whole.steps])
