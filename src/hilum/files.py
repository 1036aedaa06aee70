"""Writing files so that a crash, a kill or a full disk leaves the old one or the new one."""

import hashlib
import os
import re
import tempfile
from pathlib import Path


def write_atomically(target: Path, data: bytes) -> None:
    """Write beside the target, force to disk, then rename over it.

    Makes the folder. Raises OSError where it cannot be written; the old content then stands.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def safe_name(name: str) -> str:
    """A file name for any label: unchanged if plain, otherwise made plain and told apart.

    Two labels never share a name, also on file systems that ignore case.
    """
    plain = re.sub(r"[^a-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}-{sha256(name.encode())[:8]}"
