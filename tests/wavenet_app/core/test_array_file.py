"""A file of numpy's arrays gives what was saved, or one kind of error."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavenet_app.core.array_file import DamagedArrayError, read_array, read_arrays


@pytest.mark.parametrize("kind", ["f4", ">i2", "U3", "?"])
def test_what_was_saved_is_read(tmp_path, kind):
    array = np.arange(6).reshape(2, 3).astype(kind)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array)
    np.savez(tmp_path / "a.npz", a=array, b=array.T)
    found = read_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["a"], found["b"].T)


@given(place=st.integers(0, 200), inserted=st.binary(max_size=3) | st.sampled_from([b"(" * 200, b"\n", b"9" * 5000]))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_one_kind_of_error(tmp_path, place, inserted):
    np.save(tmp_path / "a.npy", np.arange(6))
    np.savez(tmp_path / "a.npz", a=np.arange(6))
    for name, read in (("a.npy", read_array), ("a.npz", read_arrays)):
        path = tmp_path / name
        data = path.read_bytes()
        path.write_bytes(data[:place] + inserted + data[place + 1 :])
        with contextlib.suppress(DamagedArrayError):
            read(path)


@pytest.mark.parametrize("read", [read_array, read_arrays])
def test_other_files_are_refused(tmp_path, read):
    np.save(tmp_path / "objects", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "archive", a=np.zeros(3))
    (tmp_path / "empty.npy").touch()
    for name in ("objects.npy", "empty.npy", "archive.npz" if read is read_array else "objects.npy"):
        with pytest.raises(DamagedArrayError):
            read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.npy")
