"""Compiled code is kept in the first folder that can be written to, and the user is told where there is none."""

from pathlib import Path

import pytest

from fast_gen.engines.cpu import functions as compiled
from wavenet_app.compiling.folder import code_folder


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source file of a program, with a home of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "program").mkdir()
    file = tmp_path / "program" / "loop.py"
    file.write_text("x = 1", encoding="utf-8")
    return file


def block(place: Path) -> None:
    """Lets nobody make this folder, not even who may write anywhere."""
    place.write_text("", encoding="utf-8")


def test_the_wish_comes_first_then_the_programs_own_folder_then_the_users(tmp_path: Path, source: Path) -> None:
    wish, beside, home = tmp_path / "wish", source.parent / "__pycache__", tmp_path / "home"
    folders = []
    for place in (wish, beside, home):
        found = code_folder("loop", [source], str(wish))
        assert found is not None
        assert found.is_dir()
        folders.append(found.relative_to(place))
        for file in (found, *found.parents):
            if file != place:
                file.rmdir()
            else:
                break
        place.rmdir()
        block(place)
    assert [len(folder.parts) for folder in folders] == [1, 1, 2]
    assert code_folder("loop", [source], str(wish)) is None


def test_another_text_takes_the_place_of_the_earlier(source: Path) -> None:
    earlier = code_folder("loop", [source], "")
    assert earlier is not None
    assert code_folder("loop", [source], "") == earlier
    source.write_text("x = 2", encoding="utf-8")
    later = code_folder("loop", [source], "")
    assert later is not None
    assert later != earlier
    assert not earlier.exists()


def test_the_user_reads_whether_the_code_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiled.CACHE, "folder", tmp_path)
    assert compiled.compiling_line("int8").endswith("for int8, which takes some seconds, once on this machine")
    monkeypatch.setattr(compiled.CACHE, "folder", None)
    line = compiled.compiling_line("int8")
    assert "at each start: no folder to keep the result can be written; the environment variable NUMBA_CACHE" in line
