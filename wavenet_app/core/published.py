"""The published data sets that `wavegen data get` can fetch: their names, folders, sizes and licences in short."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wavenet_app.core.errors import UserError

AUDIO_FOLDERS = ("speech", "audio_samples")


@dataclass(frozen=True)
class Published:
    """What an offer says of a data set.

    Attributes:
        name: what `wavegen data get` takes.
        folder: where it lies below the data folder.
        size: bytes to download, as get fetches without options.
        use: licence in a few words.
        images: whether it is for segmentation, else it is audio.
    """

    name: str
    folder: str
    size: int
    use: str
    images: bool = False


PUBLISHED = {
    one.name: one
    for one in (
        Published("ljspeech", "speech/LJSpeech-1.1", 2_748_572_632, "public domain"),
        Published("vctk", "speech/VCTK-Corpus-0.92", 11_747_302_977, "CC BY 4.0"),
        Published("libritts", "speech/LibriTTS", 1_291_469_655, "CC BY 4.0"),
        Published("cmu-arctic", "speech/ARCTIC", 100_000_000, "free, keep the notice"),
        Published("speechcommands", "audio_samples/speech_commands_v0.02", 2_428_923_189, "CC BY 4.0"),
        Published("yesno", "audio_samples/waves_yesno", 4_700_000, "CC BY-SA 3.0 US"),
        Published("fsdd", "audio_samples/free-spoken-digit-dataset", 21_000_000, "CC BY-SA 4.0"),
        Published("voc", "pascal_voc", 1_999_639_040, "research use", images=True),
        Published("coco", "coco", 20_405_354_669, "CC BY 4.0, images as on Flickr", images=True),
        Published("ade20k", "ade20k", 967_382_037, "non-commercial research", images=True),
        Published("cityscapes", "cityscapes", 11_850_000_000, "non-commercial, registration", images=True),
    )
}


class AbsentDataSetError(UserError):
    """A published data set is named that is not in the data folder; the message says how to get it.

    Args:
        name: of the data set.
        root: the data folder.
        options: what the command that gets it needs beside the name.

    Attributes:
        name: of the data set.
        root: the data folder.
    """

    def __init__(self, name: str, root: Path, options: str = "") -> None:
        one = PUBLISHED[name]
        super().__init__(
            f"{name} is not here ({in_bytes(one.size)}, {one.use}). Get it: wavegen data get {name}{options}"
        )
        self.name, self.root = name, root


def published_audio(argument: str) -> Published | None:
    """Returns the audio data set that a name means, alone or below its kind, in any case; None if it means none.

    >>> published_audio("speech/LJSpeech").folder
    'speech/LJSpeech-1.1'
    """
    parts = argument.strip("/").lower().split("/")
    if len(parts) == 2 and parts[0] in AUDIO_FOLDERS:
        parts = parts[1:]
    found = PUBLISHED.get(parts[0]) if len(parts) == 1 else None
    return found if found and not found.images else None


def in_bytes(count: float) -> str:
    """Returns a size in the decimal unit that suits it.

    >>> in_bytes(1_999_639_040), in_bytes(21_000_000), in_bytes(812)
    ('2.0 GB', '21 MB', '812 bytes')
    """
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    if count >= 1e6:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e3:.0f} kB" if count >= 1e4 else f"{count:.0f} bytes"
