"""Training DeepLab: images, model and loss as a task of the training loop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segmentation.checkpoints.pretrained import KIND
from segmentation.checkpoints.segmenter import ClassTable
from segmentation.config import SMALLEST_CROP, SegmentationConfig
from segmentation.datasets.batches import TrainingCrops, ValidationImages, loaded
from segmentation.datasets.dataset import FileNote, SegmentationDataset, evenly_spread
from segmentation.datasets.overlays import overlay, overlay_palette
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD, Augmentation, CropNormaliser
from segmentation.evaluation.metrics import ConfusionMatrix, SegmentationScores
from segmentation.network.deeplab import DeepLab
from segmentation.network.norm import StatisticsWarmUp
from segmentation.prediction.inference import Labeller
from segmentation.training.loss import cross_entropy, pixel_weight
from segmentation.training.randomness import Seeded, own_randomness
from wavenet_app.core.cores import usable_cores
from wavenet_app.core.device import bfloat16_is_faster
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_json
from wavenet_app.core.loop.plan import FitPlan, FitStatus, Media, Watcher
from wavenet_app.core.loop.process_group import StartRanks, process_group
from wavenet_app.core.loop.schedules import learning_rate_share
from wavenet_app.core.loop.start import no_trace_without_checkpoint
from wavenet_app.core.loop.task import BatchSize, Task
from wavenet_app.core.run_lock import run_lock
from wavenet_app.core.runs import refuse_existing
from wavenet_app.core.version import software

_MOST_WORKERS = 8
_PICTURES = 3  # of the validation images, in TensorBoard
_PICTURE_SIDE = 384  # pixels, at most
_ADAMW_SECOND = 0.999  # decay of the mean square of the gradients


@dataclass(frozen=True)
class SegmentationResult:
    """The result of a run.

    Attributes:
        checkpoint: the best checkpoint; the last one if no validation could be scored.
        status: the loop's final status; its `best` is the mean IoU of that checkpoint.
        scores: of the last validation.
        validated: images of each validation.
    """

    checkpoint: Path
    status: FitStatus
    scores: SegmentationScores | None
    validated: int


class SegmentationTask(Task):
    """Class ids for the pixels of random crops; scored by the mean IoU over whole validation images.

    Args:
        config: the run's settings, with all that `recipe` decides filled in.
        model: the model to train, with as many classes as the data set.
        training: images to train on.
        validation: images to validate on.
        device: "cpu", "cuda" or "mps", where the loop runs.
        class_weights: of the loss, shape (num_classes,); None for equal weights.

    Attributes:
        broken: image -> note, for those that turned out to be broken in this process and are skipped.
    """

    kind = KIND
    loss_measure = "cross-entropy"
    score_measure = "mIoU"
    higher_is_better = True

    def __init__(
        self,
        config: SegmentationConfig,
        model: DeepLab,
        training: SegmentationDataset,
        validation: SegmentationDataset,
        device: str,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        self.config, self.training, self.validation, self.device = config, training, validation, device
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)
        self.model: DeepLab = model
        self.statistics = StatisticsWarmUp(model)
        self._normaliser = CropNormaliser(IMAGENET_MEAN, IMAGENET_STD)
        self.scores: SegmentationScores | None = None
        self.broken: dict[Path, FileNote] = {}

    def training_batches(self, start_step: int, rank: int, world_size: int) -> Iterable[Any]:
        """Returns (number of the batch, batch of `TrainingCrops`) without end; every rank has its own crops."""
        settings = self.config.training
        if self.class_weights is not None:  # each rank has a device of its own
            self.class_weights = self.class_weights.to(self.device)
        assert settings.crop_size is not None
        assert settings.scale_range is not None
        crops = TrainingCrops(
            self.training,
            Augmentation(
                crop_size=settings.crop_size,
                scales=(self.image_scale * settings.scale_range[0], self.image_scale * settings.scale_range[1]),
                flip=settings.flip,
                photometric=settings.photometric,
            ),
            batch_size=settings.batch_size,
            seed=settings.seed,
            start_step=start_step * world_size + rank,
            stride=world_size,
        )
        numbers = itertools.count(start_step * world_size + rank, world_size)
        batches = loaded(crops, num_workers=self.workers, pin_memory=self.device == "cuda", on_broken=self._skip)
        return zip(numbers, batches, strict=False)

    def _skip(self, note: FileNote) -> None:
        self.broken.setdefault(note.path, note)

    @property
    def image_scale(self) -> float:
        """The share of their size at which the model sees images."""
        return self.config.data.image_scale or 1.0

    @property
    def workers(self) -> int:
        """Processes that read and crop images."""
        if self.config.training.workers is not None:
            return self.config.training.workers
        return 0 if self.device == "cpu" else min(_MOST_WORKERS, usable_cores())

    def validation_batches(self) -> Iterable[Any]:
        """Returns whole images, as `ValidationImages` gives them."""
        images = ValidationImages(self.validation, limit=self.config.training.validation_images)
        return loaded(images, num_workers=0, pin_memory=self.device == "cuda", on_broken=self._skip)

    def optimizer(self) -> torch.optim.Optimizer:
        """Returns gradient descent with momentum, or AdamW, the heads at `head_factor` times the backbone's rate."""
        settings = self.config.training
        assert settings.learning_rate is not None
        assert settings.head_factor is not None
        assert settings.weight_decay is not None
        backbone, heads = self.model.parameter_groups()
        groups = [
            {"params": [parameter for parameter in backbone if parameter.requires_grad], "lr": settings.learning_rate},
            {"params": heads, "lr": settings.learning_rate * settings.head_factor},
        ]
        # one kernel for many parameters, which takes its rate from the device and so fits into a CUDA graph
        way: dict[str, bool] = {"fused": True} if self.device == "cuda" else {}
        if settings.optimizer == "adamw":
            betas = (settings.momentum, _ADAMW_SECOND)
            return torch.optim.AdamW(
                groups, betas=betas, weight_decay=settings.weight_decay, **(way or {"foreach": True})
            )
        return torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay, **way)

    def learning_rate_share(self, step: int, progress: float) -> float:
        """Returns linear warm-up times the schedule to the power `poly_power`."""
        settings = self.config.training
        return learning_rate_share(
            settings.schedule, step, progress, warmup_steps=settings.warmup_steps, power=settings.poly_power
        )

    def loss(self, batch: Any) -> Tensor:
        """Returns the cross-entropy of a batch, with the auxiliary head's share."""
        self.begin_step()
        with self.randomness(batch):
            return self.device_loss(batch)

    def begin_step(self) -> Hashable:
        """Sets and returns the share that this step's batch takes in batch norm's statistics; it falls at first."""
        self.statistics.before_batch()
        return self.statistics.shares

    def randomness(self, batch: Any) -> Seeded:
        """Returns a context in which dropout is a function of the batch's number."""
        return own_randomness(self.config.training.seed, batch[0], self.device)

    def device_loss(self, batch: Any) -> Tensor:
        """Returns the loss by operations of the device alone; see `loss`."""
        _, crops = batch
        mask = crops["mask"].long()
        results = self.model(self._normaliser(crops["image"], crops["inside"]))
        loss = cross_entropy(results["out"], mask, self.class_weights)
        if "aux" in results:
            auxiliary = cross_entropy(results["aux"], mask, self.class_weights)
            loss = loss + self.config.training.auxiliary_weight * auxiliary
        return loss

    def batch_size(self) -> BatchSize:
        """Returns the crops of a batch in words, and how to have fewer or smaller ones."""
        size, crop = self.config.training.batch_size, self.config.training.crop_size
        assert crop is not None
        height, width = (max(SMALLEST_CROP, side // 2) for side in crop)
        fewer = f"--set training.batch_size={size // 2}" if size > 1 else f"--set training.crop_size=[{height},{width}]"
        return BatchSize(f"{size} crop{'s' * (size > 1)} of {crop[0]} x {crop[1]}", fewer, len(self.training))

    def weight(self, batch: Any) -> Tensor:
        """Returns the number of pixels of a batch that count, each times its class weight, shape ()."""
        return pixel_weight(batch[1]["mask"].long(), self.class_weights)

    def tally(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns the confusion matrix of an image, shape (num_classes, num_classes)."""
        matrix = ConfusionMatrix(self.validation.classes)
        matrix.update(self.labeller(model).label(batch["image"]), batch["mask"])
        return matrix.counts()

    def score(self, tally: Tensor) -> float:
        """Returns the mean IoU of a confusion matrix."""
        self.scores = SegmentationScores(tally.long().numpy(), self.validation.classes)
        return self.scores.mean_iou

    def labeller(self, model: nn.Module) -> Labeller:
        """Returns the labeller of whole images for a model of this task."""
        assert isinstance(model, DeepLab)
        return Labeller(model, IMAGENET_MEAN, IMAGENET_STD, image_scale=self.image_scale, pad_to=self.config.pad_to)

    def work(self, batch: Any) -> float:
        """Returns the number of crops in a batch."""
        return len(batch[1]["mask"])

    def content(self) -> dict[str, Any]:
        """Returns all that using the model needs, as plain values: config, classes, palette, ids and normalisation."""
        return {
            "config": self.config.model_dump(mode="json"),
            **ClassTable.of_dataset(self.training).to_plain(),
            "normalisation": {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
            "output_stride": self.config.model.output_stride,
            "class_weights": None if self.class_weights is None else self.class_weights.tolist(),
            "data": {
                "name": self.training.name,
                "format": self.training.format,
                "training_images": len(self.training),
                "validation_images": len(self.validation),
            },
        }


def fit_precision(precision: str, device: str) -> str:
    """Returns Lightning's name of a precision: bfloat16 by autocast for "auto" on GPUs that have it.

    On a CPU with AVX-512's bfloat16 it made the default preset no faster (benchmarks/segmentation_precision.py).

    Args:
        precision: "auto", "float32" or "bfloat16".
        device: "cpu", "cuda" or "mps".
    """
    half = device == "cuda" and bfloat16_is_faster(device) if precision == "auto" else precision == "bfloat16"
    return "bf16-mixed" if half else "32-true"


def train(
    task: SegmentationTask,
    plan: FitPlan,
    *,
    on_step: Callable[[FitStatus], None],
    on_validation: Callable[[FitStatus], None],
    on_broken: Callable[[FileNote], None] = lambda _note: None,
    on_note: Callable[[str], None] = lambda _note: None,
    resume: dict[str, Any] | None = None,
    start_ranks: StartRanks = process_group,
) -> SegmentationResult:
    """Trains until the budget is spent or a signal asks to stop.

    Args:
        task: the model and its data.
        plan: how long and where to; its run folder also gets config.json.
        on_step: called after every step.
        on_validation: called after every validation.
        on_broken: called with a note on each image that cannot be used and is skipped.
        on_note: called with a line for the user.
        resume: content of a last.pth to resume.
        start_ranks: starts the other ranks; by default as processes of this one.

    Raises:
        UserError: another process trains this run, the training diverged, or a checkpoint cannot be written.
    """
    from wavenet_app.core.loop.loop import fit  # imports Lightning, which other users of this task do not need

    shown: set[Path] = set()

    def after_step(status: FitStatus) -> None:
        for path in task.broken.keys() - shown:
            shown.add(path)
            on_broken(task.broken[path])
        on_step(status)

    def after_validation(status: FitStatus, model: nn.Module, media: Sequence[Media]) -> None:
        on_validation(status)
        for number, picture in enumerate(pictures(task, model) if media else ()):
            for one in media:
                one.add_picture(f"validation {number}", picture, status.step)

    with run_lock(plan.run_dir), no_trace_without_checkpoint(plan):
        if resume is None:
            refuse_existing(plan.run_dir.name, plan.run_dir.parent)
        write_json(plan.run_dir / "config.json", {**task.config.model_dump(mode="json"), "software": software()})
        watcher = Watcher(after_step, after_validation, on_note)
        status = fit(task, plan, watcher=watcher, resume=resume, start_ranks=start_ranks)
    best = plan.run_dir / "best.pth"
    return SegmentationResult(
        checkpoint=best if math.isfinite(status.best) else plan.run_dir / "last.pth",
        status=status,
        scores=task.scores,
        validated=min(len(task.validation), task.config.training.validation_images),
    )


def pictures(task: SegmentationTask, model: nn.Module) -> list[NDArray[np.uint8]]:
    """Returns a few validation images, each beside overlays of its mask and the model's; (height, 3 x width, 3)."""
    labeller = task.labeller(model)
    palette = overlay_palette(task.validation.palette, task.validation.classes)
    made = []
    for index in evenly_spread(len(task.validation), _PICTURES):
        try:
            sample = task.validation[index]
        except UserError:
            continue  # the validation names it
        predicted = labeller.label(sample.image.as_subclass(Tensor)).numpy()
        step = -(-max(predicted.shape) // _PICTURE_SIDE)
        image = np.ascontiguousarray(sample.image.numpy().transpose(1, 2, 0))[::step, ::step]
        masks = (sample.mask.numpy(), predicted)
        laid_over = (overlay(image, mask[::step, ::step], palette) for mask in masks)
        made.append(np.concatenate([image, *laid_over], axis=1))
    return made
