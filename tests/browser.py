"""A headless Chromium for tests of pages, and what every page has to stand."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

#: Width and height in CSS pixels.
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@dataclass
class Visit:
    """A page that is open in the browser, and what it did since it was opened."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch_requests(self, expected: Callable[[str], bool]) -> None:
        """Note every request from now on whose address is not expected."""
        self.page.on("request", lambda r: None if expected(r.url) else self.requests.append(r.url))

    def check_quiet(self) -> None:
        """No error or warning on the console, and no request but for the page itself."""
        assert self.console == []
        assert self.requests == []

    def check_fits(self) -> None:
        """The page as a whole does not scroll sideways."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(width) <= 0

    def check_accessible(self) -> None:
        """Nothing serious or critical that axe-core finds in what is visible; takes seconds."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [
            f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == []


@dataclass
class Browser:
    """Opens local files in a fresh, empty profile each."""

    chromium: Any
    contexts: list[Any] = field(default_factory=list)

    def open(self, file: Path, *, size: str = "desktop", dark: bool = False) -> Visit:
        """Open a file. size, dark: as of blank."""
        visit, address = self.blank(size=size, dark=dark), file.resolve().as_uri()
        visit.watch_requests(lambda url: url == address or url.startswith("data:"))
        visit.page.goto(address)
        return visit

    def blank(self, *, size: str = "desktop", dark: bool = False) -> Visit:
        """A page that shows nothing yet.

        size: a key of SIZES. dark: as for a reader who prefers dark pages.
        """
        width, height = SIZES[size]
        context = self.chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        self.contexts.append(context)
        page = context.new_page()
        visit = Visit(page)
        page.on("pageerror", lambda error: visit.console.append(str(error)))
        page.on(
            "console",
            lambda message: (
                visit.console.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        return visit


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium itself, started once per module; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium on the path ({', '.join(names)})")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    """A browser whose pages are closed when the test ends."""
    found = Browser(chromium)
    yield found
    for context in found.contexts:
        context.close()
