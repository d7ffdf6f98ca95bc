from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import launched
from studio_page import opened


@pytest.fixture(scope="module")  # Playwright keeps an event loop running, beside which other tests can start none
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    with launched() as browser:
        yield browser


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
