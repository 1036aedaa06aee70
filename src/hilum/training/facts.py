"""run.json: what a run says of itself. Only the report reads it elsewhere, in words of its own."""

import json
from pathlib import Path
from typing import Any

from hilum.errors import TrainingError
from hilum.files import write_atomically

FACTS_FILE = "run.json"


def read_facts(run: Path) -> dict[str, Any] | None:
    """The facts of a run; None where the folder has none. Raises TrainingError if damaged."""
    file = run / FACTS_FILE
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from None
    if not isinstance(facts, dict):
        raise _damaged(file, "no JSON object")
    return facts


def write_facts(run: Path, facts: dict[str, Any]) -> None:
    """Replace the facts of a run at once, so that a kill leaves the old ones or the new."""
    write_atomically(run / FACTS_FILE, (json.dumps(facts, indent=2) + "\n").encode())


def data_root(run: Path) -> Path | None:
    """The data folder that a run was trained on, where it still exists."""
    facts = read_facts(run)
    if facts is None:
        return None
    root = Path(facts["data"]["root"])
    return root if root.is_dir() else None


def _damaged(file: Path, what: str) -> TrainingError:
    return TrainingError(
        f"{file}: damaged ({what}). To train anew, remove the folder or name another."
    )
