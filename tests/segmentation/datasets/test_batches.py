"""Crops depend only on seed and step, fit their masks, and leave global random generators alone."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms import v2

from segmentation.datasets.batches import TrainingCrops, ValidationImages, loaded
from segmentation.datasets.dataset import SegmentationDataset
from segmentation.datasets.formats.shapes import ShapesDataset
from segmentation.datasets.labels import IGNORE, LabelMap, voc_palette
from segmentation.datasets.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    CropNormaliser,
    RandomScaledCrop,
    TrainingTransform,
    normalise,
    scaled_image,
)
from wavenet_app.core.errors import UserError

SMALL = Augmentation(crop_size=(24, 32))
PLAIN = Augmentation(crop_size=(8, 8), scales=(1.0, 1.0), flip=0.0, photometric=0.0)


class Telltale(SegmentationDataset):
    """Images whose every pixel says which image it is; the mask holds the same number."""

    def __init__(self, count: int, broken: int | None = None) -> None:
        paths = [Path(f"{number}") for number in range(count)]
        super().__init__(
            name="telltale",
            format="test",
            split="train",
            classes=[str(number) for number in range(count)],
            palette=voc_palette(count),
            labels=LabelMap.identity(count),
            images=paths,
            masks=paths,
        )
        self.broken = broken

    def image(self, index: int) -> np.ndarray:
        return np.full((10, 12, 3), index, dtype=np.uint8)

    def mask(self, index: int) -> np.ndarray:
        if index == self.broken:
            raise UserError(f"the mask {index} is broken: no, really")
        return np.full((10, 12), index, dtype=np.uint8)


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@given(count=st.integers(1, 9), batch_size=st.integers(1, 5), start=st.integers(0, 30), seed=st.integers(0, 2**40))
@settings(max_examples=25, deadline=None)
def test_starting_at_a_step_equals_running_through(count, batch_size, start, seed):
    dataset = Telltale(count)
    through = TrainingCrops(dataset, PLAIN, batch_size=batch_size, seed=seed)
    resumed = TrainingCrops(dataset, PLAIN, batch_size=batch_size, seed=seed, start_step=start)
    expected = list(islice(through, start, start + 3))
    assert all(equal(one, other) for one, other in zip(expected, islice(resumed, 3), strict=True))


@given(count=st.integers(1, 9), batch_size=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_every_image_comes_up_once_a_pass_and_every_batch_is_full(count, batch_size, seed):
    crops = TrainingCrops(Telltale(count), PLAIN, batch_size=batch_size, seed=seed)
    seen = []
    for batch in islice(crops, 3 * count):
        assert batch["image"].shape == (batch_size, 3, 8, 8)
        assert batch["mask"].shape == (batch_size, 8, 8)
        assert batch["image"].dtype == batch["mask"].dtype == torch.uint8
        assert batch["inside"].shape == (batch_size, 4)
        seen += [int(mask.max()) for mask in batch["mask"]]
    for first in range(0, len(seen), count):
        assert len(set(seen[first : first + count])) == len(seen[first : first + count])


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_batches_are_the_same_for_any_number_of_workers(workers):
    crops = TrainingCrops(ShapesDataset("train", count=5, size=32), SMALL, batch_size=2, seed=3, start_step=4)
    made = islice(loaded(crops, num_workers=workers), 5)
    assert all(equal(one, other) for one, other in zip(made, islice(crops, 5), strict=True))


def test_seed_and_step_change_the_crops():
    dataset = ShapesDataset("train", count=1, size=32)
    batches = [TrainingCrops(dataset, SMALL, batch_size=1, seed=seed).batch(step) for seed in (0, 1) for step in (0, 1)]
    assert not any(equal(one, other) for number, one in enumerate(batches) for other in batches[:number])


def test_no_random_number_of_the_caller_is_used_or_changed():
    dataset = ShapesDataset("train", count=3, size=32)
    torch.manual_seed(1)
    first = TrainingCrops(dataset, SMALL, batch_size=2, seed=0).batch(0)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert equal(TrainingCrops(dataset, SMALL, batch_size=2, seed=0).batch(0), first)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**63),
)
@example(size=(2, 1), crop=(1, 1), seed=127)
@settings(max_examples=60, deadline=None)
def test_any_image_becomes_a_crop_that_fits_its_mask(size, crop, seed):
    """Left and right halves of image and mask agree wherever a crop, scale or flip has put them."""
    mask = np.zeros(size, dtype=np.uint8)
    mask[:, size[1] // 2 :] = 1
    image = np.repeat(mask[None] * 255, 3, axis=0)
    transform = TrainingTransform(Augmentation(crop_size=crop, photometric=0.0))
    made = transform(tv_tensors.Image(torch.from_numpy(image)), tv_tensors.Mask(torch.from_numpy(mask)), seed)
    classes = made.mask
    cut = CropNormaliser((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))(made.image[None], made.inside[None])[0]
    assert cut.shape == (3, *crop)
    assert classes.shape == crop
    assert set(classes.unique().tolist()) <= {0, 1, IGNORE}
    assert (cut[:, classes == IGNORE] == 0).all(), "padding is the mean colour"
    brightness = cut[0]
    # Smoothing blurs the border between the halves; nothing may be bright on the wrong side of it.
    assert (brightness[classes == 1] > -0.3).all()
    assert (brightness[classes == 0] < 0.3).all()


def normalised_before_padding(augmentation: Augmentation, image, mask, seed: int):
    """The crop as torchvision's own transforms make it in floats, the reference of the bytes normalised afterwards."""
    strength = augmentation.photometric
    transform = v2.Compose(
        [
            RandomScaledCrop(augmentation.crop_size, augmentation.scales),
            v2.RandomHorizontalFlip(augmentation.flip),
            v2.ColorJitter(strength, strength, strength),
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True),
            v2.Normalize(list(IMAGENET_MEAN), list(IMAGENET_STD)),
            v2.RandomCrop(
                augmentation.crop_size, pad_if_needed=True, fill={tv_tensors.Image: 0.0, tv_tensors.Mask: IGNORE}
            ),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return transform(image, mask)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 41), st.integers(1, 41)), min_size=1, max_size=3),
    crop=st.tuples(st.integers(1, 37), st.integers(1, 37)),
    seed=st.integers(0, 2**63),
)
@example(sizes=[(1, 41), (40, 3)], crop=(37, 1), seed=5)
@settings(max_examples=60, deadline=None)
def test_bytes_normalised_as_a_batch_equal_floats_normalised_one_by_one(sizes, crop, seed):
    augmentation = Augmentation(crop_size=crop)
    transform = TrainingTransform(augmentation)
    crops, images, masks = [], [], []
    for row, (height, width) in enumerate(sizes):
        generator = torch.Generator().manual_seed(row)
        image = tv_tensors.Image(torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator))
        mask = tv_tensors.Mask(torch.randint(0, 256, (height, width), dtype=torch.uint8, generator=generator))
        crops.append(transform(image, mask, seed))
        expected = normalised_before_padding(augmentation, image, mask, seed)
        images.append(expected[0].as_subclass(torch.Tensor))
        masks.append(expected[1].as_subclass(torch.Tensor))
    pixels, classes, inside = (torch.stack(values) for values in zip(*crops, strict=True))
    seen = CropNormaliser(IMAGENET_MEAN, IMAGENET_STD)(pixels, inside)
    assert torch.equal(seen, torch.stack(images))
    assert torch.equal(classes.long(), torch.stack(masks))
    assert seen.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(2, 1), (2, 2), (4, 2)])
def test_an_image_can_be_scaled_to_a_single_pixel(size):
    image = torch.full((3, *size), 200, dtype=torch.uint8)
    assert scaled_image(image, [1, 1]).tolist() == [[[200]]] * 3


def test_the_scale_runs_from_a_half_to_twice():
    """A square of 16 pixels in an image of 64 is cut to between 8 and 32, and both ends come up."""
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[24:40, 24:40] = 1
    image = tv_tensors.Image(torch.zeros(3, 64, 64, dtype=torch.uint8))
    transform = TrainingTransform(Augmentation(crop_size=(128, 128), photometric=0.0))
    areas = [
        int((transform(image, tv_tensors.Mask(torch.from_numpy(mask)), seed).mask == 1).sum()) for seed in range(80)
    ]
    sides = np.sqrt(areas)
    assert 7 <= sides.min() < 10
    assert 28 < sides.max() <= 33


def test_validation_gives_whole_images():
    dataset = ShapesDataset("val", count=7, size=20)
    images = ValidationImages(dataset)
    assert len(images) == 7
    item = images[2]
    assert item["image"].permute(1, 2, 0).tolist() == dataset.image(2).tolist()
    assert item["mask"].tolist() == dataset.mask(2).tolist()
    limited = ValidationImages(dataset, limit=3)
    assert [int(limited[place]["index"]) for place in range(3)] == [1, 3, 5]
    assert len(list(loaded(limited, num_workers=0))) == 3


def test_normalised_images_go_back_to_what_they_were():
    image = ShapesDataset("val", count=1, size=20)[0].image
    normalised = normalise(image, IMAGENET_MEAN, IMAGENET_STD).permute(1, 2, 0)
    back = normalised * torch.tensor(IMAGENET_STD) + torch.tensor(IMAGENET_MEAN)
    np.testing.assert_allclose(back.numpy() * 255, image.permute(1, 2, 0).numpy(), atol=1e-3)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_one_line_even_from_a_worker(workers):
    crops = TrainingCrops(Telltale(4, broken=2), PLAIN, batch_size=4, seed=0)
    with pytest.raises(UserError) as error:
        list(islice(loaded(crops, num_workers=workers), 2))
    assert str(error.value) == "the mask 2 is broken: no, really"
