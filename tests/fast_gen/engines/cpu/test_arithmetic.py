"""The compiled approximations keep their stated errors, and the compiled pick follows its definition."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fast_gen.engines.contract import PRECISIONS
from fast_gen.engines.cpu.activation import ACTIVATION_ERROR, activate
from fast_gen.engines.cpu.byte_product import HAS_BYTE_PRODUCTS, emit_dot
from fast_gen.engines.cpu.packing import BYTE_LIMIT, aligned, block_width, packed_matrix, ready_bytes
from fast_gen.engines.cpu.pick_code import pick_code, set_weights
from fast_gen.engines.cpu.product import ROWS_TOGETHER, add_product, address, matrix_bytes, ready_rows
from fast_gen.engines.pick_weights import UNIT, pick_scale
from fast_gen.engines.sampling import SamplingSettings, integer_weights, pick
from wavenet_app.compiling.vector_math import EXP_ERRORS, emit_exp

Floats = NDArray[np.floating]


@intrinsic
def exp(typing, x):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return emit_exp(builder, *arguments)

    return x(x), generate


@njit
def exp_of_all(values, results):
    for index in range(len(values)):
        results[index] = exp(values[index])


@njit
def activate_all(gates, activated):
    activate(gates, 0, len(activated), activated, 0)


@njit
def product(weights, inputs, outputs, first, last, x, y, room):
    ready = ready_rows(weights, (address(x, 0), 4 * inputs), inputs, len(x), 0, address(room, 0))
    y_rows = address(y, 0), 4 * outputs
    add_product(weights, address(weights, 0), inputs, outputs, first, last, ready, y_rows, len(x))


@njit
def size_of(weights, inputs, outputs):
    return matrix_bytes(weights, inputs, outputs)


@pytest.mark.parametrize(("dtype", "lowest", "highest"), [("float32", -87, 88), ("float64", -708, 709)])
def test_exp_keeps_its_error(dtype: str, lowest: float, highest: float) -> None:
    steps = np.linspace(lowest, highest, 400_001)
    near = np.concatenate([np.geomspace(1e-30, 1, 20_000), -np.geomspace(1e-30, 1, 20_000), [0.0, -0.0]])
    values = np.concatenate([steps, near]).astype(dtype)
    results = np.empty_like(values)
    exp_of_all(values, results)
    exact = np.exp(values.astype(np.longdouble))
    error = float(np.abs(results / exact - 1).max())
    assert EXP_ERRORS[dtype] / 4 < error < EXP_ERRORS[dtype]
    assert results[values == 0].tolist() == [1, 1]


def exact_activation(filtered: Floats, gate: Floats) -> Floats:
    exact: Floats = np.tanh(filtered.astype(float)) / (1 + np.exp(-gate.astype(float)))
    return exact


def test_the_activation_keeps_its_error_on_a_dense_grid() -> None:
    line = np.concatenate([np.linspace(-12, 12, 2_400), [-1e30, -88, -45, 45, 88, 1e30, 0.0, -0.0]])
    line = np.resize(line, 2_416).astype(np.float32)
    worst = 0.0
    gates = aligned(2 * len(line))
    gates[: len(line)] = line
    activated = aligned(len(line))
    for gate in line[::7]:
        gates[len(line) :] = gate
        activate_all(gates, activated)
        with np.errstate(over="ignore"):
            worst = max(worst, float(np.abs(activated - exact_activation(line, gates[len(line) :])).max()))
    assert ACTIVATION_ERROR / 4 < worst < ACTIVATION_ERROR


def test_what_is_padded_stays_zero() -> None:
    activated = aligned(16)
    activated[:] = 5
    activate_all(aligned(32), activated)
    assert not activated.any()


def rounded(matrix: Floats, precision: str) -> Floats:
    """The weights that are multiplied in a precision."""
    if precision == "bfloat16":
        return torch.tensor(matrix).bfloat16().double().numpy()
    if precision == "int8":
        scales = np.abs(matrix).max(axis=0, keepdims=True) / BYTE_LIMIT
        return np.rint(matrix / scales) * scales.astype(float)
    return matrix.astype(float)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("inputs", [16, 64, 112])
@pytest.mark.parametrize("outputs", [16, 32, 48, 64, 96, 128])
def test_products_are_right_and_the_same_for_any_number_of_rows(inputs: int, outputs: int, precision: str) -> None:
    generator = np.random.default_rng(inputs + outputs)
    matrix = generator.normal(size=(inputs, outputs)).astype(np.float32)
    rows = ROWS_TOGETHER + 3
    x = generator.normal(size=(rows, inputs)).astype(np.float32)
    before = generator.normal(size=(rows, outputs)).astype(np.float32)
    y = before.copy()
    packed, room = packed_matrix(matrix, precision), np.zeros(rows * ready_bytes(inputs), np.uint8)
    assert packed.nbytes == size_of(packed, inputs, outputs)
    blocks = outputs // block_width(outputs)
    product(packed, inputs, outputs, 0, blocks, x, y, room)
    used, tolerance = x.astype(float), 1e-4
    if precision == "int8":
        scales = np.abs(used).max(axis=1, keepdims=True) / BYTE_LIMIT
        used, tolerance = np.rint(used / scales) * scales, 0.1  # a tie may be rounded to the other side
    expected = before + used @ rounded(matrix, precision)
    np.testing.assert_allclose(y, expected, atol=tolerance)
    assert np.abs(y - expected).mean() < 1e-3
    for row in range(rows):
        alone = before[row : row + 1].copy()
        product(packed, inputs, outputs, 0, blocks, x[row : row + 1].copy(), alone, room)
        np.testing.assert_array_equal(alone[0], y[row])
    parts = before.copy()
    for first, last in ((1, blocks), (0, min(1, blocks))):
        product(packed, inputs, outputs, first, last, x, parts, room)
    np.testing.assert_array_equal(parts, y)


def test_a_row_of_zeros_stays_zero_as_bytes() -> None:
    packed, room = packed_matrix(np.ones((16, 16), np.float32), "int8"), np.zeros(ready_bytes(16), np.uint8)
    y = np.zeros((1, 16), np.float32)
    product(packed, 16, 16, 0, 1, np.zeros((1, 16), np.float32), y, room)
    assert not y.any()


@pytest.mark.parametrize("weight", [np.inf, 3e38, -3e38, 1e-40, -0.0, 1.00390625, 1.01171875])
def test_bfloat16_is_rounded_as_torch_rounds_it(weight: float) -> None:
    matrix = np.full((16, 16), weight, np.float32)
    expected = torch.tensor(matrix).bfloat16().view(torch.uint16).numpy()
    np.testing.assert_array_equal(packed_matrix(matrix, "bfloat16"), expected.ravel())


def dot_function(byte_products: bool) -> Callable[..., None]:
    @intrinsic
    def dot(typing, total, x, weights):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            kind = ir.VectorType(ir.IntType(32), 16)
            places = [builder.inttoptr(argument, kind.as_pointer()) for argument in arguments]
            loaded = [builder.load(place, align=4) for place in places]
            builder.store(emit_dot(builder, *loaded, byte_products), places[0], align=4)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    @njit
    def run(total, x, weights):  # type: ignore[no-untyped-def]
        dot(address(total, 0), address(x, 0), address(weights, 0))

    return run


@pytest.mark.parametrize(
    "byte_products",
    [False, pytest.param(True, marks=pytest.mark.skipif(not HAS_BYTE_PRODUCTS, reason="this processor has none"))],
)
def test_the_product_of_bytes_is_exact_with_and_without_the_instruction(byte_products: bool) -> None:
    run = dot_function(byte_products)
    generator = np.random.default_rng(0)
    for case in range(50):
        x = generator.integers(0, 256, (16, 4)).astype(np.uint8)
        weights = generator.integers(-128, 128, (16, 4)).astype(np.int8)
        if case == 0:
            x[:], weights[:] = 255, -128
        total = generator.integers(-(2**20), 2**20, 16).astype(np.int32)
        expected = total + (x.astype(np.int64) * weights).sum(axis=1)
        run(total, x.ravel(), weights.ravel())
        np.testing.assert_array_equal(total, expected)


def compiled_pick(logits: Floats, uniform: float, settings: SamplingSettings) -> int:
    row = np.zeros(-(-len(logits) // 16) * 16, np.float32)
    row[: len(logits)] = logits
    _, scale, top_k, top_p, least, *_ = settings.numbers
    space = np.empty(len(logits), np.int64)
    return int(pick_code(row, np.float32(uniform), np.float32(scale), top_k, top_p, least, space))


def compiled_weights(logits: Floats, scale: float) -> NDArray[np.int64]:
    weights = np.empty(len(logits), np.int64)
    set_weights(logits, np.float32(scale), weights)
    return weights


@pytest.mark.parametrize("temperature", [1e-9, 0.01, 0.7, 1.0, 3.0, 1e300])
def test_weights_equal_the_reference_to_the_bit(temperature: float) -> None:
    generator = np.random.default_rng(0)
    for spread in (1e-6, 0.3, 5.0, 1e4):
        logits = generator.normal(scale=spread, size=1_000).astype(np.float32)
        logits[[3, 900]] = -np.inf, -0.0
        scale = pick_scale(temperature)
        expected = integer_weights(torch.from_numpy(logits), scale).numpy()
        np.testing.assert_array_equal(compiled_weights(logits, scale), expected)
        assert expected.max() == UNIT


def reference_pick(logits: Floats, uniform: float, settings: SamplingSettings) -> int:
    return int(pick(torch.tensor(logits[None], dtype=torch.float32), torch.tensor([uniform]), settings))


# Few distinct values, so that ties are common, and both zeros.
LOGITS = st.lists(st.sampled_from([-1e30, -3.0, -1.0, -0.0, 0.0, 0.5, 2.0]), min_size=2, max_size=40)


@settings(deadline=None)
@given(
    LOGITS,
    st.integers(0, 2**24 - 1),
    st.sampled_from([0.0, 0.01, 0.6, 1.0, 3.0]),
    st.integers(0, 45),
    st.sampled_from([1e-9, 0.3, 0.5, 0.77, 0.999, 1.0]),
    st.sampled_from([0.0, 1e-9, 0.1, 0.4, 1.0]),
)
def test_pick_follows_the_definition_among_ties(
    logits: list[float], bits: int, heat: float, top_k: int, top_p: float, min_p: float
) -> None:
    how = SamplingSettings(temperature=heat, top_k=top_k, top_p=top_p, min_p=min_p)
    numbers = np.array(logits, np.float32)
    assert compiled_pick(numbers, bits * 2.0**-24, how) == reference_pick(numbers, bits * 2.0**-24, how)


@pytest.mark.parametrize(("top_p", "last"), [(0.25, 0), (0.2500001, 1), (0.5, 1), (0.5000001, 2), (0.75, 2)])
def test_top_p_keeps_no_code_more_once_it_is_reached(top_p: float, last: int) -> None:
    assert compiled_pick(np.zeros(4, np.float32), 1 - 2.0**-24, SamplingSettings(top_p=top_p)) == last


@pytest.mark.parametrize("codes", [2, 256, 1024])
@pytest.mark.parametrize(
    "how",
    [
        SamplingSettings(temperature=0),
        SamplingSettings(temperature=1.3),
        SamplingSettings(top_k=20),
        SamplingSettings(temperature=0.5, top_p=0.9),
        SamplingSettings(top_k=100, top_p=0.7),
        SamplingSettings(min_p=0.03),
        SamplingSettings(temperature=1.4, top_k=30, top_p=0.8, min_p=0.2),
    ],
    ids=str,
)
def test_pick_follows_the_definition_on_lively_logits(codes: int, how: SamplingSettings) -> None:
    generator = np.random.default_rng(codes)
    for logits in generator.normal(scale=3, size=(60, codes)).astype(np.float32):
        uniform = float(generator.integers(2**24)) * 2.0**-24
        assert compiled_pick(logits, uniform, how) == reference_pick(logits, uniform, how)


def test_a_code_of_no_probability_is_never_picked() -> None:
    logits = np.array([-1e30, 0.0, -1e30], np.float32)
    for uniform in (0.0, 0.5, 1 - 2.0**-24):
        assert compiled_pick(logits, uniform, SamplingSettings()) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_logits_still_pick_a_code(bad: float) -> None:
    for how in (SamplingSettings(temperature=0), SamplingSettings(), SamplingSettings(top_k=2, top_p=0.5, min_p=0.1)):
        assert 0 <= compiled_pick(np.full(5, bad, np.float32), 0.5, how) < 5
