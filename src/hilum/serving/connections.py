"""Connections that cannot be held for ever: by who sends slowly, reads slowly, or does nothing."""

import asyncio
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hilum.serving.limits import Limits


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
