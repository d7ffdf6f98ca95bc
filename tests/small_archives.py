"""Small archives in the layouts of the published data sets, and catalogue entries that point to them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import wave
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from segmentation.datasets.labels import voc_palette
from wavenet_app.downloads.data_set import Count, DataSet


def png(size: int = 40) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray((np.arange(size * size).reshape(size, size) % 21).astype(np.uint8), "P")
    image.putpalette(voc_palette(256).tobytes())
    image.save(file, "PNG")
    return file.getvalue()


def jpeg(seed: int, size: int = 40) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def wav(seed: int, samples: int = 4_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(np.random.default_rng(seed).integers(-9_000, 9_000, samples).astype("<i2").tobytes())
    return file.getvalue()


def tar_of(files: Mapping[str, bytes], compression: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def voc_files(count: int = 6) -> dict[str, bytes]:
    stems = [f"2007_{index:06}" for index in range(count)]
    root = "VOCdevkit/VOC2012"
    lists = {"train": stems[:-2], "val": stems[-2:], "trainval": stems}
    return {
        **{f"{root}/ImageSets/Segmentation/{name}.txt": "\n".join(them).encode() for name, them in lists.items()},
        **{f"{root}/JPEGImages/{stem}.jpg": jpeg(index) for index, stem in enumerate(stems)},
        **{f"{root}/SegmentationClass/{stem}.png": png() for stem in stems},
    }


def lj_files(count: int = 12) -> dict[str, bytes]:
    names = [f"LJ001-{index:04}" for index in range(count)]
    return {
        "LJSpeech-1.1/metadata.csv": "\n".join(f"{name}|a|a" for name in names).encode(),
        "LJSpeech-1.1/README": b"LJ Speech",
        **{f"LJSpeech-1.1/wavs/{name}.wav": wav(index) for index, name in enumerate(names)},
    }


def coco_files(split: str) -> dict[str, bytes]:
    return {f"{split}2017/{index:012}.jpg": jpeg(index) for index in range(3)}


def serving_set(
    one: DataSet, contents: Sequence[bytes], urls: Sequence[Sequence[str]], counts: Sequence[Count] | None = None
) -> DataSet:
    """Returns a data set whose first archives are the given ones, with their true sizes and checksums."""
    archives = tuple(
        replace(
            archive,
            urls=tuple(mirrors),
            size=len(content),
            unpacked=20 * len(content),
            exact=True,
            checksum=f"sha256:{hashlib.sha256(content).hexdigest()}",
        )
        for archive, content, mirrors in zip(one.archives, contents, urls, strict=False)
    )
    return replace(one, archives=archives, counts=one.counts if counts is None else tuple(counts))
