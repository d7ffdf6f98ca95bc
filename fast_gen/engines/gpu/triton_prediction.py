"""Linear prediction on a GPU: the solution of the predictors as a kernel, and the steps between; imports triton.

See `fast_gen.engines.gpu.prediction.DevicePredictor` for the state and for the turns that both take.
"""

# mypy: ignore-errors
# Types are Triton's here: it infers them from the call. Constants of float64 are loaded, as an argument of a function
# would be a float32.

import triton
import triton.language as tl


@triton.jit
def solve_predictors(
    recent,
    decoded,
    window,
    constants,
    past,
    coefficients,
    lags,
    KERNEL_SIZE: tl.constexpr,
    LOWEST: tl.constexpr,
    FRAME: tl.constexpr,
    HOP: tl.constexpr,
    ORDER: tl.constexpr,
    LAGS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Takes in the newest code of a row, moves its past down, and solves its predictor; a program for each row.

    Args:
        recent: as in `Rings`.
        decoded: this and the next: the tensors of `DevicePredictor`.
        KERNEL_SIZE: codes of a row of `recent`.
        LOWEST: the least code.
        FRAME: samples that the predictor is solved from.
        HOP: samples between solutions.
        ORDER: coefficients.
        LAGS: a power of two, of at least ORDER.
        BLOCK: samples that are read at a time, a power of two.
    """
    row = tl.program_id(0).to(tl.int64)
    own = past + row * (FRAME + HOP)
    newest = tl.load(recent + row * KERNEL_SIZE + KERNEL_SIZE - 1)
    tl.store(own + FRAME + HOP - 1, tl.load(decoded + newest - LOWEST))
    tl.debug_barrier()  # the newest sample is written before any thread moves it
    place = tl.arange(0, BLOCK)
    for first in range(0, FRAME, BLOCK):
        samples = tl.load(own + HOP + first + place, mask=first + place < FRAME, other=0.0)
        tl.debug_barrier()  # a block is read before it is written over; later blocks lie behind what it writes
        tl.store(own + first + place, samples, mask=first + place < FRAME)
    tl.debug_barrier()
    own_lags = lags + row * (ORDER + 1)
    for lag in range(ORDER + 1):
        total = tl.zeros([BLOCK], tl.float64)
        for first in range(0, FRAME, BLOCK):
            there = first + place
            known = (there < FRAME) & (there >= lag)
            newer = tl.load(own + there, mask=known, other=0.0) * tl.load(window + there, mask=known, other=0.0)
            older = tl.load(own + there - lag, mask=known, other=0.0)
            total += newer * (older * tl.load(window + there - lag, mask=known, other=0.0))
        tl.store(own_lags + lag, tl.sum(total, axis=0))
    tl.debug_barrier()
    found = coefficients + row * ORDER
    back = tl.arange(0, LAGS)
    solved = tl.zeros([LAGS], tl.float64)
    error = tl.load(own_lags) * tl.load(constants + 1)
    least = tl.load(constants + 2)
    error = tl.where(error < least, least, error)
    for step in range(ORDER):
        earlier = back < step
        total = tl.sum(solved * tl.load(own_lags + step - back, mask=earlier, other=0.0), axis=0)
        reflection = (tl.load(own_lags + step + 1) - total) / error
        tl.store(found + back, solved, mask=earlier)
        tl.debug_barrier()  # written before they are read backwards
        mirrored = tl.load(found + step - 1 - back, mask=earlier, other=0.0)
        tl.debug_barrier()  # and read before they are written again
        solved = tl.where(back == step, reflection, solved - reflection * mirrored)
        error = error * (1 - reflection * reflection)
    tl.store(found + back, solved, mask=back < ORDER)


@triton.jit
def predict(past, rows, value, place, solved, WIDTH: tl.constexpr, ORDER: tl.constexpr, LAGS: tl.constexpr):
    """Takes in a sample of each row and returns the prediction of the next, float64 (rows,).

    Args:
        past: as in `DevicePredictor`.
        rows: int32 (rows,), which of them.
        value: float64 (rows,), the samples. They are written, and read from there at later samples only.
        place: of these samples in `past`.
        solved: float64 (rows, LAGS), coefficients; zeros beyond ORDER.
        WIDTH: of `past`.
        ORDER: coefficients.
        LAGS: a power of two, of at least ORDER.
    """
    back = tl.arange(0, LAGS)[None, :]
    own = past + rows.to(tl.int64) * WIDTH + place
    older = tl.load(own[:, None] - back, mask=(back > 0) & (back < ORDER), other=0.0)
    tl.store(own, value)
    return tl.sum(solved * tl.where(back == 0, value[:, None], older), axis=1)


@triton.jit
def row_of(limits, values, COUNT: tl.constexpr):
    """Returns how many of COUNT rising limits, float64, each value (rows,) reaches, int32."""
    reached = tl.load(limits + tl.arange(0, COUNT))[None, :] <= values[:, None]
    return tl.sum(reached.to(tl.int32), axis=1)
