"""The documentation site: its link check finds what is broken, and its navigation and sources fit together."""

import re
import tomllib
from pathlib import Path

import pytest

from segmentation.config import SegmentationConfig
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import ENVIRONMENT_VARIABLE
from wavenet_app.core.shipped import VOICES_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
IN_TEXT = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch):
    """The link check, as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "docs")
    return __import__("links")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="b/c.html#there">ok</a> <a href="https://example.org">ok</a> <a href="#here" id="here">ok</a>', None),
        ('<a href="b/missing.html">x</a>', "b/missing.html leads to no file"),
        ('<a href="b/c.html#nowhere">x</a>', "b/c.html#nowhere leads to no anchor"),
        ('<a href="#nowhere">x</a>', "#nowhere leads to no anchor"),
        ('<a href="/b/c.html">x</a>', "/b/c.html starts at the root of a server"),
        ('<a href="b/">x</a>', "b/ leads to no file"),
        ('<img src="gone.png">', "gone.png leads to no file"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loads //example.org/x.css"),
    ],
)
def test_the_link_check_finds_what_is_broken(links, tmp_path, body, problem):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.html").write_text('<h1 id="there">c</h1><a href="../a.html">back</a>')
    (tmp_path / "a.html").write_text(body)
    assert links.problems(tmp_path) == ([] if problem is None else [f"a.html: {problem}"])


def test_the_link_check_reads_styles(links, tmp_path):
    (tmp_path / "x.css").write_text(
        '@import "https://example.org/a.css"; b { background: url(https://example.org/b.png) }'
    )
    assert links.problems(tmp_path) == [f"x.css: loads https://example.org/{name}" for name in ("a.css", "b.png")]


def _pages(entries) -> list[str]:
    """Returns the files that a navigation names."""
    if isinstance(entries, str):
        return [entries]
    values = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in values for page in _pages(entry)]


def test_the_navigation_names_every_page_once():
    named = _pages(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"])
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(named) == sorted(there)


def test_links_between_sources_lead_to_files():
    """The site's own check sees what is built; this one holds for who reads the files of the repository."""
    sources = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")]
    for source in (*sources, *(ROOT / "docs").rglob("*.md")):
        for target in IN_TEXT.findall(source.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:|#", target):
                assert (source.parent / target.partition("#")[0]).exists(), f"{source}: {target}"


def test_the_generated_pages_are_what_the_code_says(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "docs")
    for path, text in __import__("reference").pages().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is out of date; run: make reference"


def test_the_settings_pages_hold_every_setting_with_its_default():
    """Checked against the models themselves, not against the script that writes the pages."""
    for name, config in (("audio", RunConfig()), ("images", SegmentationConfig())):
        rows = dict(re.findall(r"^\| `([a-z0-9_.]+)` \| ([^|]*?) \|", _without_presets(name), flags=re.MULTILINE))
        for section, values in config.model_dump(exclude={"name"}).items():
            for field, value in values.items():
                shown = rows[f"{section}.{field}"]
                if isinstance(value, bool | str | None) or value == ():
                    words = {True: "yes", False: "no", None: "unset", (): "none"}
                    assert shown == words.get(value, f'`"{value}"`'), field
                elif isinstance(value, int | float):
                    assert float(shown.replace(",", "")) == value, field


def _without_presets(name: str) -> str:
    page = (ROOT / "docs" / "reference" / f"settings-{name}.md").read_text(encoding="utf-8")
    return page.partition("## `name`")[2]


def test_the_page_of_the_environment_names_every_variable_of_ours():
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    for name in (ENVIRONMENT_VARIABLE, VOICES_VARIABLE, "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "CC", "WANDB_MODE"):
        assert f"`{name}`" in page
