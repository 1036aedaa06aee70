"""A file that rows are added to, and beside it a journal of how far it is to be believed.

After each batch of rows the file is forced to disk, and then the journal says how many rows, bytes
and inputs that makes. Whatever a kill leaves after that, a torn line or whole rows, is cut off when
the file is opened again. So a run that was killed and one that was not leave the same bytes.

``predictions.csv.journal.json`` holds ``format``; ``made_by``: the classifier's digest, the runtime
and the options; ``rows``, ``failed``: how many, and of how many files that could not be read;
``inputs``: a SHA-256 of the paths in their order; ``studies``: one of the salt by which studies of
DICOM files are named, '' where none is; ``bytes``, ``sha256``: of the file; ``finished``; and
``batches``: of the rows that were written together, and what their pictures were (Batch), as one
text, since a million rows make thousands of them. Tables of earlier versions have no batches.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from hilum.classifier.decider import Decider
from hilum.codec import read_plain
from hilum.errors import DataError
from hilum.files import FileMark, sha256, write_atomically
from hilum.radiographs.pixels import image_digest, image_mark


def classifier_digest(classifier: Decider) -> str:
    """SHA-256 of weights, labels, preprocessing, rule and calibration, in hexadecimal.

    Of a classifier that was moved, copied or saved anew it stays the same; where it came from is
    not a part of it.
    """
    c = classifier
    parts = {
        "labels": c.tree.to_json(),
        "strategy": c.strategy,
        "rule": c.rule,
        "preprocessing": c.preprocessing.model_dump(mode="json"),
        "networks": {
            name: [
                c.network_names[name],
                digest,
                c.temperatures.get(name, 1.0),
            ]
            for name, digest in c.weights_sha256().items()
        },
        "validation": sha256(c.validation.to_bytes()) if c.validation else None,
        "gate": sha256(c.gate.to_bytes()) if c.gate else None,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode())


_FORMAT = 1
_MOST = 2**62  # rows, and bytes
_AGAIN = "Begin anew with --restart, or name another file."


_DIGITS = 16


class Picture(NamedTuple):
    """What a picture was before it was read: its mark, and its content where that cannot settle it.

    content: the beginning of its SHA-256, '' where it is not needed or cannot be read.
    """

    mark: FileMark | None
    content: str = ""

    @classmethod
    def at(cls, path: Path) -> "Picture":
        mark = image_mark(path)
        return cls(mark, _content(path) if mark and not mark.settles else "")


def _content(path: Path) -> str:
    try:
        return image_digest(path)[:_DIGITS]
    except DataError:
        return ""


def _digest(marks: Iterable[FileMark | None]) -> str:
    return sha256(repr([mark and mark.identity for mark in marks]).encode())[:_DIGITS]


class Batch(NamedTuple):
    """Rows that were written together: how many, how many failed, and their size in bytes.

    mark: a digest of their pictures' marks. young: the contents of pictures that had been changed
    just before they were read, by position, for a further change need not show in their marks.
    """

    rows: int
    failed: int
    size: int
    mark: str
    young: dict[int, str]

    @classmethod
    def of(cls, data: bytes, failed: int, pictures: Sequence[Picture]) -> "Batch":
        young = {i: picture.content for i, picture in enumerate(pictures) if picture.content}
        return cls(len(pictures), failed, len(data), _digest(p.mark for p in pictures), young)

    def still_holds(self, paths: Sequence[Path]) -> bool:
        """Whether the pictures under these paths are those that the rows tell of."""
        return _digest(map(image_mark, paths)) == self.mark and all(
            _content(paths[i]) == content for i, content in self.young.items()
        )

    def __str__(self) -> str:
        young = ",".join(f"{i}={content}" for i, content in self.young.items())
        return f"{self.rows}:{self.failed}:{self.size}:{self.mark}:{young}"

    @classmethod
    def read(cls, text: str) -> "Batch":
        """The inverse of str. Raises ValueError where the text is none."""
        rows, failed, size, mark, young = text.split(":")
        pairs = (pair.split("=") for pair in young.split(",") if pair)
        contents = {int(i): found for i, found in pairs}
        batch = cls(int(rows), int(failed), int(size), mark, contents)
        if not (0 <= batch.failed <= batch.rows and batch.size >= 0):
            raise ValueError("a batch of an impossible size")
        if not all(0 <= i < batch.rows for i in contents):
            raise ValueError("a batch that tells of pictures beyond its rows")
        return batch


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a table of predictions has come; fields as at the head of this file."""

    made_by: dict[str, Any]
    rows: int = 0
    failed: int = 0
    inputs: str = ""
    studies: str = ""
    bytes: int = 0
    sha256: str = ""
    finished: bool = False
    batches: str = ""
    format: int = _FORMAT

    def read_batches(self) -> list[Batch]:
        """Those of its rows that are known by batches: the last ones. Raises ValueError.

        So it does where the batches have more than there is, or numbers are impossible.
        """
        batches = [Batch.read(text) for text in self.batches.split()]
        rows = self.rows - sum(batch.rows for batch in batches)
        failed = self.failed - sum(batch.failed for batch in batches)
        if not (0 <= failed <= rows < _MOST and 0 <= self.bytes < _MOST):
            raise ValueError("its rows, failed, bytes and batches do not fit together")
        return batches

    def with_batches(self, batches: Iterable[Batch], **changed: Any) -> "Journal":
        """The same with the batches replaced, and what follows from them."""
        old, new = self.read_batches(), list(batches)
        totals = {
            name: getattr(self, name) + sum(b[:3][k] for b in new) - sum(b[:3][k] for b in old)
            for k, name in enumerate(("rows", "failed", "bytes"))
        }
        return replace(self, **totals, batches=" ".join(map(str, new)), **changed)


def journal_path(out: Path) -> Path:
    """Where the journal of a table lies."""
    return out.with_name(f"{out.name}.journal.json")


def read_journal(out: Path, made_by: dict[str, Any]) -> Journal | None:
    """The journal of a table; None where neither is there.

    Raises DataError where there is a table without a journal, a damaged journal, or one of another
    classifier or with other options.
    """
    path = journal_path(out)
    if not path.exists():
        if not out.exists():
            return None
        raise DataError(
            f"{out}: is there already, and has no journal ({path.name}) to go on by. {_AGAIN}"
        )
    try:
        journal = read_plain(path, Journal, what="a journal", error=DataError)
        if journal.format != _FORMAT:
            raise ValueError(f"format {journal.format}, expected {_FORMAT}")
        journal.read_batches()
    except (DataError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error}). {_AGAIN}") from None
    refuse_changes(
        f"{out}: was made by another classifier or with other options. {_AGAIN}",
        journal.made_by,
        made_by,
    )
    return journal


def refuse_changes(said: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise DataError, saying this, where what rows are made by differs; with a line for each."""
    if changed := _changes(before, now):
        raise DataError("\n".join([said, *(f"  {line}" for line in changed)]))


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, a line for each key; of lists only what is not in both."""
    lines = []
    for key in dict.fromkeys([*before, *now]):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            old, new = [v for v in old if v not in new], [v for v in new if v not in old]
        lines.append(f"{key}: {_shown(old)} → {_shown(new)}")
    return lines


def _shown(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return (f"{text[:12]}…" if len(text) == 64 else text) or "none"  # of a digest, the beginning


@dataclass
class InputDigest:
    """A SHA-256 of paths in their order, which can be asked for after each."""

    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._hash.update(os.fsencode(path) + b"\0")  # no path holds a zero byte

    def copy(self) -> "InputDigest":
        return InputDigest(self._hash.copy())

    def __str__(self) -> str:
        return str(self._hash.hexdigest())


class RowFile:
    """A file that rows are added to, open; use it in a `with` block.

    path: the file, which may be another than the table's own, out. journal: as it stands.
    """

    def __init__(self, path: Path, out: Path, journal: Journal) -> None:
        self.path, self.out, self.journal = path, out, journal
        self._hash = hashlib.sha256()
        if journal.rows:
            self._file: IO[bytes] = self._cut()
        else:
            # The journal comes first: a kill never leaves a file that has none.
            write_journal(out, journal)
            self._file = path.open("wb")

    def _cut(self) -> IO[bytes]:
        """Open it and cut off what the journal does not vouch for. Raises as hash_rows does."""
        self._hash = hash_rows(self.path, self.journal)
        file = self.path.open("r+b")
        file.seek(self.journal.bytes)
        file.truncate()
        return file

    def add(self, data: bytes, batch: Batch, *, inputs: InputDigest, studies: str) -> None:
        """Write some rows, and vouch for them once they are on the disk.

        data: the rows as bytes. studies: as in the journal; '' where these rows name none.
        """
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._hash.update(data)
        self.journal = replace(
            self.journal,
            rows=self.journal.rows + batch.rows,
            failed=self.journal.failed + batch.failed,
            inputs=str(inputs),
            studies=studies or self.journal.studies,
            bytes=self.journal.bytes + batch.size,
            sha256=self._hash.hexdigest(),
            batches=f"{self.journal.batches} {batch}".lstrip(),
            finished=False,
        )
        write_journal(self.out, self.journal)

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def hash_rows(path: Path, journal: Journal, upto: int | None = None) -> Any:
    """The SHA-256, still open, of the bytes that a journal vouches for, or of the first ones.

    Raises DataError where what it vouches for is gone or was changed.
    """
    whole, part = hashlib.sha256(), hashlib.sha256()
    left, first = journal.bytes, journal.bytes if upto is None else upto
    with suppress(FileNotFoundError), path.open("rb") as file:
        while chunk := file.read(min(left, 1 << 20)):
            whole.update(chunk)
            part.update(chunk[:first])
            left, first = left - len(chunk), max(0, first - len(chunk))
    if not left and whole.hexdigest() == journal.sha256:
        return part
    raise DataError(
        f"{path}: its {journal.rows} rows are not as they were written (edited, or removed?). "
        f"{_AGAIN}"
    )


def write_journal(out: Path, journal: Journal) -> None:
    plain = {field_.name: getattr(journal, field_.name) for field_ in fields(journal)}
    text = json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    write_atomically(journal_path(out), text.encode())
