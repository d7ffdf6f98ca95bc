"""Spectrograms show frequencies at their time, and are written whole or not at all."""

import sys
from pathlib import Path

import numpy as np
import pytest

from wavenet_app.audio import pictures
from wavenet_app.audio.pictures import (
    common_scale,
    comparison_figure,
    spectrogram,
    spectrogram_figure,
    write_comparison,
    write_spectrogram,
)
from wavenet_app.core.errors import UserError

PNG = b"\x89PNG\r\n\x1a\n"


def tone(frequency: float, seconds: float, sample_rate: int, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * sample_rate)) / sample_rate)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 44_100, 48_000])
def test_a_tone_is_at_its_frequency_and_level(sample_rate: int) -> None:
    levels, _ = spectrogram(tone(1_000, 1, sample_rate), sample_rate)
    middle = levels[:, levels.shape[1] // 2]
    found = np.argmax(middle) / (len(middle) - 1) * sample_rate / 2
    assert found == pytest.approx(1_000, abs=10)
    assert middle.max() == pytest.approx(20 * np.log10(0.5), abs=1.5)


def test_columns_are_at_their_time() -> None:
    click = np.zeros(16_000)
    click[8_000] = 1.0
    levels, times = spectrogram(click, 16_000)
    assert times[np.argmax(levels.max(axis=0))] == pytest.approx(0.5, abs=0.01)


def test_an_hour_has_a_bounded_number_of_columns() -> None:
    levels, _ = spectrogram(np.zeros(3_600 * 1_000, dtype=np.float32), 1_000)
    assert levels.shape[1] <= pictures.GREATEST_COLUMNS


@pytest.mark.parametrize("samples", [0, 1, 100, 16_000])
def test_any_length_can_be_drawn(samples: int, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "clip.png"
    write_spectrogram(path, tone(440, 1, 16_000)[:samples], 16_000, title="übung")
    assert path.read_bytes().startswith(PNG)
    assert [file.name for file in path.parent.iterdir()] == ["clip.png"]


def test_the_figure_has_a_strip_above_in_seconds_and_kilohertz() -> None:
    figure = spectrogram_figure(tone(440, 2, 16_000), 16_000, "a tone")
    strip, picture, *_ = figure.axes
    assert strip.get_title() == "a tone"
    assert strip.get_position().y0 > picture.get_position().y0
    assert picture.get_ylim() == (0.0, 8.0)
    assert picture.get_xlim()[1] == pytest.approx(2.0, abs=0.05)


def test_a_comparison_shares_one_colour_scale(tmp_path: Path) -> None:
    waveforms = {"loud": tone(440, 1, 16_000), "quiet": tone(440, 2, 16_000, level=0.01)}
    images = [axes.images[0] for axes in comparison_figure(waveforms, 16_000).axes if axes.images]
    assert len(images) == 2
    assert images[0].get_clim() == images[1].get_clim()
    write_comparison(tmp_path / "both.png", waveforms, 16_000)
    assert (tmp_path / "both.png").read_bytes().startswith(PNG)


def test_separate_pictures_can_share_a_scale() -> None:
    loud, quiet = tone(440, 1, 16_000), tone(440, 2, 16_000, level=0.01)
    scale = common_scale([quiet, loud], 16_000)
    for waveform in (loud, quiet):
        strip, picture, *_ = spectrogram_figure(waveform, 16_000, scale=scale).axes
        assert strip.get_ylim()[1] == pytest.approx(1.05 * 0.5, rel=1e-3)
        assert picture.images[0].get_clim()[1] == pytest.approx(20 * np.log10(0.5), abs=1.5)
    assert spectrogram_figure(quiet, 16_000).axes[0].get_ylim()[1] == pytest.approx(0.0105, rel=1e-3)


def test_no_global_figure_is_left() -> None:
    before = "matplotlib.pyplot" in sys.modules
    spectrogram_figure(tone(440, 0.1, 8_000), 8_000)
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_picture_that_cannot_be_written_is_reported_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_spectrogram(tmp_path / "file" / "clip.png", tone(440, 0.1, 8_000), 8_000)


def test_a_failed_write_keeps_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    path = tmp_path / "clip.png"
    path.write_bytes(b"old")

    def fail(self: Figure, file: object, format: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(UserError, match="No space left"):
        write_spectrogram(path, tone(440, 0.1, 8_000), 8_000)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("waveform", [np.zeros((2, 100)), np.array([0.0, np.nan])])
def test_an_invalid_waveform_is_refused(waveform: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        spectrogram_figure(waveform, 8_000)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="no waveforms"):
        comparison_figure({}, 8_000)
