"""What the first layer takes of the newest codes on a GPU; imports triton."""

# mypy: ignore-errors
# Types are Triton's here: it infers them from the call.

import triton
import triton.language as tl


@triton.jit
def code_front(tables, oldest, middle, newest, CODES: tl.constexpr, KERNEL_SIZE: tl.constexpr, R: tl.constexpr):
    """Returns float32 (rows, R): a row of a table for each of the newest codes, added up.

    Args:
        tables: as in `PackedModel`.
        oldest: int32 (rows,), the first of the KERNEL_SIZE newest codes.
        middle: the second, read if there are three.
        newest: the last.
        CODES: quantization_channels.
        KERNEL_SIZE: 2 or 3.
        R: padded width of the residual stream.
    """
    channel = tl.arange(0, R)[None, :]
    hidden = tl.load(tables + oldest[:, None] * R + channel)
    if KERNEL_SIZE == 3:
        hidden += tl.load(tables + (CODES + 1 + middle)[:, None] * R + channel)
    hidden += tl.load(tables + ((KERNEL_SIZE - 1) * (CODES + 1) + newest)[:, None] * R + channel)
    return hidden


@triton.jit
def sample_front(tables, oldest, middle, newest, KERNEL_SIZE: tl.constexpr, R: tl.constexpr):
    """Returns float32 (rows, R): each of the newest 16-bit samples times a row, and a bias, added up.

    Arguments are those of `code_front`.
    """
    channel = tl.arange(0, R)[None, :]
    hidden = tl.load(tables + (2 * KERNEL_SIZE - 1) * R + channel) + _scaled_row(tables, oldest, channel)
    if KERNEL_SIZE == 3:
        hidden += _scaled_row(tables + 2 * R, middle, channel)
    return hidden + _scaled_row(tables + (KERNEL_SIZE - 1) * 2 * R, newest, channel)


@triton.jit
def _scaled_row(row, samples, channel):
    return samples.to(tl.float32)[:, None] * tl.load(row + channel)
