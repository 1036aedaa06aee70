"""Signatures of results: who signed what came out of which capsule.

Ed25519 by the package cryptography. The key is made on first use and lies in the user's
configuration folder, readable by the user alone. It is named by its fingerprint, which is to be
compared by another way than the result came by (read out on the telephone, say): a signature shows
that nothing was changed since, and that several results are of one signer, not who that is.
"""

import base64
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from hilum.capsule.result import Signed, SiteResult
from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.files import sha256, write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY_FILE = "capsule-key.pem"


def key_path() -> Path:
    """Where the user's key lies: in $HILUM_CONFIG, or the user's configuration folder."""
    given = os.environ.get("HILUM_CONFIG")
    return (Path(given) if given else platformdirs.user_config_path("hilum")) / _KEY_FILE


def canonical(value: Any) -> bytes:
    """A value as the one JSON text that is signed for it: keys in their order, no blanks, UTF-8."""
    plain = to_plain(value)
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def fingerprint(key: str) -> str:
    """What a public key is called: 128 bits of its SHA-256, in eight groups.

    key: in Base64.
    """
    digits = sha256(base64.b64decode(key))[:32]
    return " ".join(digits[i : i + 4] for i in range(0, 32, 4))


def sign(result: SiteResult) -> Signed:
    """Sign a result, which names its capsule, by the user's key.

    Raises EvaluationError where cryptography is not installed, or the key cannot be read or made,
    or others may read it.
    """
    with _cryptography():
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        key = _own_key()
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        signature = key.sign(_message(result))
    in_text = (base64.b64encode(data).decode("ascii") for data in (public, signature))
    return Signed(result, *in_text)


def is_genuine(signed: Signed) -> bool:
    """Whether the signature is that of its key over this very result.

    Raises EvaluationError where cryptography is not installed.
    """
    with _cryptography():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signed.key, validate=True))
            key.verify(base64.b64decode(signed.signature, validate=True), _message(signed.result))
        except (InvalidSignature, ValueError):
            return False
    return True


def _message(result: SiteResult) -> bytes:
    return f"hilum capsule result 1\n{result.capsule}\n".encode() + canonical(result)


def _own_key() -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    path = key_path()
    try:
        if not path.exists():
            made = Ed25519PrivateKey.generate()
            pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_atomically(path, pem, mode=0o600)
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise EvaluationError(
                f"{path}: others may read this key, so it signs nothing; run chmod 600 on it if "
                "nobody has, or remove it and a new one is made."
            )
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read or made ({error.strerror}).") from None
    except (ValueError, TypeError) as error:
        raise EvaluationError(
            f"{path}: is no key ({error}); remove it and a new one is made."
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise EvaluationError(f"{path}: is no Ed25519 key; remove it and a new one is made.")
    return key


@contextmanager
def _cryptography() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise EvaluationError(
            "Results are signed by cryptography, which is not installed: run pip install "
            "'hilum[capsule]'."
        ) from None
