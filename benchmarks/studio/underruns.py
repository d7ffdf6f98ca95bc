"""Plays an endless voice of the studio in headless Chromium, and prints its start, gaps and speed.

python benchmarks/studio/underruns.py                          # kathleen for 120 s
python benchmarks/studio/underruns.py --voice trio --seconds 30 --precision int8

It needs Chromium, the extra `studio` and the development packages, and a machine that does nothing else. The exit code
is 1 if there was a gap.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
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


def opened(page: Any, address: str, voice: str) -> None:
    """Opens the page and waits until the voice can be played."""
    page.goto(address)
    until(page, f"[...document.querySelectorAll('#play-model option')].some((one) => one.value === '{voice}')", 60)


def measured(page: Any, voice: str, precision: str, seconds: float) -> dict[str, Any]:
    """Plays for some seconds and returns what the page counted."""
    page.select_option("#play-model", voice)
    page.select_option("#play-length", "")
    page.locator("#play details summary").click()
    page.select_option("#play-precision", precision)
    page.click("#play-button")
    until(page, "globalThis.studioClip && studioClip.firstSound", 300)
    began = time.monotonic()
    speeds = []
    while time.monotonic() - began < seconds:
        page.wait_for_timeout(1_000)
        shown = page.inner_text("#play-speed").split()[0]
        speeds += [float(shown)] if re.fullmatch(r"[\d.]+", shown) else []
    facts: dict[str, Any] = page.evaluate(
        "({first_sound_seconds: (studioClip.firstSound - studioClip.asked) / 1000, underruns: studioClip.underruns, "
        "received_seconds: studioClip.seconds, kept_seconds: studioClip.length / studioClip.rate})"
    )
    page.click("#play-button")
    speeds.sort()
    return {
        "voice": voice,
        "precision": precision,
        "played_seconds": round(time.monotonic() - began, 1),
        **{name: round(value, 3) for name, value in facts.items()},
        "real_time_factor": {
            "lowest": speeds[0],
            "median": speeds[len(speeds) // 2],
        }
        if speeds
        else None,
    }


def main() -> int:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description="Count the gaps of an endless voice in the studio.")
    parser.add_argument("--voice", default="kathleen")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16", "int8"])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--data-dir", type=Path, help="keep the compiled code and caches here between runs")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as temporary,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page()
        began = time.monotonic()
        with studio(arguments.data_dir or Path(temporary)) as address:
            opened(page, address, arguments.voice)
            usable = time.monotonic() - began
            found = measured(page, arguments.voice, arguments.precision, arguments.seconds)
        browser.close()
    found["seconds_from_command_to_usable_page"] = round(usable, 2)
    found["load_average"] = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    print(json.dumps(found, indent=2))
    return int(found["underruns"] > 0)


if __name__ == "__main__":
    sys.exit(main())
