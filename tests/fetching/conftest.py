"""A web server on loopback that misbehaves on request, and images small enough to count."""

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hilum.fetching.download import Access


@dataclass
class Web:
    """What the server holds and how it behaves.

    files: content by path. etag: of every file; None for none. cut: break the connection after so
    many bytes of an answer, for as many answers as there are numbers.
    headers: more of them, or others. redirects: address by path. status: by path. asked: the
    Range of every request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    cut: list[int] = field(default_factory=list)
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)


def handler_of(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # the client has gone, as it does where it refuses
                self.answer()

        def answer(self) -> None:
            path = self.path
            web.asked.append(self.headers.get("Range"))
            web.agents.add(self.headers.get("User-Agent", ""))
            if path in web.redirects:
                self.send_response(302)
                self.send_header("Location", web.redirects[path])
                self.end_headers()
                return
            if path in web.status or path not in web.files:
                self.send_error(web.status.get(path, 404))
                return
            body, start = web.files[path], 0
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if wanted and web.ranges and self.headers.get("If-Range") in (None, web.etag):
                start = int(wanted[1])
            if start > len(body):
                self.send_error(416)
                return
            headers = {"Content-Length": str(len(body) - start)}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            if web.etag:
                headers["ETag"] = web.etag
            self.send_response(206 if start else 200)
            for name, value in (headers | web.headers).items():
                self.send_header(name, value)
            self.end_headers()
            end = web.cut.pop(0) if web.cut else len(body)
            self.wfile.write(body[start : start + end])

    return Handler


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "*")
    web = Web()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(web)) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        web.address = f"http://127.0.0.1:{server.server_port}"
        yield web
        server.shutdown()
        thread.join()


#: Plain HTTP, because loopback has no certificates, and no waiting between attempts.
LOOPBACK = Access(schemes=("http",), git="file", pause_s=0.0, attempts=3, silence_s=5.0)


def touch(root: Path, *names: str) -> Path:
    """Empty files: layouts look at names only."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root
