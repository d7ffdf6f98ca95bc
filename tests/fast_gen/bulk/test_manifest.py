"""The manifest lists what is complete, survives a killed process, and is checked when it is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fast_gen.bulk.manifest import ManifestLine, manifest_path, read_manifests, writing_manifest
from fast_gen.bulk.shard import WHOLE, Shard
from wavenet_app.core.errors import UserError


def _line(number: int) -> ManifestLine:
    return ManifestLine(
        file=f"voice-seed0-{number:06}.wav",
        number=number,
        seed=0,
        speaker=None,
        samples=100,
        sample_rate=16_000,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        min_p=0.0,
        precision="float32",
        checkpoint="ab",
    )


def test_lines_of_all_parts_are_read(tmp_path):
    for number in (1, 2):
        with writing_manifest(tmp_path, Shard(number, 2)) as writer:
            writer.add([_line(number), _line(10 + number)])
    with writing_manifest(tmp_path, Shard(2, 2)) as writer:
        writer.add([_line(20)])
    assert [line.number for line in read_manifests(tmp_path, ManifestLine)] == [1, 11, 2, 12, 20]


@given(cut=st.integers(1, 400))
def test_a_line_that_a_killed_process_left_unfinished_is_no_clip(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("clips")
    with writing_manifest(folder, WHOLE) as writer:
        writer.add([_line(0), _line(1)])
    path = manifest_path(folder, WHOLE)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    whole = content[:-cut].count(b"\n")
    assert [line.number for line in read_manifests(folder, ManifestLine)] == list(range(whole))
    with writing_manifest(folder, WHOLE) as writer:
        writer.add([_line(5)])
    assert [line.number for line in read_manifests(folder, ManifestLine)] == [*range(whole), 5]


@pytest.mark.parametrize(
    "content",
    [b"[]\n", b"{}\n", b"\xff\n", b"\n", b'{"file": "../x.wav"}\n', b"[" * 70_000, b"0" * 70_000 + b"\n"],
)
def test_a_damaged_manifest_is_one_line(tmp_path, content):
    manifest_path(tmp_path, WHOLE).write_bytes(content)
    with pytest.raises(UserError, match=r"line 1 of .*manifest.*choose another --out"):
        list(read_manifests(tmp_path, ManifestLine))


@pytest.mark.parametrize("file", ["", "..", "a/b.wav", "a\\b.wav", "/a.wav"])
def test_a_file_outside_the_folder_is_refused(file):
    with pytest.raises(ValueError, match="name of a file"):
        ManifestLine(**{**_line(0).model_dump(), "file": file})


def test_two_processes_do_not_make_the_same_clips(tmp_path):
    with (
        writing_manifest(tmp_path, WHOLE),
        pytest.raises(UserError, match="makes these files"),
        writing_manifest(tmp_path, WHOLE),
    ):
        pass
    with writing_manifest(tmp_path, Shard(1, 2)), writing_manifest(tmp_path, Shard(2, 2)):
        pass
