"""Listens, serves until it is told to stop, and then answers what was begun."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from hilum.serving.access import is_loopback
from hilum.serving.limits import Limits, ServingError
from hilum.serving.service import Service

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE_SECONDS = 30


def open_socket(host: str, port: int, token: str | None) -> socket.socket:
    """A socket that listens. port: 0 takes a free one.

    Raises ServingError where others than this machine could reach a server without a token, or
    where the address cannot be had.
    """
    if not is_loopback(host) and token is None:
        raise ServingError(
            f"On {host} others can reach the server, so it needs a token: --token-file FILE. "
            "Without one it serves this machine only: --host 127.0.0.1"
        )
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.create_server((str(address[0]), port), family=family, backlog=512)
        # Inherited by connections. asyncio sets it only where a socket names its protocol; without
        # it an answer, whose head and body are written one after the other, is 40 ms late.
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServingError(f"Cannot listen on {host}, port {port} ({reason}).") from None


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve an application of create_app until SIGINT or SIGTERM; then answer what was begun.

    Called on the main thread. A second SIGINT ends at once.
    """
    service: Service = app.state.service
    limits = service.limits
    config = uvicorn.Config(
        app,
        http=limited_protocol(limits),
        ws="none",
        access_log=False,  # nothing of a request is logged
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(limits.upload_seconds) + _GRACE_SECONDS,
    )
    server = _Server(config, service)
    # uvicorn raises the signal again when it is done; by then it has been obeyed
    before = {number: signal.signal(number, _ignore) for number in _SIGNALS}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(_: int, __: FrameType | None) -> None:
    pass


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse what comes from now on over connections that are open."""
        self._service.stopping = True
        super().handle_exit(sig, frame)


def limited_protocol(limits: Limits) -> type[H11Protocol]:
    """HTTP/1.1 as uvicorn speaks it, with the limits that it lacks.

    - A request's headers must arrive within upload_seconds; the application limits the rest.
    - An answer must be taken within answer_seconds, beyond what fits into buffers.
    - Of more connections than there may be, the one is closed that has waited longest without a
      request, so that there is room for who asks; where all have one, the newest is.

    uvicorn's own limit_concurrency would answer 503 to everybody then, /health included.
    """

    class Limited(H11Protocol):
        _late: asyncio.TimerHandle | None = None
        _unread: asyncio.TimerHandle | None = None
        _idle_since = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._idle_since = self.loop.time()
            self._watch_headers()
            if len(self.connections) > limits.connections:
                self._make_room()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_headers()

        def on_response_complete(self) -> None:
            self._idle_since = self.loop.time()
            super().on_response_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unread = self._in(limits.answer_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_unread()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()  # closes when the rest was taken, or never
            self._unread = self._unread or self._in(limits.answer_seconds, self.transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_late()
            self._stop_unread()
            super().connection_lost(exc)

        def _watch_headers(self) -> None:
            if self.conn.their_state is not h11.IDLE:
                self._stop_late()  # they are whole
            elif self._late is None:
                self._late = self._in(limits.upload_seconds, self.transport.close)

        def _make_room(self) -> None:
            others = [c for c in self.connections if isinstance(c, Limited) and c is not self]
            idle = [c for c in others if c.cycle is None or c.cycle.response_complete]
            longest = min(idle, key=lambda c: c._idle_since, default=self)
            self.connections.discard(longest)  # it is lost only in a moment; others may come
            longest.transport.abort()

        def _in(self, seconds: float, do: Callable[[], object]) -> asyncio.TimerHandle:
            return self.loop.call_later(seconds, do)

        def _stop_late(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _stop_unread(self) -> None:
            if self._unread is not None:
                self._unread.cancel()
                self._unread = None

    return Limited
