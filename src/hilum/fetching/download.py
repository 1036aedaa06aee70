"""Downloading a file over HTTPS: resumed where it broke off, bounded, and checked.

Sources: RFC 9110, sections 13.1.5 (If-Range), 14.2 (Range) and 8.8.3 (ETag).
"""

import hashlib
import http.client
import json
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from hilum import __version__
from hilum.errors import DataError
from hilum.files import put_in_place, write_atomically
from hilum.records import Progress

#: Answers that pass: too many requests, and a server in trouble.
_PASSING = (429, 500, 502, 503, 504)
_JSON_BYTES = 1 << 20
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Access:
    """How the network may be used. Only tests, which have no certificates, change the schemes.

    schemes: of addresses and of what they redirect to. git: protocols of git. attempts: how often
    a broken connection is taken up. pause_s: before the second attempt; it doubles each time.
    silence_s: the longest wait for the next bytes. patience_s: over so many seconds at least
    slowest_rate bytes per second must come.
    """

    schemes: tuple[str, ...] = ("https",)
    git: str = "https"
    attempts: int = 5
    pause_s: float = 1.0
    silence_s: float = 30.0
    patience_s: float = 60.0
    slowest_rate: int = 1024


class _Broken(Exception):  # noqa: N818 - not an error yet: the next attempt may do
    """The connection broke, or the server could not answer; with which status, if with one."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Job:
    """A download: into which file, and what was known when it began (state)."""

    url: str
    part: Path
    label: str
    max_bytes: int
    access: Access
    progress: Progress | None

    @property
    def state(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")


def download(
    url: str,
    target: Path,
    *,
    max_bytes: int,
    expected: Mapping[str, str],
    access: Access,
    progress: Progress | None = None,
) -> str:
    """Download a file and check it; the SHA-256 of what came, in hexadecimal.

    What came of a broken download stays beside the target, as ``NAME.part``, and is gone on with
    in the next call, if the server says that its file is still the same. expected: sums in
    hexadecimal by algorithm ('sha256', 'md5'); may be empty.

    Raises DataError where the address is not of an allowed scheme, the server refuses, redirects
    elsewhere, sends more than max_bytes or nothing for too long, the disk is too small, or a sum
    differs (the file is then removed).
    """
    part = target.with_name(f"{target.name}.part")
    job = _Job(url, part, target.name, max_bytes, access, progress)
    for attempt in range(access.attempts):
        if target.exists():
            break
        try:
            _go_on(job)
            put_in_place(part, target)
            job.state.unlink(missing_ok=True)
        except _Broken as error:
            if attempt + 1 == access.attempts:
                have = part.stat().st_size if part.exists() else 0
                raise DataError(
                    f"{url}: could not be downloaded ({error}). {have:,} bytes are kept: run the "
                    "same command again later to go on."
                ) from None
            time.sleep(access.pause_s * 2**attempt)
    digests = {name: _digest(target, name) for name in {"sha256", *expected}}
    for name, digest in expected.items():
        if digests[name] != digest:
            target.unlink()
            raise DataError(
                f"{url}: the file that came has the {name.upper()} {digests[name]}, expected "
                f"{digest}; it was removed. Try again; if it comes again, do not use it."
            )
    return digests["sha256"]


def fetch_json(url: str, access: Access) -> Any:
    """Fetch a small JSON document. Raises DataError, as download does."""
    try:
        with _open(url, {"Accept": "application/json"}, access) as response:
            text = _read(response, _JSON_BYTES + 1)
            while piece := _read(response, _JSON_BYTES + 1 - len(text)):
                text += piece
    except _Broken as error:
        raise DataError(f"{url}: could not be read ({error}); try again later.") from None
    try:
        if len(text) > _JSON_BYTES:
            raise ValueError
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(f"{url}: expected a short JSON document, found something else.") from None


def check_address(url: str, schemes: tuple[str, ...]) -> None:
    """Raise DataError where an address is not of one of the schemes."""
    scheme = urlsplit(url).scheme
    if scheme not in schemes:
        raise DataError(
            f"{url}: leads to '{scheme}:', expected {' or '.join(schemes)}; nothing was fetched."
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def __init__(self, schemes: tuple[str, ...]) -> None:
        self.schemes = schemes

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_address(newurl, self.schemes)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, headers: Mapping[str, str], access: Access) -> http.client.HTTPResponse:
    check_address(url, access.schemes)
    # Built by hand: the usual opener also reads file:, data: and ftp: addresses.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(access.schemes),
    ):
        opener.add_handler(handler)
    opener.addheaders = []
    common = {"User-Agent": f"hilum/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers={**common, **headers})
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=access.silence_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (*_PASSING, 416):
            raise _Broken(f"the server answered {error.code} {error.reason}", error.code) from None
        raise DataError(
            f"{url}: the server answered {error.code} {error.reason}; it may have moved."
        ) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror | ssl.SSLCertVerificationError):
            raise DataError(f"{url}: cannot be reached ({error.reason}).") from None
        raise _Broken(str(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from None
    return response


def _read(response: http.client.HTTPResponse, most: int = _PIECE) -> bytes:
    try:
        return response.read1(most) if most else b""
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from None


def _state(job: _Job) -> dict[str, Any]:
    """What was known of the file when its first bytes came; empty where it cannot be gone on."""
    try:
        state = json.loads(job.state.read_text(encoding="utf-8"))
        known = state["url"] == job.url and state["validator"] and state["bytes"]
        return state if known and job.part.exists() else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _validator(headers: Message) -> str | None:
    """What tells this version of a file from others; a weak ETag (W/…) does not, byte for byte."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _go_on(job: _Job) -> None:
    """One attempt: from where the last one ended, if the file is still the same."""
    state = _state(job)
    have = job.part.stat().st_size if state else 0
    if state and have == state["bytes"]:
        return  # it was complete, and only not yet renamed
    headers = {"Range": f"bytes={have}-", "If-Range": state["validator"]} if have else {}
    try:
        response = _open(job.url, headers, job.access)
    except _Broken as error:
        if error.status == 416:  # what lies here is no beginning of what lies there
            job.part.unlink(missing_ok=True)
        raise
    with response:
        start = have if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if response.status == 206:
            _check_range(job, response.headers.get("Content-Range"), start, state.get("bytes"))
        if total is not None:
            _check_room(job, start, total)
        if start == 0:
            known = {"url": job.url, "validator": _validator(response.headers), "bytes": total}
            job.part.unlink(missing_ok=True)
            write_atomically(job.state, json.dumps(known).encode())
        with job.part.open("ab") as file:
            _receive(job, response, file, start, total)


def _check_range(job: _Job, given: str | None, start: int, total: int | None) -> None:
    if not given or not given.startswith(f"bytes {start}-") or not given.endswith(f"/{total}"):
        raise DataError(
            f"{job.url}: was asked for the bytes from {start:,} of {total}, and sent '{given}'; "
            f"remove {job.part} and start again."
        )


def _check_room(job: _Job, start: int, total: int) -> None:
    if total > job.max_bytes:
        raise DataError(
            f"{job.url}: announces {total:,} bytes, expected at most {job.max_bytes:,}; nothing "
            "was fetched."
        )
    free = shutil.disk_usage(job.part.parent).free
    if total - start > free:
        raise DataError(
            f"{job.part.parent}: {free:,} bytes are free, {total - start:,} are needed; make "
            "room, or choose another folder with --out."
        )


def _receive(
    job: _Job, response: http.client.HTTPResponse, file: IO[bytes], start: int, total: int | None
) -> None:
    done = start
    since, done_then = time.monotonic(), done
    while piece := _read(response):
        done += len(piece)
        if done > job.max_bytes:
            raise DataError(f"{job.url}: sent more than {job.max_bytes:,} bytes; it was stopped.")
        file.write(piece)
        if job.progress and total is not None:
            job.progress(f"downloading {job.label}", done, total)
        seconds = time.monotonic() - since
        if seconds > job.access.patience_s:
            if done - done_then < job.access.slowest_rate * seconds:
                raise _Broken(f"only {done - done_then:,} bytes came in {seconds:.0f} s")
            since, done_then = time.monotonic(), done
    if total is not None and done < total:
        raise _Broken(f"the connection ended after {done:,} of {total:,} bytes")


def _digest(file: Path, algorithm: str) -> str:
    with file.open("rb") as content:
        # MD5 is what some publishers give; it finds damage, TLS keeps strangers out.
        return hashlib.file_digest(
            content, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
