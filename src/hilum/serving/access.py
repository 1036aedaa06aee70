"""Who may ask, and what a browser may do with the answers."""

import hmac
import ipaddress
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.serving.limits import ServingError, drain, problem_response

#: Names that a browser on this machine reaches the server by. Any other, on a server without a
#: token, is a page of the web whose name was pointed at this machine (DNS rebinding).
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_SHORTEST = 16
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
#: Behind the token: what computes, and what tells of the classifier or its use.
_PROTECTED = ("/v1/", "/metrics")

#: Pictures come as data: and blob: because answers hold them in Base64; nothing else is inline.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: What a browser says of requests of this server's own page, and of what its user typed.
_OWN_SITES = frozenset({"same-origin", "none"})

_CLOSE = {"Connection": "close"}  # more of a body may follow


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: Path) -> str:
    """The token in a file, without what surrounds it.

    Raises ServingError where the file cannot be read or holds no token worth the name.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(f"{path}: the token cannot be read ({error}).") from None
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise ServingError(
            f"{path}: expected a token of at least {_SHORTEST} letters and digits on one line. "
            "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def check_origin(origin: str) -> str:
    """An origin as browsers write it: ``https://viewer.example:8443``, and no more.

    Raises ServingError for what is none; '*' is none, since it would be every page of the web.
    """
    if not _ORIGIN.fullmatch(origin):
        raise ServingError(
            f"'{origin}' is no origin of pages. Expected scheme, name and, where it is not the "
            "usual one, port, in lower case: https://viewer.example or http://localhost:3000"
        )
    return origin


class Guard:
    """What stands before an application: names, origins, the token; and security headers.

    token: demanded as ``Authorization: Bearer TOKEN``. Without one, only requests to a loopback
    name are answered, and none that a page of another origin sends. origins: whose pages may
    ask all the same.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, origins: Collection[str] = ()) -> None:
        self._app, self._origins = app, frozenset(origins)
        self._token = None if token is None else token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be asked; refuse the rest. Raises what the application does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["path"], Headers(scope=scope))
        if refusal is None:
            try:
                await self._app(scope, receive, send_guarded)
            except Exception:
                if not begun:
                    failed = problem_response(500, "The server failed; its log says why.", _CLOSE)
                    await failed(scope, receive, send_guarded)
                raise  # for the log
            return
        status, detail = refusal
        await drain(receive)
        headers = dict(_CLOSE)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        await problem_response(status, detail, headers)(scope, receive, send_guarded)

    def _refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        if self._token is not None:
            protected = path.startswith(_PROTECTED)
            if protected and not self._is_token(headers.get("authorization", "")):
                return 401, "This server demands its token: Authorization: Bearer TOKEN."
            return None
        host = headers.get("host", "")
        if _host_name(f"//{host}") not in LOOPBACK:
            return 421, "This server answers only to a name of this machine, such as localhost."
        origin = headers.get("origin", f"http://{host}")
        if origin in self._origins:
            return None
        if origin.partition("://")[2].lower() != host.lower() or _is_foreign(path, headers):
            return 403, "This server does not answer pages of another origin."
        return None

    def _is_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        assert self._token is not None
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        return same and scheme.lower() == "bearer"


def _is_foreign(path: str, headers: Headers) -> bool:
    """Whether a page of another origin asks, as browsers say also where they send no Origin.

    A link to the server's own page may stand anywhere.
    """
    if headers.get("sec-fetch-site", "none") in _OWN_SITES:
        return False
    return path.startswith(_PROTECTED) or headers.get("sec-fetch-mode") != "navigate"


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
