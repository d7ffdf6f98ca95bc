from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_page import opened

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    "--no-sandbox",  # containers run as root
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


@pytest.fixture(scope="module")  # Playwright keeps an event loop running, beside which other tests can start none
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def module_page(browser: Any, studio: Any) -> Iterator[Any]:
    """The page, for tests that only ask its modules."""
    yield from opened(browser, studio)


@pytest.fixture
def page(browser: Any, studio: Any) -> Iterator[Any]:
    """The page of the studio, ready to be used; a test fails on any error in its console."""
    yield from opened(browser, studio)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any, str], Path]:
    """A function that presses a button which saves a file, and returns the file."""

    def save(page: Any, button: str) -> Path:
        with page.expect_download() as waiting:
            page.click(button)
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    return save
