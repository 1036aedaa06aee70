"""What is counted and timed, for Prometheus; nothing of what was sent."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "hilum_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "hilum_request_seconds", "Time to the answer.", ["route"], registry=self.registry
        )
        self.radiographs = Counter(
            "hilum_radiographs", "Radiographs, by outcome.", ["status"], registry=self.registry
        )
        self.flagged = Counter(
            "hilum_flagged_radiographs",
            "Radiographs that the gate flags as unlike those of training.",
            registry=self.registry,
        )
        self.batches = Histogram(
            "hilum_batch_size",
            "Radiographs classified together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.waiting = Gauge(
            "hilum_waiting", "Radiographs that are decoded or wait.", registry=self.registry
        )
        self.held = Gauge("hilum_held_bytes", "Bytes of uploads in memory.", registry=self.registry)

    def to_text(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Counts and times the requests of an application, by route and never by path."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and note the status of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
