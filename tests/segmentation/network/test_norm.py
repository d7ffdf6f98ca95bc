"""Batch norm over several ranks gives the numbers of one process with all their images."""

import functools
from pathlib import Path

import pytest
import torch
from tiny_segmentation import TINY_DEEPLAB

from segmentation.network.norm import BatchNorm, SynchronisedBatchNorm
from wavenet_app.core.loop.process_group import ProcessGroup, process_group

SHAPE = (2, 3, 4, 5)  # of each process's images


def images(rank: int) -> torch.Tensor:
    """Images whose mean and spread depend on the rank, in channels-last memory as in training."""
    drawn = torch.randn(SHAPE, generator=torch.Generator().manual_seed(rank)) * (1 + rank) + rank
    return drawn.to(memory_format=torch.channels_last).requires_grad_()


def stepped(norm: BatchNorm, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """The results of a training step, with a loss other than a plain sum, whose gradient would be zero."""
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    outputs = norm.train()(inputs)
    outputs.sin().sum().backward()
    return {
        "outputs": outputs.detach(),
        "inputs": inputs.grad,
        "weight": norm.weight.grad,
        "bias": norm.bias.grad,
        "mean": norm.running_mean,
        "variance": norm.running_var,
        "batches": norm.num_batches_tracked,
    }


def _step(folder: Path, group: ProcessGroup) -> None:
    torch.save(stepped(SynchronisedBatchNorm(3), images(group.rank)), folder / f"{group.rank}.pth")


def test_two_processes_normalise_as_one_does_both_their_images(tmp_path):
    with process_group(2, functools.partial(_step, tmp_path)) as group:
        _step(tmp_path, group)
    both = [torch.load(tmp_path / f"{rank}.pth", weights_only=True) for rank in range(2)]
    alone = stepped(BatchNorm(3), torch.cat([images(0), images(1)]).detach().requires_grad_())
    for name in ("outputs", "inputs"):
        torch.testing.assert_close(torch.cat([one[name] for one in both]), alone[name])
    for name in ("weight", "bias"):  # of the parameters each process has its own images' share
        torch.testing.assert_close(both[0][name] + both[1][name], alone[name])
    for name in ("mean", "variance", "batches"):
        for one in both:
            torch.testing.assert_close(one[name], alone[name])


def test_alone_it_is_batch_norm():
    ours, theirs = (stepped(kind(3), images(0)) for kind in (SynchronisedBatchNorm, BatchNorm))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_two_processes_train_with_it(wavegen):
    options = [*TINY_DEEPLAB, "--set=training.processes=2", "--set=model.norm=synchronised", "--logger=none"]
    code, out, err = wavegen("seg-train", "--max-steps", 2, *options)
    assert code == 0, err
    assert "mIoU" in out
