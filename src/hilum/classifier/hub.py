"""Classifiers on a model hub: hf://OWNER/NAME, or hf://OWNER/NAME@REVISION.

Only classifier.json is fetched, and the files that it names, all safetensors; digests are checked
when they are read, as of any folder. No code of a repository is fetched, let alone run. What was
fetched stays in the hub's own cache ($HF_HOME), from which it is read without a network.
"""

import re
from pathlib import Path

from hilum.errors import ClassifierError

#: Also with one slash, as a Path has it.
_ADDRESS = re.compile(r"hf:/{1,2}(?P<name>[^/@]+/[^/@]+)(?:@(?P<revision>.+))?")


def is_on_hub(path: Path | str) -> bool:
    """Whether a classifier is named by its address on a hub."""
    return str(path).startswith("hf:/")


def refuse_to_write(path: Path | str) -> None:
    """Raise ClassifierError where what belongs beside a classifier would go to a hub."""
    if is_on_hub(path):
        raise ClassifierError(f"{_shown(path)}: nothing is written there; name a folder by --out.")


def fetch(path: Path | str, file: str, commit: str | None = None) -> Path:
    """A file of a repository, as the hub's cache holds it: …/snapshots/COMMIT/FILE.

    path: its address. commit: instead of the address's revision, so that files fetched one after
    another are of one state. Raises ClassifierError where there is no such thing, or no way to it.
    """
    shown, parts = _shown(path), _ADDRESS.fullmatch(str(path))
    if parts is None:
        raise ClassifierError(f"{shown}: expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION.")
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError:
        raise ClassifierError(
            f"{shown}: to fetch it, huggingface_hub has to be installed: pip install 'hilum[hub]'."
        ) from None
    name, revision = parts["name"], commit or parts["revision"]
    try:
        kept = commit and isinstance(hub.try_to_load_from_cache(name, file, revision=commit), str)
        local = bool(kept) or not _answers(hub.hf_hub_url(name, file, revision=revision))
        return Path(hub.hf_hub_download(name, file, revision=revision, local_files_only=local))
    except errors.GatedRepoError:
        reason = "it is open only to whom its owners let in; ask them, and log in (hf auth login)"
    except errors.RepositoryNotFoundError:
        reason = "there is no such repository, or it is private; to see it, log in (hf auth login)"
    except errors.RevisionNotFoundError:
        reason = f"there is no revision '{revision}' of it"
    except errors.LocalEntryNotFoundError:
        reason = f"the hub cannot be reached, and {file} was not fetched before"
    except errors.EntryNotFoundError:
        reason = f"it has no {file}, so it is no classifier of Hilum's"
    except (errors.HFValidationError, errors.HfHubHTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
    raise ClassifierError(f"{shown}: {reason}.")


def _answers(url: str) -> bool:
    """Whether the hub says anything of a file, if only that there is none.

    Asked once, for $HF_HUB_ETAG_TIMEOUT seconds: hf_hub_download asks six times more for what is
    not in its cache, and waits up to a minute for each answer.
    """
    import huggingface_hub as hub
    from huggingface_hub import errors

    try:
        hub.get_hf_file_metadata(url)
    except errors.HfHubHTTPError:
        return True
    except Exception:  # of whatever library the installed version asks by: no answer
        return False
    return True


def _shown(path: Path | str) -> str:
    return re.sub("^hf:/+", "hf://", str(path))
