"""The folder where decoded pixels are kept. It can be removed at any time."""

import os
from pathlib import Path

import platformdirs

from hilum.errors import DataError


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
