"""A walk follows links, enters each folder once, and ends."""

from wavenet_app.core.walk import walk


def names(root, **options) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walk(root, **options)]


def test_links_to_folders_are_followed_and_circles_end(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "a", outside):
        folder.mkdir(parents=True)
        (folder / "file").write_text("")
    (root / ".hidden").write_text("")
    (root / "linked").symlink_to(outside)
    (root / "a" / "up").symlink_to(root)
    (outside / "here").symlink_to(outside)
    (root / "self").symlink_to(root / "self")
    assert names(root) == ["a/file", "linked/file", "self"]


def test_a_folder_is_entered_under_its_own_name_before_any_link(tmp_path):
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "file").write_text("")
    (tmp_path / "a").symlink_to(tmp_path / "z")
    assert names(tmp_path) == ["z/file"]


def test_several_walks_share_what_they_have_entered(tmp_path):
    (tmp_path / "file").write_text("")
    seen = set()
    assert names(tmp_path, seen=seen) == ["file"]
    assert names(tmp_path, seen=seen) == []


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    found = []
    assert list(walk(tmp_path / "file", lambda *note: found.append(note))) == []
    assert found == [(tmp_path / "file", "the folder cannot be listed (not a directory)")]
