"""What is peculiar to single hosts: Mendeley Data and Kaggle."""

import contextlib
import importlib
import sys
from pathlib import Path

from hilum.errors import DataError
from hilum.fetching.catalogue import KaggleHandle, MendeleyArchive
from hilum.fetching.download import Access, fetch_json
from hilum.fetching.unpack import copy_tree


def find_on_mendeley(place: MendeleyArchive, access: Access) -> tuple[str, str]:
    """Ask Mendeley Data for the address and the SHA-256 of a file: (address, SHA-256).

    Raises DataError where it cannot be asked, or the file is not in that version.
    """
    url = f"{place.api}/datasets/{place.dataset}/files?folder_id=root&version={place.version}"
    answer = fetch_json(url, access)
    try:
        files = {f["filename"]: f["content_details"] for f in answer}
        details = files.get(place.file)
        if details is not None:
            return str(details["download_url"]), str(details["sha256_hash"]).lower()
    except (TypeError, KeyError, AttributeError):
        raise DataError(
            f"{url}: does not answer with a list of files any more; download {place.file} by hand."
        ) from None
    raise DataError(
        f"{url}: does not list {place.file}; it lists {', '.join(sorted(files)) or 'nothing'}."
    )


def copy_from_kaggle(place: KaggleHandle, page: str, into: Path) -> None:
    """Have kagglehub download a data set into its own cache, and copy it.

    Raises DataError where kagglehub is not installed or fails.
    """
    try:
        kagglehub = importlib.import_module("kagglehub")
    except ImportError:
        raise DataError(
            f"{place.handle}: comes from Kaggle, through kagglehub, which is not installed: pip "
            f"install kagglehub. Or download it at {page} and unpack it: it is read as it is."
        ) from None
    try:
        # It reports on standard output, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            folder = Path(kagglehub.dataset_download(place.handle))
    except Exception as error:  # kagglehub raises of many kinds, and its own bases changed
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{place.handle}: kagglehub could not download it ({why}).") from None
    if not copy_tree(folder, into):
        raise DataError(f"{folder}: kagglehub downloaded no files; remove the folder, try again.")
