"""How much the server takes on, so that no sender can exhaust it or keep others waiting."""

from dataclasses import dataclass, fields

from hilum.errors import HilumError
from hilum.records import MAX_PIXELS


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
    held_bytes: int = 512 << 20
    pixels: int = 40_000_000
    files: int = 16
    queue: int = 256
    explanations: int = 4
    upload_seconds: float = 30.0
    batch: int = 16
    wait_seconds: float = 0.004
    connections: int = 512
    answer_seconds: float = 120.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ServingError(f"The limit '{field.name}' must be above 0.")
        if self.pixels > MAX_PIXELS:
            raise ServingError(f"The limit 'pixels' is at most {MAX_PIXELS}, not {self.pixels}.")
        if self.held_bytes < self.bytes or self.queue < self.files:
            raise ServingError(
                "The limits must leave room for one whole request: held_bytes at least bytes, "
                f"queue at least files; found {self}."
            )
