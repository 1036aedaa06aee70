"""A server without a socket, a real one, and radiographs to send."""

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from hilum.classifier.calibrate import calibrate_on
from hilum.classifier.classifier import Classifier
from hilum.classifier.thumbnails import Thumbnails
from hilum.radiographs.dataset import open_dataset
from hilum.serving.app import create_app
from tests.spots import write_spots
from tests.untrained import untrained


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Untrained networks with validation figures, a gate, and training images in pictures."""
    root = tmp_path_factory.mktemp("served") / "spots"
    data = open_dataset(write_spots(root, {"train": 34, "val": 12}))
    found = calibrate_on(untrained(data), data, "val")
    assert found.reference is not None
    pictures = data.pixels(found.preprocessing)[found.reference.rows]
    return replace(
        found,
        thumbnails=Thumbnails.shrink(pictures, {}),
        provenance={"name": "spots", "notes": ["covid is a bright spot."]},
    )


@pytest.fixture(scope="session")
def bare(served: Classifier) -> Classifier:
    """The same networks without anything that calibration gives; it is served at once."""
    return replace(
        served, validation=None, gate=None, reference=None, thumbnails=None, temperatures={}
    )


@pytest.fixture(scope="session")
def radiographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Nine files, three of each class."""
    root = write_spots(tmp_path_factory.mktemp("sent") / "sent", {"new": 3}, seed=7)
    return sorted(root.rglob("*.png"))


def png(size: tuple[int, int] = (32, 32), mode: str = "L", seed: int = 0) -> bytes:
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Server:
    """Sends requests to an application in this process, all of a call at the same time."""

    def __init__(self, app: Any, base_url: str = "http://localhost") -> None:
        self.app, self._base_url = app, base_url

    def send(self, *requests: dict[str, Any]) -> list[httpx.Response]:
        async def all_of_them() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url) as client:
                return list(await asyncio.gather(*(client.request(**r) for r in requests)))

        return asyncio.run(all_of_them())

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self.send({"method": "GET", "url": url, **more})[0]

    def post(self, url: str, **more: Any) -> httpx.Response:
        return self.send({"method": "POST", "url": url, **more})[0]

    def predict(self, *files: bytes | tuple[str, bytes], **more: Any) -> httpx.Response:
        named = [f if isinstance(f, tuple) else (f"{i}.png", f) for i, f in enumerate(files)]
        return self.post("/v1/predictions", files=[("files", f) for f in named], **more)


@contextmanager
def server_of(
    classifier: Classifier, base_url: str = "http://localhost", **more: Any
) -> Iterator[Server]:
    app = create_app(classifier, **more)
    try:
        yield Server(app, base_url)
    finally:
        app.state.service.close()


@pytest.fixture(scope="session")
def server(served: Classifier) -> Iterator[Server]:
    with server_of(served) as found:
        yield found


@pytest.fixture
def make(bare: Classifier) -> Iterator[Callable[..., Server]]:
    """A server with other settings than usual, of a classifier without calibration."""
    opened: list[AbstractContextManager[Server]] = []

    def open_one(**more: Any) -> Server:
        context = server_of(bare, **more)
        opened.append(context)
        return context.__enter__()

    yield open_one
    for context in opened:
        context.__exit__(None, None, None)
