"""The built site opens from disk in a browser: it searches, and asks nothing of the outside."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import launched

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built from a copy of the sources."""
    if shutil.which("zensical") is None:
        pytest.skip("zensical, which builds the site, is missing; use: uv run --group docs pytest")
    folder = tmp_path_factory.mktemp("docs")
    unwanted = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in ("docs", "wavenet_app", "fast_gen", "segmentation"):  # the last three for the pages of the Python API
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("zensical.toml", "data/README.md", *(path.name for path in ROOT.glob("*.md"))):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    command = ["zensical", "build", "--strict", "--clean"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, without a way to the outside."""
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser) -> Iterator[Any]:
    """A page of a browser; the test fails on a request that is no file, and on an error in its console."""
    window = browser.new_context()
    page = window.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    yield page
    window.close()
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert wrong == []


@pytest.mark.slow
def test_the_search_works_from_disk(site, page):
    """By keyboard, as the results are in a part of the page that no script can look into."""
    page.goto((site / "how-to" / "play.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("only noise", delay=20)
    for _ in range(60):  # Enter does nothing before there are results
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        if "play.html" not in page.url:
            break
    assert page.url.partition("?")[0].partition("#")[0].endswith("help/index.html")
    assert page.get_by_role("heading", name="Only noise").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(site, page, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    for name in ("index", "install", "tutorials/hear", "how-to/vocode", "reference/commands", "results/index"):
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
