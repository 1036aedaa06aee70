"""Listens, serves until it is told to stop, and then answers what was begun."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from hilum.serving.access import is_loopback
from hilum.serving.limits import ServingError
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
    seconds = service.limits.upload_seconds
    config = uvicorn.Config(
        app,
        http=_timed_protocol(seconds),
        ws="none",
        access_log=False,  # nothing of a request is logged
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(seconds) + _GRACE_SECONDS,
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


def _timed_protocol(seconds: float) -> type[H11Protocol]:
    """HTTP/1.1 as uvicorn speaks it, with the time limit that it lacks for a request's headers."""

    class Timed(H11Protocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _watch(self) -> None:
            if self.conn.their_state is not h11.IDLE:
                self._forget()  # the headers are whole; the application limits the rest
            elif self._late is None:
                close: Callable[[], Any] = self.transport.close
                self._late = self.loop.call_later(seconds, close)

        def _forget(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return Timed
