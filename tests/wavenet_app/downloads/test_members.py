import io
import tarfile
import warnings
import zipfile
from dataclasses import replace

import pytest
from small_archives import tar_of, zip_of

from wavenet_app.core.errors import UserError
from wavenet_app.downloads.data_set import Archive
from wavenet_app.downloads.install import install

TAR = Archive("a.tar", (), "speech/a", "", 1, 1_000)
ZIP = replace(TAR, name="a.zip")


def special(**fields):
    """Returns a tar with one member of a special kind."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("special")
        for name, value in fields.items():
            setattr(member, name, value)
        archive.addfile(member)
    return file.getvalue()


def zip_with(mode=0, name="a", flags=0):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, b"target")
    content = bytearray(file.getvalue())
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + offset] |= flags
    return bytes(content)


def twice():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    return file.getvalue()


HOSTILE = {
    "tar out": (TAR, tar_of({"good": b"1", "../evil": b"2"}), "'../evil' leads out of the folder"),
    "tar out below": (TAR, tar_of({"x/../../evil": b"2"}), "leads out of the folder"),
    "tar absolute": (TAR, tar_of({"good": b"1", "/evil": b"2"}), "'/evil' is absolute"),
    "tar link": (TAR, special(type=tarfile.SYMTYPE, linkname="/etc"), "is a link"),
    "tar hard link": (TAR, special(type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
    "tar device": (TAR, special(type=tarfile.CHRTYPE, devmajor=1), "is a device"),
    "tar pipe": (TAR, special(type=tarfile.FIFOTYPE), "is a device"),
    "tar folder out": (TAR, special(name="../x", type=tarfile.DIRTYPE), "leads out of the folder"),
    "tar drive": (TAR, tar_of({"C:/evil": b"2"}), "has a drive letter"),
    "tar twice": (TAR, tar_of({"a": b"1", "./a": b"2"}), "has the member 'a' twice"),
    "tar file as folder": (TAR, tar_of({"a": b"1", "a/b": b"2"}), "twice"),
    "tar bomb": (TAR, tar_of({"a": bytes(51_000_000)}, "gz"), "unpacks to more than 50 MB"),
    "tar cut": (TAR, tar_of({"a": bytes(50_000)}, "gz")[:-100], "is damaged"),
    "tar cut inside": (TAR, tar_of({"a": bytes(50_000)})[:20_000], "is damaged"),
    "bz2 cut": (TAR, tar_of({"a": bytes(range(256)) * 999}, "bz2")[:-50], "is damaged"),
    "no tar": (TAR, b"hello" * 999, "is damaged or no archive"),
    "empty": (TAR, b"", "is damaged or no archive"),
    "nothing": (TAR, tar_of({}), "it has no files"),
    "zip out": (ZIP, zip_of({"good": b"1", "../evil": b"2"}), "leads out of the folder"),
    "zip absolute": (ZIP, zip_of({"/evil": b"2"}), "is absolute"),
    "zip drive": (ZIP, zip_of({"C:evil": b"2"}), "has a drive letter"),
    "zip backslash": (ZIP, zip_of({"..\\evil": b"2"}), "backslash"),
    "zip link": (ZIP, zip_with(0o120777), "is a link"),
    "zip device": (ZIP, zip_with(0o020644), "is a device"),
    "zip password": (ZIP, zip_with(flags=1), "needs a password"),
    "zip twice": (ZIP, twice(), "has the member 'a' twice"),
    "zip bomb": (ZIP, zip_of({"a": bytes(51_000_000)}), "unpacks to more than 50 MB"),
    "zip cut": (ZIP, zip_of({"a": bytes(50_000)})[:-30], "is damaged"),
    "zip changed": (ZIP, zip_with().replace(b"target", b"tarGet"), "is damaged"),
    "no zip": (ZIP, b"hello" * 999, "is damaged or no archive"),
}


@pytest.mark.parametrize(("archive", "content", "reason"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_or_damaged_archive_is_refused_and_nothing_is_left(archive, content, reason, tmp_path):
    root = tmp_path / "data"
    with pytest.raises(UserError) as caught:
        install(archive, io.BytesIO(content), root, lambda *_: None)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (root / "speech" / "a").exists()


@pytest.mark.parametrize(("name", "pack"), [("a.tar", tar_of), ("a.zip", zip_of)])
def test_leading_folders_are_dropped_and_what_macos_adds_is_left_out(name, pack, tmp_path):
    content = pack({"a-1.0/b/c.wav": b"sound", "a-1.0/._d": b"x", "__MACOSX/a-1.0/e": b"x"})
    found = install(replace(TAR, name=name, strip=1), io.BytesIO(content), tmp_path, lambda *_: None)
    assert (found.files, found.bytes) == (1, 5)
    assert [path for path in (tmp_path / "speech").rglob("*") if path.is_file()] == [tmp_path / "speech/a/b/c.wav"]
