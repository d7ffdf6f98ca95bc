"""Scores the studio's page as Lighthouse does, offline, in headless Chromium.

    python benchmarks/studio/page_check.py [--loads 5]

- Performance: first and largest contentful paint, total blocking time until the page is idle, and layout shift, of the
  median of some loads with an empty browser cache. Scores are those of Lighthouse 12 for a desktop: a log-normal curve
  through its median (0.5) and its 10th percentile (0.9). Lighthouse's speed index needs a film of the load and is left
  out; the weights of the other four are divided by their sum, 90 of 100.
- Accessibility: the share of axe-core's rules that pass among those that apply, on every tab, light and dark.
- Good practice and findability: the checks of Lighthouse that apply to a page of this machine, each printed.

It needs Chromium, the extra `studio` and the development packages, and a machine that does nothing else. The processor
is not slowed down, as Lighthouse's desktop profile does not slow it either. The exit code is 1 if a score is below 95.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from browsing import chromium, studio, until

TABS = ("play", "continue", "compare", "train", "segment", "see")
CURVES = {  # weight, median and 10th percentile of Lighthouse 12, desktop
    "first contentful paint, ms": (10, 1_600, 934),
    "largest contentful paint, ms": (25, 2_400, 1_200),
    "total blocking time, ms": (30, 350, 150),
    "layout shift": (25, 0.25, 0.1),
}
ERFC_FIFTH = 0.9061938024368232  # where erfc is 0.2
WATCH = """
globalThis.seen = {largest: 0, blocking: 0, shift: 0};
const watch = (type, see) =>
  new PerformanceObserver((list) => list.getEntries().forEach(see)).observe({type, buffered: true});
watch("largest-contentful-paint", (one) => { seen.largest = one.startTime; });
watch("longtask", (one) => { seen.blocking += Math.max(0, one.duration - 50); });
watch("layout-shift", (one) => { if (!one.hadRecentInput) seen.shift += one.value; });
"""
READ = """({
  "first contentful paint, ms": performance.getEntriesByName("first-contentful-paint")[0].startTime,
  "largest contentful paint, ms": seen.largest,
  "total blocking time, ms": seen.blocking,
  "layout shift": seen.shift,
})"""
PRACTICE = {
    "doctype": "document.doctype?.name === 'html'",
    "charset is UTF-8": "document.characterSet === 'UTF-8'",
    "images have a size": "[...document.images].every((one) => one.width && one.height)",
    "all from this origin": "performance.getEntriesByType('resource').every((one) => one.name.startsWith(origin))",
    "no picture is stretched": """[...document.images].every((one) => !one.naturalWidth || !one.clientWidth
        || Math.abs(one.clientWidth / one.clientHeight - one.naturalWidth / one.naturalHeight) < 0.05)""",
    "pasting is allowed": """[...document.querySelectorAll('input')].every((one) =>
        one.dispatchEvent(new ClipboardEvent('paste', {cancelable: true, bubbles: true})))""",
    "title": "document.title.trim() !== ''",
    "description": "document.querySelector('meta[name=description]')?.content.trim()",
    "language": "document.documentElement.lang === 'en'",
    "viewport": "document.querySelector('meta[name=viewport]')?.content.includes('width=device-width')",
    "zooming is allowed": "!/scalable=no|maximum-scale/.test(document.querySelector('meta[name=viewport]').content)",
    "links have text": """[...document.links].every((one) =>
        (one.textContent.trim() || one.ariaLabel) && !/^(here|more|click here)$/i.test(one.textContent.trim()))""",
    "a page for those without JavaScript": "document.querySelector('noscript') !== null",
}


def share(value: float, median: float, tenth: float) -> float:
    """Returns Lighthouse's score of a value, 0 to 1: the complement of a log-normal distribution."""
    if value <= 0:
        return 1.0
    return 0.5 * math.erfc(math.log(value / median) * ERFC_FIFTH / math.log(median / tenth))


def ready(page: Any, address: str) -> None:
    """Opens the page and waits until it is quiet."""
    page.goto(address)
    until(page, "document.documentElement.dataset.ready && document.querySelector('#play-model').options.length", 60)
    page.wait_for_timeout(3_000)


def performance(browser: Any, address: str, loads: int) -> float:
    """Prints the figures of some loads, and returns their score."""
    rows = []
    for _ in range(loads):
        window = browser.new_context(viewport={"width": 1_350, "height": 940})
        page = window.new_page()
        page.add_init_script(WATCH)
        ready(page, address)
        rows.append(page.evaluate(READ))
        window.close()
    total = 0.0
    print("| figure | median | range | score |\n|---|---|---|---|")
    for name, (weight, median, tenth) in CURVES.items():
        values = sorted(row[name] for row in rows)
        found = share(statistics.median(values), median, tenth)
        total += weight * found
        print(f"| {name} | {statistics.median(values):.4g} | {values[0]:.4g} to {values[-1]:.4g} | {found:.2f} |")
    return total / sum(weight for weight, _, _ in CURVES.values())


def accessibility(browser: Any, address: str) -> float:
    """Prints the rules of axe-core that fail, and returns the share of those that pass."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).with_name("axe.min.js")
    passed = failed = 0
    for scheme in ("light", "dark"):
        window = browser.new_context(bypass_csp=True, color_scheme=scheme)
        page = window.new_page()
        ready(page, address)
        page.add_script_tag(path=script)
        for tab in TABS:
            page.click(f"#tab-{tab}")
            until(page, f"document.querySelector('#{tab}').childElementCount", 60)
            page.wait_for_timeout(500)
            rules = page.evaluate(
                "axe.run(document).then((found) => [found.passes.length, found.violations.map((one) => one.id)])"
            )
            passed += rules[0]
            failed += len(rules[1])
            for rule in rules[1]:
                print(f"{tab}, {scheme}: {rule}")
        window.close()
    print(f"axe-core: {passed} rules pass, {failed} fail, six tabs in light and dark")
    return passed / (passed + failed)


def practice(browser: Any, address: str) -> float:
    """Prints the checks that fail, and returns the share of those that pass."""
    window = browser.new_context()
    page = window.new_page()
    lines: list[str] = []
    page.on("console", lambda line: lines.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: lines.append(str(error)))
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status))
    ready(page, address)
    for tab in TABS:
        page.click(f"#tab-{tab}")
        page.wait_for_timeout(300)
    checks = {name: bool(page.evaluate(test)) for name, test in PRACTICE.items()}
    header = page.evaluate("fetch(location.href).then((answer) => answer.headers.get('content-security-policy'))") or ""
    checks["inline scripts are forbidden"] = "script-src 'self'" in header or "default-src 'self'" in header
    checks["nothing in the console"] = not lines
    checks["every request is answered"] = all(status < 400 for status in answers)
    for name, held in checks.items():
        if not held:
            print(f"fails: {name} {lines if 'console' in name else ''}")
    print(f"good practice: {sum(checks.values())} of {len(checks)} checks hold")
    window.close()
    return sum(checks.values()) / len(checks)


def main() -> int:
    """Prints the three scores."""
    parser = argparse.ArgumentParser(description="Score the studio's page as Lighthouse does.")
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, help="keep the compiled code and caches here between runs")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        studio(arguments.data_dir or Path(temporary)) as address,
        chromium() as browser,
    ):
        scores = {
            "performance": performance(browser, address, arguments.loads),
            "accessibility": accessibility(browser, address),
            "good practice": practice(browser, address),
        }
    for name, score in scores.items():
        print(f"{name}: {100 * score:.0f}")
    return int(min(scores.values()) < 0.95)


if __name__ == "__main__":
    sys.exit(main())
