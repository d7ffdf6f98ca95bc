"""Label maps: every raw id means itself or is ignored, and what is written back means the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation.datasets.formats.ade20k import (
    CLASSES,
    FULL_RELEASE_IDS,
    challenge_labels,
    full_labels,
    full_release_ids,
)
from segmentation.datasets.formats.cityscapes import cityscapes_labels
from segmentation.datasets.labels import (
    IGNORE,
    MOST_CLASSES,
    LabelMap,
    UnknownIds,
    distinct_palette,
    ids_of_colours,
    packed,
    unpacked,
    voc_palette,
)
from segmentation.datasets.overlays import IGNORE_COLOUR, IN_PLACE_OF_BLACK

MAPS = {
    "identity": LabelMap.identity(21),
    "cityscapes": cityscapes_labels(),
    "ade challenge": challenge_labels(),
    "ade full": full_labels(),
}


def known(labels: LabelMap) -> list[int]:
    return np.flatnonzero(labels.table >= 0).tolist()


@pytest.mark.parametrize("name", ["identity", "cityscapes", "ade challenge"])
def test_every_known_id_maps_to_itself_or_is_ignored(name):
    labels = MAPS[name]
    ids = np.array(known(labels))
    classes = labels.encode(ids)
    back = labels.decode(classes)
    assert ((back == ids) | (classes == IGNORE)).all()


@pytest.mark.parametrize("name", MAPS)
@given(data=st.data())
def test_what_is_written_back_means_the_same(name, data):
    labels = MAPS[name]
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    drawn = data.draw(
        st.lists(st.sampled_from(known(labels)), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    )
    raw = np.array(drawn).reshape(shape)
    classes = labels.encode(raw)
    assert classes.dtype == np.uint8
    assert ((classes < len(labels.raw_ids)) | (classes == IGNORE)).all()
    np.testing.assert_array_equal(labels.encode(labels.decode(classes)), classes)


@given(st.integers(-5, 400))
def test_unknown_ids_are_named(raw):
    labels = MAPS["identity"]
    if raw in [*range(21), IGNORE]:
        labels.encode(np.array([[0, raw]]))
    else:
        with pytest.raises(UnknownIds) as error:
            labels.encode(np.array([[0, raw]]))
        assert error.value.ids == (raw,)


def test_unknown_ids_inside_and_outside_of_the_table_are_named_together():
    labels = LabelMap.of({1: 0, 2: 1, 4: 2}, raw_ids=(1, 2, 4))
    with pytest.raises(UnknownIds) as error:
        labels.encode(np.array([[9, 0, 1], [3, -2, 4]]))
    assert error.value.ids == (-2, 0, 3, 9)


def test_the_last_byte_is_ignored_and_all_others_may_be_classes():
    assert LabelMap.identity(MOST_CLASSES).encode(np.array([0, 254, 255])).tolist() == [0, 254, 255]
    assert MOST_CLASSES == IGNORE == 255


def test_cityscapes_has_a_table_of_a_byte_and_nineteen_classes():
    labels = MAPS["cityscapes"]
    assert len(labels.table) == 256
    assert labels.raw_ids == (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    licence_plate = np.array([-1]).astype(np.uint8)
    assert labels.encode(licence_plate).tolist() == [IGNORE]
    assert labels.encode(np.arange(7)).tolist() == [IGNORE] * 7
    assert labels.decode(np.array([0, 18, IGNORE])).tolist() == [7, 33, 0]


def test_ade20k_has_150_classes_that_no_two_numbers_share():
    assert len(CLASSES) == len(set(CLASSES)) == 150
    numbers = [number for ids in FULL_RELEASE_IDS for number in ids]
    assert len(numbers) == len(set(numbers))
    assert MAPS["ade challenge"].encode(np.array([0, 1, 150])).tolist() == [IGNORE, 0, 149]


@pytest.mark.parametrize("place", range(0, 150, 7))
def test_the_full_release_codes_its_numbers_in_red_and_green(place):
    number = FULL_RELEASE_IDS[place][-1]
    # Red may be anything of its decade; blue numbers the things.
    colours = np.array([[[number // 256 * 10, number % 256, 9], [number // 256 * 10 + 9, number % 256, 255]]])
    assert MAPS["ade full"].encode(full_release_ids(colours.astype(np.uint8))).tolist() == [[place, place]]


def test_numbers_outside_of_the_150_are_ignored():
    every_pair = np.stack(np.meshgrid(np.arange(256), np.arange(256), [0], indexing="ij"), axis=-1).reshape(256, 256, 3)
    classes = MAPS["ade full"].encode(full_release_ids(every_pair.astype(np.uint8)))
    assert np.unique(classes).tolist() == [*range(150), IGNORE]


def test_the_palette_is_that_of_the_development_kit():
    palette = voc_palette(256)
    assert palette[[0, 1, 15, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]
    assert len(np.unique(palette, axis=0)) == 256


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_are_packed_and_unpacked(colour):
    assert unpacked(int(packed(np.array(colour)))) == colour


def test_masks_are_read_by_colour_and_unknown_colours_named():
    palette = voc_palette(3)
    classes = {int(colour): place for place, colour in enumerate(packed(palette))}
    mask = np.array([[2, 0], [1, 1], [0, 2]])
    np.testing.assert_array_equal(ids_of_colours(palette[mask], classes), mask)
    with pytest.raises(UnknownIds) as error:
        ids_of_colours(np.array([[[1, 2, 3]]], dtype=np.uint8), classes)
    assert [unpacked(one) for one in error.value.ids] == [(1, 2, 3)]


def cielab(colours: np.ndarray) -> np.ndarray:
    """Returns sRGB colours (..., 3) from 0 to 255 in CIELAB, white point D65."""
    parts = np.asarray(colours, np.float64) / 255
    linear = np.where(parts > 0.04045, ((parts + 0.055) / 1.055) ** 2.4, parts / 12.92)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratios = linear @ matrix.T / matrix.sum(axis=1)
    x, y, z = np.moveaxis(np.where(ratios > 216 / 24_389, np.cbrt(ratios), (24_389 / 27 * ratios + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def test_the_first_20_classes_are_easy_to_tell_apart_and_from_ignored_pixels():
    shown = cielab(np.array([*distinct_palette(20).tolist(), IGNORE_COLOUR, IN_PLACE_OF_BLACK]))
    distances = np.linalg.norm(shown[:, None] - shown[None], axis=-1)
    assert distances[~np.eye(len(shown), dtype=bool)].min() > 35
    assert len(np.unique(distinct_palette(256), axis=0)) == 256
    vocs = cielab(voc_palette(20))
    assert np.linalg.norm(vocs[9] - vocs[1]) < 35, "which is why they are not used"
