"""Connections that cannot be held for ever, over real sockets."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
import uvicorn

from hilum.serving.limits import Limits
from hilum.serving.run import limited_protocol

_LARGE = 64 << 20  # bytes: more than sockets keep


class App:
    """/wait answers when it is let go; /large with many bytes, and then says that it ended."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = (threading.Event() for _ in range(3))

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/wait":
            self.begun.set()
            await asyncio.to_thread(self.go.wait, 20)
        body = b"x" * (_LARGE if scope["path"] == "/large" else 2)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        # two parts: the second waits until the first was taken
        await send({"type": "http.response.body", "body": body[:-1], "more_body": True})
        await send({"type": "http.response.body", "body": body[-1:]})
        if scope["path"] == "/large":
            self.ended.set()


@contextmanager
def running(app: App, limits: Limits) -> Iterator[int]:
    """The port of a server in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        protocol = limited_protocol(limits)
        config = uvicorn.Config(
            app, http=protocol, lifespan="off", log_level="critical", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            app.go.set()
            server.should_exit = True
            thread.join()


@pytest.fixture
def connect() -> Iterator[Callable[[int, str], socket.socket]]:
    """Open a connection and, where a path is given, ask for it."""
    opened: list[socket.socket] = []

    def one(port: int, path: str = "") -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        if path:
            opened[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_connection_that_waited_longest_makes_room(connect):
    with running(App(), Limits(connections=2)) as port:
        oldest, middle = connect(port), connect(port)
        answer = httpx.get(f"http://127.0.0.1:{port}/health")

        assert answer.status_code == 200
        assert is_closed(oldest)
        middle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert middle.recv(12) == b"HTTP/1.1 200"


def test_who_is_being_answered_is_not_dropped_for_others(connect):
    app = App()
    with running(app, Limits(connections=1)) as port:
        asked = connect(port, "/wait")
        assert app.begun.wait(20)

        assert is_closed(connect(port))

        app.go.set()
        assert asked.recv(12) == b"HTTP/1.1 200"


def test_who_does_not_read_the_answer_is_dropped(connect):
    app = App()
    with running(app, Limits(answer_seconds=0.2)) as port:
        reader = connect(port, "/large")

        assert app.ended.wait(20)  # nothing was read, and yet the answer does not wait

        taken = 0
        with suppress(ConnectionResetError):
            while chunk := reader.recv(1 << 20):
                taken += len(chunk)
        assert taken < _LARGE


def test_who_reads_the_answer_gets_it_whole():
    with running(App(), Limits()) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/large")

    assert len(answer.content) == _LARGE
