"""Checks a built site: every link leads to a file and an anchor, and no page needs anything from the outside.

python benchmarks/docs/links.py site
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "script": "src",
    "img": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
    "iframe": "src",
    "link": "href",
}
"""Elements whose target a browser fetches by itself -> the attribute that names it."""

_IN_STYLES = re.compile(r"""@import\s+["']([^"']+)|url\(\s*["']?([^"')]+)""")


class Page(HTMLParser):
    """A page's anchors, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the anchors and targets of an element."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loads.append(values[LOADED[tag]])


def problems(site: Path) -> list[str]:
    """Returns a line for each broken link, and for each request to the outside, of a built site."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [
        f"{path.relative_to(site)}: {problem}"
        for path, page in pages.items()
        for problem in _problems_of(page, path, pages, site)
    ]
    for path in sorted(site.rglob("*.css")):
        targets = [one or other for one, other in _IN_STYLES.findall(path.read_text(encoding="utf-8"))]
        found += [f"{path.relative_to(site)}: loads {target}" for target in targets if _is_outside(target)]
    return found


def _problems_of(page: Page, path: Path, pages: dict[Path, Page], site: Path) -> list[str]:
    found = [f"loads {target}" for target in page.loads if _is_outside(target)]
    for target in [*page.links, *page.loads]:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        rooted = parts.path.startswith("/")
        if rooted and path.name != "404.html":
            found.append(f"{target} starts at the root of a server")
            continue
        base = site if rooted else path.parent
        file = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
        file = file / "index.html" if rooted and file.is_dir() else file
        if not file.is_file():
            found.append(f"{target} leads to no file")
        elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
            found.append(f"{target} leads to no anchor")
    return found


def _is_outside(target: str) -> bool:
    parts = urlsplit(target)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def main() -> int:
    """Prints the problems of a site; returns 1 if there are any."""
    site = Path(sys.argv[1]).resolve()
    found = problems(site)
    print("\n".join(found) if found else f"{len(list(site.rglob('*.html')))} pages: every link leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
