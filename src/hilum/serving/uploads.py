"""Files that come with a request: received within limits; nothing goes to the disk.

The framework's own form parser is not used, since it keeps larger files in temporary files.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import Request

from hilum.explanation.pictures import thumbnail_png, to_text
from hilum.prediction.stream import Reading
from hilum.radiographs.image import Facts, Picture
from hilum.radiographs.pixels import PixelTransform
from hilum.serving.bodies import Upload, body_of
from hilum.serving.limits import Limits, Problem, drain, size_in_words

_RETRY_AFTER = 2  # seconds

#: Stands for the file in refusals, so that no name that came from outside can reach a log.
FILE: Final = Path("file")
_PREVIEW_SIDE = 1024  # pixels of a preview's longer side


class Uploads:
    """Receives the files of requests, and knows how many bytes of them are in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0

    @asynccontextmanager
    async def receive(
        self, request: Request, most: int, check: Callable[[], None]
    ) -> AsyncIterator[list[Upload]]:
        """A request's files; their memory is free for others again at the end of the block.

        most: how many files, at least 1. check: raises a Problem where there is no use in reading
        the request.
        Raises Problem for another kind of body, one beyond a limit or not whole, or too slow.
        """
        mine, more = 0, True
        try:
            try:
                check()
                self._check_length(request)
                body = body_of(request.headers.get("content-type"), most)
                async with asyncio.timeout(self._limits.upload_seconds):
                    while more:
                        message = await request.receive()
                        if message["type"] == "http.disconnect":
                            raise Problem(400, "The upload was broken off.", unread=True)
                        chunk, more = message.get("body", b""), message.get("more_body", False)
                        mine += len(chunk)
                        self.held += len(chunk)
                        self._check_size(mine)
                        body.write(chunk)
            except TimeoutError:
                raise Problem(
                    408,
                    f"The upload took longer than {self._limits.upload_seconds:g} seconds.",
                    unread=True,
                ) from None
            except Problem:
                if more:
                    await drain(request.receive)
                raise
            yield body.finish()
        finally:
            self.held -= mine

    def _check_length(self, request: Request) -> None:
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._limits.bytes:
            raise self._too_large()

    def _check_size(self, size: int) -> None:
        if size > self._limits.bytes:
            raise self._too_large()
        if self.held > self._limits.held_bytes:
            raise Problem(
                429,
                "Others are sending so much that there is no room for this; try again.",
                retry_after=_RETRY_AFTER,
                unread=True,
            )

    def _too_large(self) -> Problem:
        most = size_in_words(self._limits.bytes)
        detail = f"A request may have at most {most}; send fewer files at once."
        return Problem(413, detail, unread=True)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One file. width, height: of the radiograph as it is seen; None where it cannot be read.

    preview: a grey PNG in Base64, at most 1024 pixels long, where it was asked for.
    """

    reading: Reading
    width: int | None = None
    height: int | None = None
    preview: str | None = None
    facts: Facts | None = None


def prepared(picture: Picture, transform: PixelTransform, *, preview: bool) -> Decoded:
    """A decoded upload as the networks and the sender need it.

    transform: the classifier's preprocessing.
    """
    image = picture.pixels
    height, width = image.shape
    reading = Reading(transform.to_pixels(image), coloured=picture.coloured)
    shown = to_text(thumbnail_png(image, _PREVIEW_SIDE)) if preview else None
    return Decoded(reading, width, height, shown, picture.facts)


def refused(error: Exception) -> Decoded:
    """An upload that cannot be read, and why."""
    return Decoded(Reading(None, " ".join(str(error).removeprefix(f"{FILE}: ").split())))
