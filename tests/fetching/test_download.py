"""Downloads from a server on loopback that breaks off, lies, and never ends."""

import hashlib
import json
import urllib.request
from dataclasses import replace
from http.client import HTTPMessage
from io import BytesIO
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from hilum.errors import DataError
from hilum.fetching.download import Access, _Redirects, download, fetch_json
from tests.fetching.conftest import LOOPBACK, Web

BODY = bytes(range(256)) * 400  # 102,400 bytes
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


def fetch(
    web: Web,
    target: Path,
    *,
    path: str = "/data.zip",
    most: int = 200_000,
    access: Access = LOOPBACK,
    expected: dict[str, str] | None = None,
) -> str:
    wanted = {"sha256": SHA256} if expected is None else expected
    return download(web.address + path, target, max_bytes=most, expected=wanted, access=access)


@pytest.fixture
def target(web: Web, tmp_path: Path) -> Path:
    web.files["/data.zip"] = BODY
    return tmp_path / "data.zip"


def test_a_file_comes_whole_with_its_sums_checked(web: Web, target: Path) -> None:
    told: list[tuple[str, int, int]] = []

    digest = download(
        f"{web.address}/data.zip", target, max_bytes=200_000,
        expected={"sha256": SHA256, "md5": MD5}, access=LOOPBACK,
        progress=lambda *step: told.append(step),
    )  # fmt: skip

    assert digest == SHA256
    assert target.read_bytes() == BODY
    assert told[-1] == ("downloading data.zip", 102_400, 102_400)
    assert [p.name for p in target.parent.iterdir()] == ["data.zip"]
    assert web.agents.pop().startswith("hilum/")


def test_a_broken_connection_is_taken_up_where_it_broke(web: Web, target: Path) -> None:
    web.cut = [40_000, 10_000]

    assert fetch(web, target) == SHA256

    assert target.read_bytes() == BODY
    assert web.asked == [None, "bytes=40000-", "bytes=50000-"]


def test_a_later_call_goes_on(web: Web, target: Path) -> None:
    web.cut = [1000, 1000, 1000]
    with pytest.raises(DataError, match=r"3,000 bytes are kept: run the same command again"):
        fetch(web, target)
    assert not target.exists()

    assert fetch(web, target) == SHA256

    assert web.asked[-1] == "bytes=3000-"
    assert target.read_bytes() == BODY


def test_a_complete_part_is_not_asked_for_again(web: Web, target: Path) -> None:
    state = {"url": f"{web.address}/data.zip", "validator": '"one"', "bytes": len(BODY)}
    target.with_name("data.zip.part").write_bytes(BODY)
    target.with_name("data.zip.part.json").write_text(json.dumps(state))

    assert fetch(web, target) == SHA256
    assert web.asked == []


def test_another_version_of_the_file_starts_again(web: Web, target: Path) -> None:
    web.cut = [1000] * 3
    with pytest.raises(DataError):
        fetch(web, target)
    web.etag, web.files["/data.zip"] = '"two"', BODY[::-1]

    fetch(web, target, expected={})

    assert target.read_bytes() == BODY[::-1]


@pytest.mark.parametrize("etag", ['W/"one"', None])
def test_without_a_strong_validator_it_starts_again(
    web: Web, target: Path, etag: str | None
) -> None:
    web.etag, web.cut = etag, [1000]

    assert fetch(web, target) == SHA256
    assert web.asked == [None, None]


def test_a_server_without_ranges_starts_again(web: Web, target: Path) -> None:
    web.ranges, web.cut = False, [1000]

    assert fetch(web, target) == SHA256
    assert web.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_part_that_is_too_long_or_unknown_starts_again(
    web: Web, target: Path, nested: bool
) -> None:
    state = {"url": f"{web.address}/data.zip", "validator": '"one"', "bytes": 999_999}
    target.with_name("data.zip.part").write_bytes(BODY + b"more")
    said = "[" * 200_000 if nested else json.dumps(state)
    target.with_name("data.zip.part.json").write_text(said)

    assert fetch(web, target) == SHA256


def test_a_range_that_was_not_asked_for_is_refused(web: Web, target: Path) -> None:
    web.cut = [1000]
    web.headers["Content-Range"] = "bytes 0-102399/102400"

    with pytest.raises(DataError, match=r"asked for the bytes from 1,000 of 102400, and sent"):
        fetch(web, target)


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_a_wrong_sum_is_refused_and_the_file_removed(web: Web, target: Path, name: str) -> None:
    with pytest.raises(
        DataError, match=rf"has the {name.upper()} [0-9a-f]+, expected 00ff; it was"
    ):
        fetch(web, target, expected={name: "00ff"})

    assert not list(target.parent.iterdir())


def test_a_huge_file_is_refused_before_it_comes(web: Web, target: Path) -> None:
    web.headers["Content-Length"] = str(10**15)

    with pytest.raises(DataError, match=r"announces 1,000,000,000,000,000 bytes, expected at most"):
        fetch(web, target)
    with pytest.raises(DataError, match=r"bytes are free, 1,000,000,000,000,000 are needed"):
        fetch(web, target, most=10**16)


def test_a_stream_without_an_end_is_stopped(web: Web, target: Path) -> None:
    web.headers["Content-Length"] = "unknown"

    with pytest.raises(DataError, match=r"sent more than 50,000 bytes"):
        fetch(web, target, most=50_000)


def test_a_trickle_counts_as_broken(
    web: Web, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=count(step=1000).__next__, sleep=lambda seconds: None)
    monkeypatch.setattr("hilum.fetching.download.time", clock)
    web.files["/data.zip"] = 4 * BODY  # more than all attempts take, however large the pieces are

    with pytest.raises(DataError, match=r"only [\d,]+ bytes came in 1000 s"):
        fetch(web, target, most=500_000)
    assert len(web.asked) == LOOPBACK.attempts


def test_silence_counts_as_broken(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/x"
        hasty = replace(LOOPBACK, silence_s=0.1, attempts=2)
        with pytest.raises(DataError, match=r"could not be downloaded \(timed out\)"):
            download(url, tmp_path / "x", max_bytes=10, expected={}, access=hasty)


def test_a_server_in_trouble_is_asked_again_and_a_missing_file_is_not(
    web: Web, target: Path
) -> None:
    web.status["/busy"] = 503

    with pytest.raises(DataError, match=r"could not be downloaded \(the server answered 503"):
        fetch(web, target, path="/busy")
    assert len(web.asked) == 3
    with pytest.raises(DataError, match=r"answered 404 Not Found; it may have moved"):
        fetch(web, target, path="/missing")
    assert len(web.asked) == 4


def test_redirects_stay_within_the_scheme(web: Web, target: Path) -> None:
    web.redirects = {
        "/moved": "/data.zip",
        "/ftp": "ftp://127.0.0.1/x",
        "/https": "https://127.0.0.1/x",
        "/file": "file:///etc/hostname",
        "/round": "/round",
    }

    assert fetch(web, target, path="/moved") == SHA256
    target.unlink()
    for path in ("/ftp", "/https", "/file", "/round"):
        with pytest.raises(DataError, match=r"leads to|answered 302"):
            fetch(web, target, path=path)
    assert not target.exists()


def test_https_is_never_left() -> None:
    request = urllib.request.Request("https://example.org/data.zip")

    with pytest.raises(DataError, match=r"http://example.org/x: leads to 'http:', expected https"):
        _Redirects(Access().schemes).redirect_request(
            request,
            BytesIO(),
            302,
            "Found",
            HTTPMessage(),
            "http://example.org/x",
        )


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "file:///etc/hostname", "data:,x", "x"])
def test_only_https_by_default(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected https; nothing was fetched"):
        download(url, tmp_path / "x", max_bytes=10, expected={}, access=Access())


def test_json_is_short_and_sound(web: Web) -> None:
    web.files = {
        "/good": b'[{"filename": "a.zip"}]',
        "/page": b"<html>",
        "/long": b" " * (2 << 20),
        "/deep": b"[" * 200_000,
    }

    assert fetch_json(f"{web.address}/good", LOOPBACK) == [{"filename": "a.zip"}]
    for path in ("/page", "/long", "/deep"):
        with pytest.raises(DataError, match=r"expected a short JSON document"):
            fetch_json(web.address + path, LOOPBACK)
