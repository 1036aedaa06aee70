"""The page, opened in a browser against the running server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from hilum.classifier.classifier import Classifier
from hilum.serving.app import create_app
from hilum.serving.run import open_socket
from tests.browser import Browser, Visit
from tests.browser import browser as browser
from tests.browser import chromium as chromium

GREY_IN_THE_MIDDLE = """() => {
    const canvas = document.getElementById('picture');
    const [x, y] = [canvas.width / 2, canvas.height / 2];
    return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3);
}"""


@contextmanager
def running(classifier: Classifier, token: str | None = None) -> Iterator[str]:
    """The address of a server in a thread of its own."""
    listening = open_socket("127.0.0.1", 0, token)
    app = create_app(classifier, token=token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def address(served: Classifier) -> Iterator[str]:
    with running(served) as found:
        yield found


@pytest.fixture
def visit(browser: Browser) -> Callable[..., Visit]:
    def open_page(
        address: str,
        *,
        size: str = "desktop",
        dark: bool = False,
        ready: bool = True,
        before: Callable[[Any], Any] = lambda page: None,
    ) -> Visit:
        found = browser.blank(size=size, dark=dark)
        page = found.page
        page.set_default_timeout(20_000)
        before(page)
        found.watch_requests(lambda url: url.startswith(address))
        page.goto(address)
        if ready:
            page.locator("body[data-ready]").wait_for()
        return found

    return open_page


def choose(page: Any, *files: Path) -> None:
    """Choose files and wait until all are answered and the first is seen."""
    page.set_input_files("#choose", list(files))
    page.wait_for_selector("#list .item")
    page.locator("#list .item", has_text="…").first.wait_for(state="detached")
    until_shown(page)


def until_shown(page: Any) -> None:
    """Wait until the radiograph that was turned to is seen: it is decoded first."""
    page.locator("#stage[aria-busy=false]").wait_for()


def shown(p: float) -> str:
    return "<0.01" if 0 < p < 0.005 else ">0.99" if 0.995 <= p < 1 else f"{p:.2f}"


def middle(page: Any) -> list[int]:
    """The colour in the middle of the picture, once it has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => "
                  "requestAnimationFrame(done)))")  # fmt: skip
    found: list[int] = page.evaluate(GREY_IN_THE_MIDDLE)
    return found
