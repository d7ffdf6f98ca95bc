"""Files appear whole, and what killed processes leave is swept."""

import os
import time

import pytest

from wavenet_app.core.errors import UserError
from wavenet_app.core.files import HOUR, make_folder, replacing, sweep_parts
from wavenet_app.core.run_lock import run_lock


def leave_part(folder, name="last.pth", age=0.0):
    """Leaves what a process leaves that is killed while it writes."""
    with replacing(folder / name) as file:
        file.write(b"half")
        part = next(folder.glob(f".{name}.*.part"))
    (folder / name).rename(part)
    os.utime(part, (time.time() - age, time.time() - age))
    return part


def test_parts_are_swept_by_age_and_nothing_else_is(tmp_path):
    old, young = leave_part(tmp_path, "a", age=2 * HOUR), leave_part(tmp_path, "b")
    others = [
        tmp_path / name for name in (".a.wav.0123456789abcdef.part", "b.part", ".hidden")
    ]  # the first is vocode's
    for path in others:
        path.touch()
    sweep_parts(tmp_path, older_than=HOUR)
    assert not old.exists()
    assert young.exists()
    sweep_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)
    sweep_parts(tmp_path / "missing")


def test_a_training_sweeps_its_folder(tmp_path):
    part = leave_part(tmp_path)
    with run_lock(tmp_path):
        assert not part.exists()


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="out is a file, not a folder"):
        make_folder(tmp_path / "out")
