"""The page of the studio in a browser: opened, waited for, and used by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any


def opened(browser: Any, studio: Any, **context: Any) -> Iterator[Any]:
    """Yields the page in a browser window of its own."""
    window = browser.new_context(accept_downloads=True, **context)
    page = window.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("response", lambda answer: wrong.append(asked(answer)) if answer.status >= 400 else None)
    page.goto(f"http://127.0.0.1:{studio.port}/")
    until(page, "document.documentElement.dataset.ready && document.querySelector('#play-model').options.length")
    page.wrong = wrong
    yield page
    window.close()
    assert wrong == [], wrong


def asked(answer: Any) -> str:
    """Returns a request and its status; the console names neither."""
    return f"{answer.request.method} {answer.url} {answer.request.post_data}: {answer.status}"


def until(page: Any, condition: str, seconds: float = 60.0) -> Any:
    """Waits until an expression is true in the page, and returns it; the page itself may evaluate no text."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = page.evaluate(condition)
        if found:
            return found
        page.wait_for_timeout(30)
    raise AssertionError(f"not within {seconds} s: {condition}")


def set_slider(page: Any, name: str, value: float) -> None:
    """Moves a slider as a hand does."""
    page.evaluate(
        "([name, value]) => { const slider = document.querySelector(name); slider.value = value; "
        "slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        [name, value],
    )
