"""The whole time loop as one kernel: front, layers, output layers, pick and queues; imports triton.

One program takes a tile of rows through all samples of a chunk. Weights and queues are those of
`fast_gen.engines.gpu.packing`.

What lies in registers is ordered by Triton. Only the queues, and the two vectors that the output layers take apart, go
from some threads of a program to others through device memory, where Triton orders nothing; so barriers stand here:

- Slot t & mask of a layer is written at time t, and read at t + dilation or later. The two barriers among the output
  layers of each sample lie between. At time t itself no other slot of the layer is written, and the slot written is not
  read, as a ring is longer than the layer looks back; so the order of reading and writing within a sample is free, and
  a read may be moved ahead as far as those barriers.
- A sample of the linear predictors' past is written when it is consumed, and read as an older one at later samples,
  behind the barriers of the output layers too; as the newest it stays in registers.
- The vectors are written, barrier, read. That a vector is read before the next sample writes it again, the barrier
  of the other vector sees to.

Programs share nothing but what none of them writes.
"""

# mypy: ignore-errors
# Types are Triton's here: it infers them from the call.

import triton
import triton.language as tl

from fast_gen.engines.gpu.triton_front import code_front, sample_front
from fast_gen.engines.gpu.triton_pick_code import pick_codes
from fast_gen.engines.gpu.triton_pick_sample import from_newest, pick_samples
from fast_gen.engines.gpu.triton_prediction import predict, row_of
from fast_gen.engines.quiet import MOST_QUIET
from wavenet_app.heads import Rule
from wavenet_app.network.prediction import rows as prediction_rows

_MOST_QUIET = tl.constexpr(MOST_QUIET)
_CODE = tl.constexpr(int(Rule.CODE))
_VALUES = tl.constexpr(prediction_rows.VALUES)
_SIZES = tl.constexpr(prediction_rows.SIZES)
_INNOVATIONS = tl.constexpr(prediction_rows.INNOVATIONS)


@triton.jit
def _add_product(total, inputs, matrix):
    """Adds inputs (rows, in) @ matrix (in, out).

    The total of one row has the shape (in, out), and is still to be summed by `_summed`: summing up is what takes
    threads long, so products that share a sum are added before.
    """
    if inputs.shape[0] == 1:
        total += tl.trans(inputs).to(tl.float32) * matrix.to(tl.float32)
    else:
        # of float32 three products of parts on tensor cores, nearly as exact as one without, which spills registers
        total = tl.dot(inputs, matrix, total, input_precision="tf32x3")
    return total


@triton.jit
def _summed(total, ROWS: tl.constexpr):
    if ROWS == 1:
        total = tl.sum(total, axis=0)[None, :]
    return total


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _output_layer(vectors, matrix, bias, IN: tl.constexpr, OUT: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Returns vectors @ matrix + bias, (rows, OUT), of vectors that lie in device memory row by row.

    A vector is rounded to the type of the matrix.
    """
    row = tl.arange(0, ROWS)[:, None]
    channel = tl.arange(0, OUT)
    part = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK if ROWS == 1 else ROWS, OUT], tl.float32)
    for first in range(0, IN, BLOCK):
        inputs = tl.load(vectors + row * IN + (first + part)[None, :]).to(matrix.dtype.element_ty)
        total = _add_product(total, inputs, tl.load(matrix + (first + part)[:, None] * OUT + channel[None, :]))
    return _summed(total, ROWS) + tl.load(bias + channel)[None, :]


@triton.jit(
    do_not_specialize=["top_k", "top_p", "least", "quiet_samples", "since", "start_time", "steps", "batch"],
    # These begin at any sample of a chunk; for each other alignment the kernel would be compiled again.
    do_not_specialize_on_alignment=["codes", "uniforms", "condition_steps"],
)
def append_codes(
    tables,
    dilated,
    gate_biases,
    residuals,
    residual_biases,
    skips,
    skip_bias,
    output1,
    output1_bias,
    output2,
    output2_bias,
    dilations,
    ring_starts,
    ring_masks,
    prediction_values,
    prediction_sizes,
    prediction_innovations,
    slots,
    recent,
    quiet_runs,
    vectors,
    codes,
    logits,
    uniforms,
    temperature,
    scale,
    top_k,
    top_p,
    least,
    quiet_temperature,
    quiet_scale,
    quiet_samples,
    condition,
    condition_steps,
    decoded,
    constants,
    value_limits,
    size_limits,
    innovation_limits,
    past_samples,
    coefficients,
    predictions,
    sizes,
    since,
    start_time,
    steps,
    batch,
    layers,
    RULE: tl.constexpr,
    ONE_HOT: tl.constexpr,
    CODES: tl.constexpr,
    KERNEL_SIZE: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    S: tl.constexpr,
    Q: tl.constexpr,
    FIRST_MEAN: tl.constexpr,
    AFTER_MEANS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
    CONDITIONED: tl.constexpr,
    SCORE: tl.constexpr,
    GREEDY: tl.constexpr,
    SELECT: tl.constexpr,
    SILENCE: tl.constexpr,
    QUIET_REACH: tl.constexpr,
    PREDICTED: tl.constexpr,
    LOWEST: tl.constexpr,
    FRAME: tl.constexpr,
    HOP: tl.constexpr,
    ORDER: tl.constexpr,
    LAGS: tl.constexpr,
):
    """Appends `steps` codes to each row; a program for each ROWS of them.

    Args:
        tables: this and the next, up to prediction_innovations: the tensors of `PackedModel`.
        slots: as in `Rings`, and so are the next two.
        vectors: (2, batch, S), of the type of output2; written over.
        codes: (steps, batch) int16; known if SCORE, else written.
        logits: (steps, batch, Q) float32, the outputs, written if SCORE.
        uniforms: (steps, batch) float32, read unless SCORE.
        temperature: float32, as in `SamplingSettings`.
        scale: this and the next three: as in `pick_codes`.
        quiet_temperature: this and the next two: as in `PickNumbers`.
        condition: `PackedCondition.values`, read if CONDITIONED.
        condition_steps: (steps,) int32, which of them each sample takes.
        decoded: this and the next, up to since: those of `DevicePredictor`, used if PREDICTED.
        start_time: `Rings.time`.
        steps: number of samples.
        batch: rows, a multiple of ROWS.
        layers: their number.
        RULE: number of the `wavenet_app.heads.Rule` by which samples are picked.
        ONE_HOT: whether the front has a table row per code.
        CODES: quantization_channels.
        KERNEL_SIZE: 2 or 3.
        R: this and the next three: padded widths, as in `PackedModel`.
        FIRST_MEAN: as in `from_newest`, and so is AFTER_MEANS; equal where no output is a mean.
        ROWS: rows of a program: 1, or at least 16.
        BLOCK: inputs of an output layer that are multiplied at a time, a divisor of S.
        STAGES: layers whose weights are on their way at a time.
        CONDITIONED: whether there is a condition.
        SCORE: whether the codes are known.
        GREEDY: as in `pick_codes`, and so is SELECT.
        SILENCE: the code of silence.
        QUIET_REACH: what `fast_gen.engines.quiet.quiet_reach` returns.
        PREDICTED: whether linear prediction is an input; `steps` then end before the next solution.
        LOWEST: as in `solve_predictors`, and so are the next.
    """
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    residual, gate, half, skip, output = (
        tl.arange(0, R),
        tl.arange(0, 2 * D),
        tl.arange(0, D),
        tl.arange(0, S),
        tl.arange(0, Q),
    )
    kind = dilated.dtype.element_ty
    vectors1 = vectors + tl.program_id(0) * ROWS * S
    vectors2 = vectors1 + batch * S
    places = rows[:, None] * R + residual[None, :]
    oldest = tl.load(recent + rows * KERNEL_SIZE)
    middle = tl.load(recent + rows * KERNEL_SIZE + 1)
    newest = tl.load(recent + rows * KERNEL_SIZE + KERNEL_SIZE - 1)
    runs = tl.load(quiet_runs + rows)
    if PREDICTED:
        back = tl.arange(0, LAGS)[None, :]
        solved = tl.load(coefficients + rows[:, None] * ORDER + back, mask=back < ORDER, other=0.0)
        prediction, size = tl.load(predictions + rows), tl.load(sizes + rows)
    for step in range(steps):
        time = start_time + step
        if ONE_HOT:
            hidden = code_front(tables, oldest, middle, newest, CODES, KERNEL_SIZE, R)
        else:
            hidden = sample_front(tables, oldest, middle, newest, KERNEL_SIZE, R)
        if PREDICTED:
            value = tl.load(decoded + newest - LOWEST)
            error = value - prediction
            innovation = error / tl.maximum(size, tl.load(constants + 3))  # loaded here to save registers
            innovation_row = row_of(innovation_limits, innovation, _INNOVATIONS)[:, None]
            hidden += tl.load(prediction_innovations + innovation_row * R + residual[None, :])
            decay = tl.load(constants)
            size = decay * size + (1 - decay) * tl.abs(error)
            prediction = predict(past_samples, rows, value, FRAME + since + step, solved, FRAME + HOP, ORDER, LAGS)
            value_row = row_of(value_limits, prediction, _VALUES)[:, None]
            size_row = row_of(size_limits, size, _SIZES)[:, None]
            added = tl.load(prediction_values + value_row * R + residual[None, :])
            hidden += added + tl.load(prediction_sizes + size_row * R + residual[None, :])
        if CONDITIONED:
            condition_rows = (tl.load(condition_steps + step).to(tl.int64) * batch + rows)[:, None] * (layers * 2 * D)
        skip_total = tl.zeros([D if ROWS == 1 else ROWS, S], tl.float32)
        for layer in tl.range(0, layers, num_stages=STAGES):
            dilation, mask = tl.load(dilations + layer), tl.load(ring_masks + layer)
            ring = slots + tl.load(ring_starts + layer) * batch * R
            matrix = dilated + layer * (KERNEL_SIZE * R * 2 * D) + residual[:, None] * (2 * D) + gate[None, :]
            if CONDITIONED:  # read first and added last, so that no thread waits
                extra = tl.load(condition + condition_rows + layer * (2 * D) + gate[None, :])
            total = tl.zeros([R if ROWS == 1 else ROWS, 2 * D], tl.float32)
            for tap in tl.static_range(KERNEL_SIZE - 1):
                slot = (time - (KERNEL_SIZE - 1 - tap) * dilation) & mask
                past = tl.load(ring + slot.to(tl.int64) * batch * R + places)
                total = _add_product(total, past, tl.load(matrix + tap * (R * 2 * D)))
            inputs = hidden.to(kind)
            tl.store(ring + (time & mask).to(tl.int64) * batch * R + places, inputs)
            total = _add_product(total, inputs, tl.load(matrix + (KERNEL_SIZE - 1) * (R * 2 * D)))
            gates = _summed(total, ROWS) + tl.load(gate_biases + layer * (2 * D) + gate)[None, :]
            if CONDITIONED:
                gates += extra.to(tl.float32)
            filtered, opened = tl.split(tl.reshape(gates, [ROWS, D, 2]))
            activated = ((2 * _sigmoid(2 * filtered) - 1) * _sigmoid(opened)).to(kind)
            matrix = residuals + layer * (D * R) + half[:, None] * R + residual[None, :]
            total = _add_product(tl.zeros([D if ROWS == 1 else ROWS, R], tl.float32), activated, tl.load(matrix))
            hidden += _summed(total, ROWS) + tl.load(residual_biases + layer * R + residual)[None, :]
            matrix = skips + layer * (D * S) + half[:, None] * S + skip[None, :]
            skip_total = _add_product(skip_total, activated, tl.load(matrix))
        shown = tl.arange(0, ROWS)[:, None] * S + skip[None, :]
        skip_sum = _summed(skip_total, ROWS) + tl.load(skip_bias + skip)[None, :]
        tl.store(vectors1 + shown, tl.maximum(skip_sum, 0.0).to(vectors.dtype.element_ty))
        tl.debug_barrier()  # the skip sums and this sample's queue slots are written before any thread reads them
        outputs = _output_layer(vectors1, output1, output1_bias, S, S, ROWS, BLOCK)
        tl.store(vectors2 + shown, tl.maximum(outputs, 0.0).to(vectors.dtype.element_ty))
        tl.debug_barrier()  # these are written before they are read, and the skip sums read before the next are written
        found = _output_layer(vectors2, output2, output2_bias, S, Q, ROWS, BLOCK)
        if AFTER_MEANS > FIRST_MEAN:
            found = from_newest(found, newest, FIRST_MEAN, AFTER_MEANS)
        if SCORE:
            tl.store(logits + (step * batch + rows).to(tl.int64)[:, None] * Q + output[None, :], found)
            picked = tl.load(codes + step * batch + rows).to(tl.int32)
        else:
            numbers = tl.load(uniforms + step * batch + rows)
            scales = tl.where(runs >= quiet_samples, quiet_scale, scale)
            if RULE == _CODE:
                picked = pick_codes(found, numbers, scales, top_k, top_p, least, CODES, GREEDY, SELECT)
            else:
                widths = tl.where(runs >= quiet_samples, quiet_temperature, temperature)
                picked = pick_samples(found, numbers, widths, scales, RULE, FIRST_MEAN, AFTER_MEANS, GREEDY)
            tl.store(codes + step * batch + rows, picked.to(tl.int16))
        runs = tl.where(tl.abs(picked - SILENCE) <= QUIET_REACH, tl.minimum(runs + 1, _MOST_QUIET), 0)
        if KERNEL_SIZE == 3:
            oldest = middle
            middle = newest
        else:
            oldest = newest
        newest = picked
    if PREDICTED:
        tl.store(predictions + rows, prediction)
        tl.store(sizes + rows, size)
    tl.store(quiet_runs + rows, runs)
    tl.store(recent + rows * KERNEL_SIZE, oldest)
    if KERNEL_SIZE == 3:
        tl.store(recent + rows * KERNEL_SIZE + 1, middle)
    tl.store(recent + rows * KERNEL_SIZE + KERNEL_SIZE - 1, newest)
