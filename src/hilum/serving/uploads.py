"""Files that come with a request: received within limits; nothing goes to the disk.

The framework's own form parser is not used, since it keeps larger files in temporary files.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hilum.explanation.pictures import thumbnail_png, to_text
from hilum.prediction.stream import Reading
from hilum.radiographs.image import Picture
from hilum.radiographs.pixels import PixelTransform
from hilum.serving.limits import Limits, Problem, drain

_LONGEST_NAME = 255  # characters
_RETRY_AFTER = 2  # seconds
_KIND = b"multipart/form-data"

#: Stands for the file in refusals, so that no name that came from outside can reach a log.
FILE: Final = Path("file")
_PREVIEW_SIDE = 1024  # pixels of a preview's longer side


@dataclass(frozen=True, slots=True)
class Upload:
    """One file. name: as the sender gave it, for the answer only; nothing is opened by it."""

    name: str
    file: BytesIO = field(repr=False)


class Uploads:
    """Receives the files of requests, and knows how many bytes of them are in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0

    @asynccontextmanager
    async def receive(
        self, request: Request, name: str, most: int, check: Callable[[], None]
    ) -> AsyncIterator[list[Upload]]:
        """The files of a form; their memory is free for others again at the end of the block.

        name: of the form's field, the only one there may be. most: how many files, at least 1.
        check: raises a Problem where there is no use in reading the request.
        Raises Problem for another kind of body, one beyond a limit or not whole, or too slow.
        """
        mine, more = 0, True
        try:
            try:
                check()
                self._check_length(request)
                form = _Form(_boundary(request), name, most)
                async with asyncio.timeout(self._limits.upload_seconds):
                    while more:
                        message = await request.receive()
                        if message["type"] == "http.disconnect":
                            raise Problem(400, "The upload was broken off.", unread=True)
                        chunk, more = message.get("body", b""), message.get("more_body", False)
                        mine += len(chunk)
                        self.held += len(chunk)
                        self._check_size(mine)
                        form.write(chunk)
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
            yield form.finish()
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
        detail = f"A request may have at most {self._limits.bytes} bytes; send fewer files at once."
        return Problem(413, detail, unread=True)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != _KIND:
        raise Problem(
            415,
            "Expected a form with files (multipart/form-data), found "
            f"'{kind.decode('latin-1')[:80]}'.",
            unread=True,
        )
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Problem(422, "The form's Content-Type names no boundary.", unread=True)
    return boundary


class _Form:
    """A form of files, parsed as it arrives."""

    def __init__(self, boundary: bytes, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._uploads: list[Upload] = []
        self._header, self._disposition = b"", b""
        self._value = b""
        self._whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_to_header,
                    "on_header_value": self._add_to_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._add_to_file,
                    "on_end": self._end,
                },
            )
        except (FormParserError, ValueError) as error:
            raise _unreadable(error) from None

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Problem for what is not such a form."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unreadable(error) from None

    def finish(self) -> list[Upload]:
        """The files, at least one. Raises Problem where the form is not whole or has none."""
        if not self._whole:
            raise Problem(422, "The form is cut off: its closing boundary is missing.")
        if not self._uploads:
            raise Problem(422, f"The form holds no file: send one as the field '{self._name}'.")
        for upload in self._uploads:
            upload.file.seek(0)
        return self._uploads

    def _begin(self) -> None:
        self._disposition = self._header = self._value = b""

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        found = options.get(b"name", b"").decode("utf-8", "replace")
        if found != self._name:
            raise Problem(
                422,
                f"The form's files are sent as the field '{self._name}'; found '{found[:80]}'.",
                unread=True,
            )
        if len(self._uploads) == self._most:
            files = "file" if self._most == 1 else "files"
            raise Problem(413, f"At most {self._most} {files} at once.", unread=True)
        name = options.get(b"filename", b"").decode("utf-8", "replace")[:_LONGEST_NAME]
        self._uploads.append(Upload(name, BytesIO()))

    def _add_to_file(self, data: bytes, start: int, end: int) -> None:
        self._uploads[-1].file.write(data[start:end])

    def _end(self) -> None:
        self._whole = True


def _unreadable(error: Exception) -> Problem:
    return Problem(422, f"The form cannot be read ({error}).", unread=True)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One file. width, height: of the radiograph as it is seen; None where it cannot be read.

    preview: a grey PNG in Base64, at most 1024 pixels long, where it was asked for.
    """

    reading: Reading
    width: int | None = None
    height: int | None = None
    preview: str | None = None


def prepared(picture: Picture, transform: PixelTransform, *, preview: bool) -> Decoded:
    """A decoded upload as the networks and the sender need it.

    transform: the classifier's preprocessing.
    """
    image = picture.pixels
    height, width = image.shape
    reading = Reading(transform.to_pixels(image), coloured=picture.coloured)
    shown = to_text(thumbnail_png(image, _PREVIEW_SIDE)) if preview else None
    return Decoded(reading, width, height, shown)


def refused(error: Exception) -> Decoded:
    """An upload that cannot be read, and why."""
    return Decoded(Reading(None, " ".join(str(error).removeprefix(f"{FILE}: ").split())))
