"""The history of a watch: a line of JSON for each run, by which slow changes are found."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hilum.codec import from_plain, to_plain
from hilum.errors import DataError
from hilum.files import write_atomically
from hilum.parsing import parse_json, read_text
from hilum.records import Estimate
from hilum.watching.baseline import Sums

HISTORY_FILE = "history.jsonl"

#: So many runs, the last ones, are also judged together (benchmarks/bench_watch.py chose it).
POOLED = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One run.

    made: UTC, ISO 8601. baseline: of Baseline.digest. images: SHA-256 over what is seen of them.
    sums: of its images. alarm: whether it raised one. shares: by question and class, as estimated
    by expectation maximisation. accuracy: by question; undefined where none was estimated.
    """

    made: str
    baseline: str
    images: str
    sums: Sums
    alarm: bool = False
    shares: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    accuracy: dict[str, Estimate] = field(default_factory=dict)


def read_history(out: Path) -> tuple[Line, ...]:
    """The lines of earlier runs, in order; none where there is no file.

    Raises DataError where the file cannot be read.
    """
    path = out / HISTORY_FILE
    if not path.is_file():
        return ()
    lines = enumerate(read_text(path, DataError).splitlines(), start=1)
    return tuple(_parse(f"{path}, line {number}", text) for number, text in lines)


def _parse(where: str, text: str) -> Line:
    data = parse_json(text, where, DataError)
    line = from_plain(Line, data, what=f"a line of a watch ({where})", error=DataError)
    told = (*line.accuracy.values(), *(e for of in line.shares.values() for e in of.values()))
    values = [e.value for e in told if e.value is not None]
    if not (line.sums.is_possible and all(0 <= v <= 1 for v in values) and _is_text(data)):
        raise DataError(
            f"{where}: its numbers are none that a watch has; repair the line, or put the file "
            "aside to begin a new history."
        )
    return line


def _is_text(data: Any) -> bool:
    """Whether UTF-8 can hold it: JSON may name halves of characters."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def before(lines: Sequence[Line], images: str) -> tuple[Line, ...]:
    """The lines that a run is added to: without the last one where it was of the same images."""
    again = lines and lines[-1].images == images
    return tuple(lines[:-1] if again else lines)


def write_history(out: Path, lines: Iterable[Line]) -> None:
    """Write the lines of all runs. Raises DataError where the file cannot be written."""
    path = out / HISTORY_FILE
    text = "".join(json.dumps(to_plain(line), ensure_ascii=False) + "\n" for line in lines)
    try:
        write_atomically(path, text.encode("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}).") from None


def last(lines: Sequence[Line], baseline: str, own: Sums, most: int = POOLED) -> list[Sums]:
    """The sums of the last runs that can be judged together with one more, under its baseline.

    own: the sums of that one.
    """
    sums = [line.sums for line in lines if line.baseline == baseline and line.sums.is_like(own)]
    return sums[max(0, len(sums) - most + 1) :]
