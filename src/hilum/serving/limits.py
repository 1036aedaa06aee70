"""What the server refuses, so that no sender can exhaust it or keep others waiting; and how."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive

from hilum.errors import HilumError
from hilum.radiographs.decoding import DecodingLimits
from hilum.records import MAX_PIXELS

_PROBLEM = "application/problem+json"

#: For so long the rest of a refused body is read and forgotten, since a sender that is cut off
#: while it sends may never see the answer.
_DRAIN_SECONDS = 1.0


class ServingError(HilumError):
    """A server that cannot start as it was asked to."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused, and how long anything may take. All are above 0.

    bytes: of one request's body. held_bytes: of all bodies in memory at a time. pixels: of one
    radiograph, known before it is decoded. files: in one request. queue: radiographs that are
    decoded or wait at a time, of all requests. explanations: that are computed or wait.
    upload_seconds: for a request to arrive whole, its headers too. batch: up to so many
    radiographs of several requests are classified together. wait_seconds: how long a batch waits
    for what is being decoded. connections: open at a time. answer_seconds: for an answer to be
    taken by who asked, beyond what fits into the connection's buffers.
    Raises ServingError for values that make no sense.
    """

    bytes: int = 64 << 20
    held_bytes: int = 256 << 20
    pixels: int = 40_000_000
    files: int = 16
    queue: int = 256
    explanations: int = 4
    upload_seconds: float = 30.0
    batch: int = 16
    wait_seconds: float = 0.004
    connections: int = 512
    answer_seconds: float = 120.0
    decode_seconds: float = 10.0
    decode_bytes: int = 384 << 20
    decode_budget: int = 640 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ServingError(f"The limit '{field.name}' must be above 0.")
        if self.pixels > MAX_PIXELS:
            raise ServingError(f"The limit 'pixels' is at most {MAX_PIXELS}, not {self.pixels}.")
        if self.decode_budget <= self.decode_bytes:
            raise ServingError("The limit 'decode_budget' must be above 'decode_bytes'.")
        if self.held_bytes < self.bytes or self.queue < self.files:
            raise ServingError(
                "The limits must leave room for one whole request: held_bytes at least bytes, "
                f"queue at least files; found {self}."
            )

    @property
    def decoding(self) -> DecodingLimits:
        """Those that hold for decoding."""
        return DecodingLimits(
            seconds=self.decode_seconds,
            bytes=self.decode_bytes,
            budget=self.decode_budget,
            pixels=self.pixels,
        )


class ProblemDetails(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="`about:blank`: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="A sentence: what was found, what was expected, what to do.")


class Problem(Exception):  # noqa: N818 - the standard's word
    """A refusal of a request. detail: one sentence for the sender.

    unread: the body was not read to its end, so that the connection cannot be used again.
    """

    def __init__(
        self, status: int, detail: str, *, retry_after: int | None = None, unread: bool = False
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        if unread:
            self.headers["Connection"] = "close"


def size_in_words(n: int) -> str:
    """Bytes as people say them: in MiB, the one unit for sizes; '2000 bytes' of fewer than one."""
    return f"{n / 2**20:.4g} MiB" if n >= 2**20 else f"{n} bytes"


def problem_response(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """The answer that says why."""
    content = ProblemDetails(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail
    )
    return JSONResponse(content.model_dump(), status, headers, _PROBLEM)


async def drain(receive: Receive) -> None:
    """Read what is left of a request's body, for a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await receive()).get("more_body", False):
                pass


def install_problems(app: FastAPI) -> None:
    """Let every refusal of an application be a problem, its framework's own ones too.

    What fails without one is answered by access.Guard, where security headers are added.
    """

    def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error.status, error.detail, error.headers)

    def by_framework(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = f"{error.detail}. What there is: /openapi.json"
        return problem_response(error.status_code, detail, dict(error.headers or {}))

    def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return problem_response(422, f"{found}.")

    app.add_exception_handler(Problem, refused)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(RequestValidationError, invalid)


def describe_problems(statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI description: a problem by status, with what it means."""
    return {
        status: {"model": ProblemDetails, "description": meaning}
        for status, meaning in statuses.items()
    }


def name_media_type(description: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description with refusals under their own media type."""
    for path in description["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "application/json" in response.get("content", {}):
                    response["content"] = {_PROBLEM: response["content"]["application/json"]}
    return description
