"""Listens, serves until it is told to stop, and then answers what was begun."""

import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from hilum.serving.access import is_loopback
from hilum.serving.connections import limited_protocol
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
