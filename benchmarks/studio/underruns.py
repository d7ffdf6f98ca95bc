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
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from browsing import chromium, studio, until


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
    with tempfile.TemporaryDirectory() as temporary, chromium() as browser:
        page = browser.new_page()
        began = time.monotonic()
        with studio(arguments.data_dir or Path(temporary)) as address:
            opened(page, address, arguments.voice)
            usable = time.monotonic() - began
            found = measured(page, arguments.voice, arguments.precision, arguments.seconds)
    found["seconds_from_command_to_usable_page"] = round(usable, 2)
    found["load_average"] = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    print(json.dumps(found, indent=2))
    return int(found["underruns"] > 0)


if __name__ == "__main__":
    sys.exit(main())
