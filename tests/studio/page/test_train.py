"""The page Train with real recordings: inspected, trained, stopped and resumed by hand."""

import shutil

import pytest
from studio_page import until

pytestmark = [pytest.mark.slow, pytest.mark.shared_data]


def test_a_folder_of_recordings_is_inspected_and_trained(page, data, shared_audio, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for path in sorted((shared_audio / "digits").rglob("*.wav"))[::40]:
        shutil.copy(path, folder)
    count = len(list(folder.iterdir()))
    assert count >= 10
    page.click("#tab-train")
    until(page, "document.querySelector('#train-path')")
    page.fill("#train-path", str(folder))
    page.click("#train-inspect")
    until(page, "!document.querySelector('#train-report').hidden", 300)
    report = page.inner_text("#train-report")
    assert "8000" in report
    assert "LPC-24" in report

    page.select_option("#train-preset", "tiny")
    page.fill("#train-minutes", "30")
    page.fill("#train-name", "digits")
    page.click("#train-start")
    until(page, "document.querySelector('#train-verdict').textContent.includes('linear prediction')", 300)
    page.click("#train-stop")
    until(page, "!document.querySelector('#train-resume').hidden", 120)
    assert (data / "checkpoints" / "digits" / "last.pth").is_file()
    before = (data / "checkpoints" / "digits" / "metrics.csv").read_text().count("\n")
    page.click("#train-resume")
    until(page, "!document.querySelector('#train-stop').hidden", 120)
    page.click("#train-stop")
    until(page, "!document.querySelector('#train-resume').hidden", 120)
    assert (data / "checkpoints" / "digits" / "metrics.csv").read_text().count("\n") >= before
