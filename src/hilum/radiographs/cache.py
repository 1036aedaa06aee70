"""The folder where decoded pixels are kept. It can be removed at any time."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import platformdirs

from hilum.errors import DataError
from hilum.files import locked, sha256, write_atomically


def cache_folder() -> Path:
    """Where decoded pixels are kept: $HILUM_CACHE, or the user's cache folder."""
    given = os.environ.get("HILUM_CACHE")
    return Path(given) if given else platformdirs.user_cache_path("hilum")


def cache_refusal(folder: Path, error: OSError) -> DataError:
    """What to say where the cache cannot be written."""
    return DataError(
        f"{folder}: cannot keep the decoded pixels there ({error.strerror or error}). "
        "Free some space, or name another folder in HILUM_CACHE."
    )


_BYTES = 32
_DIGITS = 16


def salt_of(root: Path) -> bytes:
    """The salt of the data set in a folder, made when it is first asked for: 32 random bytes.

    It is kept in the cache and nowhere else. Where the cache is removed or the data are moved,
    another is made, and patients get other names. Raises DataError where it cannot be kept.
    """
    file = cache_folder() / "salts" / f"{sha256(os.fsencode(root.resolve()))[:32]}.bin"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_suffix(".bin.lock")):  # two processes must not make two
            if not file.is_file():
                write_atomically(file, secrets.token_bytes(_BYTES), mode=0o600)
        salt = file.read_bytes()
    except OSError as error:
        raise cache_refusal(file.parent, error) from None
    if len(salt) != _BYTES:
        raise DataError(f"{file}: is damaged; remove it (patients then get other names).")
    return salt


def salted_name(salt: bytes, *parts: str) -> str:
    """A name for what the parts say, which cannot be guessed back without the salt.

    Returns 16 hexadecimal digits of an HMAC-SHA256 (RFC 2104).
    """
    message = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hmac.new(salt, message, hashlib.sha256).hexdigest()[:_DIGITS]
