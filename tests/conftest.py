from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from in_process import exit_code

from wavenet_app.core.shipped import VOICES_VARIABLE

ToneWriter = Callable[..., Path]

# the tests of interpreted kernels are collected only in the process that a test starts for them
collect_ignore = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["interpreted_triton.py", "interpreted_layers.py"]


@pytest.fixture(scope="session", autouse=True)
def no_shipped_voices() -> Iterator[None]:
    """Hides the voices that ship, also from processes that a test starts: which those are must not decide a test.

    It lasts the whole session, so that a studio or a run that several tests share sees the same voices throughout.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VOICES_VARIABLE, f"{os.devnull}/voices")
        yield


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """The folder of real recordings beside the checkout: speech/ and digits/."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "audio"
    if not folder.is_dir():
        pytest.skip("the shared recordings (../shared/audio) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def shared_audio_cases() -> Path:
    """The folder of small sound files beside the checkout that users of such tools report in public."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases" / "audio"
    if not folder.is_dir():
        pytest.skip("the shared cases (../shared/cases/audio) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def write_tone() -> ToneWriter:
    """A function that writes a sine wave and returns its path; the suffix says the format."""

    def write(
        path: Path,
        *,
        seconds: float = 0.5,
        frequency: float = 330.0,
        sample_rate: int = 8_000,
        amplitude: float = 0.5,
        channels: int = 1,
        subtype: str | None = None,
        file_format: str | None = None,
    ) -> Path:
        times = np.arange(round(seconds * sample_rate)) / sample_rate
        waveform = amplitude * np.sin(2 * np.pi * frequency * times)
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.repeat(waveform[:, None], channels, axis=1)
        soundfile.write(path, samples, sample_rate, subtype=subtype, format=file_format)
        return path

    return write


@pytest.fixture
def tone_folder(tmp_path: Path, write_tone: ToneWriter) -> Path:
    """A folder of six tones of different pitch, 8 kHz, half a second each."""
    folder = tmp_path / "tones"
    for index in range(6):
        write_tone(folder / f"tone{index}.wav", frequency=220.0 * 2 ** (index / 6))
    return folder


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which no file can grow beyond a number of bytes, so that writing fails like on a full disk."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.fixture(scope="session")
def shared_images() -> Path:
    """The folder of real images beside the checkout: pascal_voc/, cityscapes/, coco/, ade20k/ and custom/."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "images"
    if not folder.is_dir():
        pytest.skip("the shared images (../shared/images) are not beside this checkout")
    return folder


@pytest.fixture
def shared_cases() -> Path:
    """The folder of small image sets beside the checkout that users of such tools report in public."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases" / "images"
    if not folder.is_dir():
        pytest.skip("the shared cases (../shared/cases/images) are not beside this checkout")
    return folder


def pytest_configure() -> None:
    """Enables SIGINT, which some tests send: shells disable it for background processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Outcome(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def quick_verdict(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pitch out of the verdict of a training, as it takes seconds; tests of the evaluation keep it."""
    if "wavegen" in request.fixturenames and "evaluation" not in request.path.parts:
        monkeypatch.setattr("fast_gen.evaluation.for_training._beside_real", lambda _made, _pieces, _rate: [])


@pytest.fixture(autouse=True)
def one_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the processes that a command starts for each core by default; each takes seconds to import torch."""
    if "wavegen" in request.fixturenames:
        monkeypatch.setattr("fast_gen.bulk.parts.usable_cores", lambda: 1)


@pytest.fixture
def wavegen(monkeypatch, capsys, tmp_path) -> Callable[..., Outcome]:
    """Runs a command like the installed script, but in this process and in an empty folder."""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("WAVEGEN_DATA", raising=False)  # tests must not depend on the developer's environment

    def run(*arguments: object) -> Outcome:
        code = exit_code(monkeypatch, *arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
