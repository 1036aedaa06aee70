"""Classify any number of radiographs into a table that survives a kill."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Any

import filelock

from hilum.classifier.arrivals import Arrivals, judge_arrivals
from hilum.classifier.decider import Decider
from hilum.errors import DataError
from hilum.files import file_sha256, locked, make_folder, new_file
from hilum.prediction.arrivals import tally_table
from hilum.prediction.journal import (
    Batch,
    InputDigest,
    Journal,
    Picture,
    RowFile,
    classifier_digest,
    hash_rows,
    journal_path,
    read_journal,
    write_journal,
)
from hilum.prediction.sources import STDIN, check_sources, count_sources, list_sources
from hilum.prediction.stream import BATCH, Answers, Classify, Reading, predict_stream, read_file
from hilum.prediction.table import (
    CSV,
    ENCODERS,
    PARQUET,
    StudyNames,
    Table,
    check_format,
    encode_header,
    write_parquet,
)
from hilum.predictions import Prediction
from hilum.radiographs.pixels import Progress


@dataclass(frozen=True, slots=True)
class Summary:
    """What a table of predictions holds.

    images: number of rows. failed: of them, files that cannot be read. found: rows that were there
    from an earlier run and stayed. redone: rows that were made anew, since of the pictures that
    were written with them one has changed. arrivals: what the gate says of all rows together; None
    without a gate, and of few rows.
    """

    out: Path
    images: int
    failed: int
    found: int
    redone: int = 0
    arrivals: Arrivals | None = None


def predict_files(
    classifier: Decider,
    inputs: Sequence[str],
    out: Path,
    *,
    operate: Sequence[str] = (),
    coverage: float | None = None,
    restart: bool = False,
    keep_identifiers: bool = False,
    stdin: Iterable[bytes] = (),
    classify: Classify | None = None,
    runtime: str = "torch",
    batch_size: int = BATCH,
    others: list[PurePath] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Classify radiographs into a CSV, JSON lines or Parquet file, a row each, in input order.

    inputs, stdin, others: see sources.list_sources. out: its name's ending says the format.
    operate, coverage: see Table.of. keep_identifiers: name studies of DICOM files by their UIDs,
    not by salted hashes. classify: what runs the networks; the classifier itself if none is given,
    and something that gives the same to the rounding of float32 otherwise. runtime: what that is
    called, since rows of two do not go into one file. batch_size: images classified together.

    A file that cannot be read becomes a row with its reason. Rows are on the disk batch by batch.
    Where out is there already, its rows are kept and the rest is added, so that the same call goes
    on after a kill; the bytes are then those of a run that was not killed. Rows of pictures that
    have changed since are made anew, with the batch that they were written in. restart: begin anew.
    Numbers equal those of Classifier.predict, bit for bit where every file can be read and to
    the rounding of float32 otherwise, because other images then share a batch.

    Raises DataError where out was made by another classifier, with other options, of other inputs
    so far, or was changed; where another process writes it; where there is no image at all, and
    where out cannot be written. Raises also what Table.of and sources.check_sources do.
    """
    ending = check_format(out)
    check_sources(inputs)
    table = Table.of(classifier, operate, coverage, StudyNames(out.parent, keep_identifiers))
    total = count_sources(inputs) if progress and STDIN not in inputs else 0
    with writing_alone(out, out.with_name(f".{out.name}.lock"), "file", "rows"):
        work = _Work(out, ending, table, made_by(classifier, table, runtime, batch_size), restart)
        read, run = reader_of(classifier), classify or classifier.predict_pixels

        def answer(paths: Iterable[Path], size: int = batch_size) -> Iterator[Answers]:
            return predict_stream(work.looking_at(paths), read, run, batch_size=size)

        paths = work.skip_done(list_sources(inputs, stdin, others))
        work.redo(answer)
        done = work.add_all(answer(paths), progress if total else None, total)
        if (gate := classifier.gate) is None:
            return done
        return replace(done, arrivals=judge_arrivals(gate, tally_table(out, gate)))


def made_by(
    classifier: Decider, table: Table, runtime: str, batch_size: int = BATCH
) -> dict[str, Any]:
    """What rows depend on, as a journal has it: rows of two do not go together.

    table: one that names studies. runtime, batch_size: as of predict_files.
    """
    kept = table.studies is not None and table.studies.keep_identifiers
    return {
        "classifier": classifier_digest(classifier),
        "runtime": runtime,
        "device": classifier.device_type,
        "columns": list(table.columns),
        "coverage": table.conformal.coverage if table.conformal else None,
        "identifiers": "kept" if kept else "hashed",
        "batch_size": batch_size,
    }


@contextmanager
def writing_alone(out: Path, lock: Path, kind: str, left: str) -> Iterator[None]:
    """Write something that one process writes at a time, and that goes on where it was stopped.

    lock: the lock's file, whose folder is made. kind, left: what out is, and what of it stays, in
    words. Raises DataError where another process writes it, and where it cannot be written.
    """
    try:
        make_folder(lock.parent)
        with locked(lock, timeout=0):
            yield
    except filelock.Timeout:
        raise DataError(f"{out}: another process writes this {kind} now.") from None
    except OSError as error:
        again = f" The same command goes on from the {left} that are there." if out.exists() else ""
        why = error.strerror or error
        raise DataError(f"{out}: cannot be written ({why}).{again}") from error


def predict_each(
    classifier: Decider,
    inputs: Sequence[str],
    table: Table,
    *,
    stdin: Iterable[bytes] = (),
    classify: Classify | None = None,
    others: list[PurePath] | None = None,
) -> Iterator[Prediction]:
    """What predict_files would write, one by one. Raises DataError if there is no input."""
    check_sources(inputs)
    paths = _at_least_one(list_sources(inputs, stdin, others))
    answers = predict_stream(paths, reader_of(classifier), classify or classifier.predict_pixels)
    return (prediction for answer in answers for prediction in table.predictions(answer))


def reader_of(classifier: Decider) -> Callable[[Path], Reading]:
    """What reads a file for a classifier, as predict_stream asks for it."""
    colour = classifier.gate is not None
    return partial(read_file, transform=classifier.preprocessing, colour=colour)


def _at_least_one(paths: Iterator[Path]) -> Iterator[Path]:
    first = next(paths, None)
    if first is None:
        raise DataError("No images found: no path was given.")
    return chain([first], paths)


class _Work:
    """A table on its way. Parquet rows are gathered beside it, in a file of JSON lines."""

    def __init__(
        self, out: Path, ending: str, table: Table, made_by: dict[str, Any], restart: bool
    ) -> None:
        self.out, self.ending, self.table = out, ending, table
        self.gathered = out.with_name(f"{out.name}.partial.jsonl") if ending == PARQUET else out
        if restart:
            for path in (journal_path(out), out, self.gathered):  # the journal first
                path.unlink(missing_ok=True)
        self.journal = read_journal(out, made_by) or Journal(made_by)
        self._check_studies()
        self.inputs = InputDigest()
        self.pictures: deque[Picture] = deque()  # of files that are being read
        self.stale: dict[int, tuple[Path, ...]] = {}  # by batch, what is to be put in its place
        self.before: dict[int, InputDigest] = {}  # by batch, of the inputs up to it
        self.cut = self.mended = 0  # rows made anew, at the end and in the midst

    def _check_studies(self) -> None:
        """Raises DataError where a study would have one name above and another below."""
        names = self.table.studies
        if self.journal.studies and names and names.salt_digest != self.journal.studies:
            raise DataError(
                f"{self.out}: its studies are named under a salt that the cache no longer holds, "
                "so further rows would name them otherwise. Begin anew with --restart, or name "
                "another file."
            )

    @property
    def is_whole(self) -> bool:
        """Whether this is a Parquet file, to which nothing can be added."""
        return self.ending == PARQUET and self.journal.finished

    def looking_at(self, paths: Iterable[Path]) -> Iterator[Path]:
        """The same paths, each looked at before it is read: a later change is then seen."""
        for path in paths:
            self.pictures.append(Picture.at(path))
            yield path

    def skip_done(self, paths: Iterator[Path]) -> Iterator[Path]:
        """Pass over the inputs that have rows already, and see that they are the same.

        Rows whose pictures have changed are to be made anew: those at the end are cut off, and
        their inputs come first in what is returned; of those before, stale tells.
        Raises DataError where they are not the same, or where there are no inputs at all.
        """
        journal, done = self.journal, self.journal.rows
        if not done:
            return _at_least_one(paths)
        batches = journal.read_batches()
        unknown = tuple(islice(paths, done - sum(batch.rows for batch in batches)))
        self.inputs.add(unknown)
        known: list[tuple[Path, ...]] = []  # of a batch that holds, only where all may be needed
        for k, batch in enumerate(batches):
            found = tuple(islice(paths, batch.rows))
            if not batch.still_holds(found):
                self.stale[k] = found
                self.before[k] = self.inputs.copy()
            known.append(found if self.is_whole or k in self.stale else ())
            self.inputs.add(found)
        if str(self.inputs) != journal.inputs:
            raise DataError(
                f"{self.out}: its {done} rows are of other files than the first {done} inputs, or "
                "in another order. Give the same inputs, begin anew with --restart, or name "
                "another file."
            )
        if self.is_whole and (added := next(paths, None)):
            raise DataError(
                f"{self.out}: is finished, and a Parquet file takes no more rows, but there are "
                f"more inputs now (the first is {added}). Begin anew with --restart, or name "
                "another file."
            )
        if not self.stale:
            return paths
        if self.is_whole:  # it cannot be cut or mended
            self.cut, self.stale, self.inputs = done, {}, InputDigest()
            self.journal = Journal(journal.made_by)
            write_journal(self.out, self.journal)
            self.out.unlink()
            return chain(unknown, *known)
        end = len(batches)
        while end - 1 in self.stale:
            end -= 1
            self.cut += len(self.stale.pop(end))
        if self.cut:
            self.inputs = self.before[end]
            self.journal = self._cut_at(end)
            write_journal(self.out, self.journal)
        return chain(*known[end:], paths)

    def _cut_at(self, k: int) -> Journal:
        """The journal of the rows before a stale batch. Raises as hash_rows does."""
        batches = self.journal.read_batches()
        size = self.journal.bytes - sum(batch.size for batch in batches[k:])
        digest = hash_rows(self.gathered, self.journal, size).hexdigest()
        return self.journal.with_batches(
            batches[:k], inputs=str(self.before[k]), sha256=digest, finished=False
        )

    def redo(self, answer: Callable[[Iterable[Path], int], Iterator[Answers]]) -> None:
        """Make rows anew whose pictures have changed, in the midst of others that stay.

        answer: classifies files, so many at a time. A batch is made anew as a whole, since the
        bits of a row are those of its batch.
        """
        if not self.stale:
            return
        before = self._cut_at(min(self.stale))
        batches, studies = self.journal.read_batches(), self.journal.studies
        digest = hashlib.sha256()
        with new_file(self.gathered) as new, self.gathered.open("rb") as old:
            size = self.journal.bytes - sum(batch.size for batch in batches)
            for k, batch in enumerate([Batch(0, 0, size, "", {}), *batches], start=-1):
                data = old.read(batch.size)
                if k in self.stale:
                    (found,) = answer(self.stale[k], batch.rows)
                    data, batches[k] = self._encode(found, is_first=not size and k == 0)
                    studies = self.table.salt_digest(found) or studies
                    self.mended += batch.rows
                new.write(data)
                digest.update(data)
            # A kill before the last line leaves a journal that vouches for both files' beginning.
            write_journal(self.out, before)
        self.journal = self.journal.with_batches(
            batches, sha256=digest.hexdigest(), studies=studies
        )
        write_journal(self.out, self.journal)

    def _encode(self, answer: Answers, *, is_first: bool) -> tuple[bytes, Batch]:
        """The bytes of some rows, with a header if they are the first, and what to know of them."""
        rows = self.table.rows(answer)
        data = ENCODERS[self.ending](list(self.table.columns), rows)
        if self.ending == CSV and is_first:
            data = encode_header(self.table.columns) + data
        return data, Batch.of(data, answer.failed, [self.pictures.popleft() for _ in rows])

    def add_all(self, answers: Iterator[Answers], progress: Progress | None, total: int) -> Summary:
        with RowFile(self.out if self.is_whole else self.gathered, self.out, self.journal) as file:
            for answer in answers:
                data, batch = self._encode(answer, is_first=file.journal.rows == 0)
                self.inputs.add(answer.paths)
                studies = self.table.salt_digest(answer)
                file.add(data, batch, inputs=self.inputs, studies=studies)
                if progress:
                    progress("Predicting", file.journal.rows, total)
        found, self.journal = self.journal.rows - self.mended, file.journal
        self._finish()
        redone = self.cut + self.mended
        return Summary(self.out, self.journal.rows, self.journal.failed, found, redone)

    def _finish(self) -> None:
        if not self.journal.finished:
            self.journal = replace(self.journal, finished=True)
            if self.ending == PARQUET:
                write_parquet(self.gathered, self.table.columns, self.out)
                size, digest = self.out.stat().st_size, file_sha256(self.out)
                self.journal = replace(self.journal, bytes=size, sha256=digest)
            write_journal(self.out, self.journal)
        if self.gathered != self.out:
            self.gathered.unlink(missing_ok=True)
