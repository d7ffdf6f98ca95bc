"""What is known of a published data set and of its archives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from wavenet_app.core.published import Published


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Attributes:
        name: file name, whose ending says the format.
        urls: mirrors, the first one first; empty if only its users can download it.
        folder: folder below the data folder that it is unpacked into.
        product: the path below `folder` that it creates, "" for `folder` itself.
        size: bytes.
        unpacked: bytes after unpacking, about.
        exact: whether `size` is the published one, which a download must have.
        checksum: "sha256:..." or "md5:...", empty if none is published.
        strip: how many leading folders of its members are dropped.
        part: the subset, voice or extra that it is; "" if the data set needs it always.
    """

    name: str
    urls: tuple[str, ...]
    folder: str
    product: str
    size: int
    unpacked: int
    exact: bool = True
    checksum: str = ""
    strip: int = 0
    part: str = ""

    def place(self, root: Path) -> Path:
        """Returns the folder that exists once the archive is unpacked."""
        return root / self.folder / self.product if self.product else root / self.folder

    @property
    def most_unpacked(self) -> int:
        """Bytes that its members may have together; more is a bomb."""
        return 2 * self.unpacked + 50_000_000


@dataclass(frozen=True)
class Count:
    """How many files of a kind a folder must hold.

    Attributes:
        folder: below the data folder.
        ending: of the files' names.
        number: how many; None if it is not published.
        partner: folder of the files that must have the same names, or "".
        partner_ending: what stands in place of `ending` there.
        part: like `Archive.part`.
    """

    folder: str
    ending: str
    number: int | None
    partner: str = ""
    partner_ending: str = ""
    part: str = ""


@dataclass(frozen=True)
class DataSet:
    """One published data set.

    Attributes:
        short: name, folder, size and licence in short.
        title: full name and source.
        items: what it holds, in words.
        page: where it is described.
        licence: a sentence.
        archives: all of them, optional ones included.
        counts: what a complete copy holds.
        next_command: what to run with it.
        default_part: the part that is fetched if none is chosen, "" for those without parts.
        registration: what to do where downloads need an account, or "".
    """

    short: Published
    title: str
    items: str
    page: str
    licence: str
    archives: tuple[Archive, ...]
    counts: tuple[Count, ...]
    next_command: str
    default_part: str = ""
    registration: str = ""
    layout: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """What the commands call it."""
        return self.short.name

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that can be chosen."""
        return tuple(archive.part for archive in self.archives if archive.part)

    def chosen(self, parts: tuple[str, ...]) -> tuple[Archive, ...]:
        """Returns the archives that are always needed, and those of the given parts or of the default one."""
        wanted = parts or ((self.default_part,) if self.default_part else ())
        return tuple(archive for archive in self.archives if not archive.part or archive.part in wanted)

    def present(self, root: Path) -> tuple[Archive, ...]:
        """Returns the archives whose content is in the data folder."""
        return tuple(archive for archive in self.archives if archive.place(root).is_dir())
