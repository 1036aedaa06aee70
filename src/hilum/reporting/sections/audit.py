"""The audit's findings within the report on runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hilum.audit.findings import SEVERITIES
from hilum.errors import HilumError
from hilum.records import Estimate
from hilum.reporting.runs import Run

#: Severities in words.
WORDS = {"critical": "Critical", "warning": "Warning", "note": "Note", "passed": "Passed"}


def read_audit(path: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """What the report shows of an audit.json.

    Says whether the audit is about other data than the runs (by their fingerprints).
    Raises HilumError if the file is missing, damaged or of another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        findings = [{**f, "word": WORDS[f["severity"]]} for f in content["findings"]]
        shortcuts = [
            {"name": s["name"], "auroc": Estimate.from_json(s["auroc"])}
            for s in content["shortcuts"]
        ]
        name, fingerprint = content["data"]["name"], content["data"]["fingerprint"]
    except OSError as error:
        raise HilumError(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise HilumError(f"{path} is not an audit.json of `hilum audit` ({error!r}).") from None
    return {
        "name": name,
        "other": any(run.data.get("fingerprint") != fingerprint for run in runs),
        "findings": sorted(findings, key=lambda f: SEVERITIES.index(f["severity"])),
        "shortcuts": shortcuts,
    }
