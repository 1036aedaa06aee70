"""The files in a request's body, as it arrives: a form, or JSON with files in Base64.

Neither framework's nor library's reader is used for the whole: those keep larger files of a form
in temporary files, and of JSON build whatever a sender thinks of, many times its size.
"""

import binascii
import json
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hilum.errors import DataError
from hilum.parsing import parse_json
from hilum.serving.limits import Problem

#: The field of files, and its name in older versions for a single one.
FIELD: Final = "files"
_FIELDS: Final = (FIELD, "file")
_LONGEST_NAME: Final = 255  # characters
#: Bytes of a JSON body without its files, and of a string in it that is none.
_LARGEST_FRAME: Final = 1 << 16
_LONGEST_STRING: Final = 1 << 11


@dataclass(frozen=True, slots=True)
class Upload:
    """One file. name: as the sender gave it, for the answer only; nothing is opened by it."""

    name: str
    file: BytesIO = field(repr=False)


class Body(Protocol):
    """What a request's bytes are given to."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Problem for what holds no files as it should."""

    def finish(self) -> list[Upload]:
        """The files, at least one. Raises Problem where the body is not whole or has none."""


def body_of(content_type: str | None, most: int) -> Body:
    """What reads a body of this type, of at most so many files. Raises Problem for other types."""
    kind, options = parse_options_header(content_type)
    if kind == b"application/json":
        return _Json(most)
    if kind != b"multipart/form-data":
        raise Problem(
            415,
            "Expected files in a form (multipart/form-data) or in JSON (application/json), found "
            f"'{kind.decode('latin-1')[:80]}'.",
            unread=True,
        )
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Problem(422, "The form's Content-Type names no boundary.", unread=True)
    return _Form(boundary, most)


def _too_many(most: int) -> Problem:
    files = "file" if most == 1 else "files"
    return Problem(413, f"At most {most} {files} at once.", unread=True)


class _Json:
    """``{"files": [{"name": "one.png", "content": "BASE64"}]}``.

    Long strings are taken out as they arrive, and decoded; what is left is short, and only that
    is parsed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._frame = bytearray()
        self._string: bytearray | None = None  # the one that is being read
        self._files: dict[int, BytesIO] = {}

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Problem for what holds no files as it should."""
        start = 0
        while start < len(chunk):
            quote = chunk.find(b'"', start)
            piece = chunk[start:] if quote < 0 else chunk[start:quote]
            start = len(chunk) if quote < 0 else quote + 1
            if self._string is None:
                self._add(piece)
                self._string = None if quote < 0 else bytearray()
                continue
            self._string += piece
            if quote >= 0:
                self._close()

    def finish(self) -> list[Upload]:
        """The files, at least one. Raises Problem where the body is not whole or has none."""
        try:
            found = parse_json(self._frame.decode(), "The request", DataError)
        except (DataError, UnicodeDecodeError) as error:
            raise Problem(422, str(error)) from None
        listed = found.get(FIELD) if isinstance(found, dict) else None
        if self._string is not None or not isinstance(listed, list) or not listed:
            raise _no_files()
        if len(listed) > self._most:
            raise _too_many(self._most)
        return [self._upload(item) for item in listed]

    def _add(self, piece: bytes) -> None:
        self._frame += piece
        if len(self._frame) > _LARGEST_FRAME:
            raise _no_files()

    def _close(self) -> None:
        """A quote was read in a string: its end, or one of its characters."""
        string, self._string = self._string, None
        assert string is not None
        if len(string) <= _LONGEST_STRING:
            escapes = len(string) - len(string.rstrip(b"\\"))
            if escapes % 2:
                self._string = string + b'"'
            else:
                self._add(b'"' + string + b'"')
            return
        if len(self._files) == self._most:
            raise _too_many(self._most)
        self._add(b"[%d]" % len(self._files))  # which no string is
        self._files[len(self._files)] = _decoded(string)

    def _upload(self, item: object) -> Upload:
        match item:
            case {"content": str(text), **more}:
                file = _decoded(text.encode("ascii", "replace"))
            case {"content": [int(number)], **more} if number in self._files:
                file = self._files.pop(number)
            case _:
                raise _no_files()
        name = more.get("name", "")
        if not isinstance(name, str) or more.keys() - {"name"}:
            raise _no_files()
        name = name.encode("utf-8", "replace").decode()  # JSON can hold half a character
        return Upload(name[:_LONGEST_NAME], file)


def _decoded(text: bytes | bytearray) -> BytesIO:
    try:
        # some writers of JSON escape a slash, which Base64 has
        return BytesIO(binascii.a2b_base64(text.replace(b"\\/", b"/"), strict_mode=True))
    except (ValueError, binascii.Error):
        raise Problem(422, "The content of a file is no Base64.", unread=True) from None


def _no_files() -> Problem:
    shape = json.dumps({FIELD: [{"name": "one.png", "content": "BASE64"}]})
    return Problem(422, f"Expected files as {shape}.", unread=True)


class _Form:
    """A form of files, parsed as it arrives."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self._most = most
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
            raise Problem(422, f"The form holds no file: send one as the field '{FIELD}'.")
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
        if found not in _FIELDS:
            raise Problem(
                422,
                f"The form's files are sent as the field '{FIELD}'; found '{found[:80]}'.",
                unread=True,
            )
        if len(self._uploads) == self._most:
            raise _too_many(self._most)
        name = options.get(b"filename", b"").decode("utf-8", "replace")[:_LONGEST_NAME]
        self._uploads.append(Upload(name, BytesIO()))

    def _add_to_file(self, data: bytes, start: int, end: int) -> None:
        self._uploads[-1].file.write(data[start:end])

    def _end(self) -> None:
        self._whole = True


def _unreadable(error: Exception) -> Problem:
    return Problem(422, f"The form cannot be read ({error}).", unread=True)
