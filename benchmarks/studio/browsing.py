"""The studio of a data folder, and headless Chromium that opens its page, for the benchmarks of this folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]


@contextmanager
def studio(folder: Path) -> Iterator[str]:
    """Starts the studio on a data folder and yields its address."""
    command = [sys.executable, str(ROOT / "cli.py"), "studio", "--port", "0", "--data-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                yield found.group()
                return
        raise SystemExit("the studio printed no address")
    finally:
        process.terminate()
        process.wait(30)


def until(page: Any, condition: str, seconds: float) -> Any:
    """Waits until an expression is true in the page, and returns it."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = page.evaluate(condition)
        if found:
            return found
        page.wait_for_timeout(50)
    raise SystemExit(f"not within {seconds:.0f} s: {condition}")


@contextmanager
def chromium() -> Iterator[Any]:
    """Yields Chromium as Playwright drives it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()
