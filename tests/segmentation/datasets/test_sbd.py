"""SBD's MATLAB files: small ones are read, large ones are refused before they take memory."""

import struct
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation.datasets.formats.voc import sbd
from segmentation.datasets.formats.voc.sbd import read_sbd_mask
from wavenet_app.core.errors import UserError


def written(path, mask, *, packed=True):
    scipy.io.savemat(path, {"GTcls": {"Segmentation": mask}}, do_compression=packed)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_masks_are_read(tmp_path, packed):
    mask = np.random.default_rng(0).integers(0, 21, (30, 40), dtype=np.uint8)
    np.testing.assert_array_equal(read_sbd_mask(written(tmp_path / "a.mat", mask, packed=packed)), mask)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_takes_memory(tmp_path):
    head = written(tmp_path / "a.mat", np.zeros((2, 2), dtype=np.uint8)).read_bytes()[:128]
    packer = zlib.compressobj()
    # the header of an array of 4 GiB, which the zeros seem to fill
    parts = [packer.compress(struct.pack("<II", 14, 2**32 - 1))]
    parts += [packer.compress(bytes(2**20)) for _ in range(2 * sbd.GREATEST_BYTES >> 20)]
    content = b"".join([*parts, packer.flush()])
    path = tmp_path / "bomb.mat"
    path.write_bytes(head + struct.pack("<II", 15, len(content)) + content)
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(UserError, match="unpacks to more than 64 MiB"):
        read_sbd_mask(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("sbd") / "a.mat"
    content = bytearray(written(path, np.eye(20, dtype=np.uint8), packed=data.draw(st.booleans())).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(UserError):
        assert read_sbd_mask(path).ndim == 2


def test_an_array_of_no_known_kind_is_one_line(tmp_path):
    content = bytearray(written(tmp_path / "a.mat", np.eye(20, dtype=np.uint8), packed=False).read_bytes())
    content[232] = 0
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UserError, match="cannot read the SBD mask"):
        read_sbd_mask(tmp_path / "a.mat")
