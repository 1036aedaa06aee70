"""A folder of Parquet files, each with the predictions of so many inputs that follow each other.

What several machines classify together lies in parts (``part-000000.parquet``), which are made in
any order, each by one worker, and are there whole or not at all. ``manifest.json`` says which are:
``made_by`` as in a journal; ``size``: inputs of a part; and for each part that is done how many
rows it has and how many failed, a SHA-256 of its inputs' paths in their order and of the file, and
a digest of what the pictures were. The same command goes on where it was stopped: parts that are
missing, torn or of pictures that have changed are made anew, and every input has one row.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final

from hilum.classifier.arrivals import Tally, judge_arrivals
from hilum.classifier.decider import Decider
from hilum.codec import read_plain, write_plain
from hilum.errors import DataError
from hilum.files import file_sha256
from hilum.prediction.arrivals import tally_table
from hilum.prediction.journal import Batch, InputDigest, Picture, refuse_changes
from hilum.prediction.predict import Summary, reader_of, writing_alone
from hilum.prediction.sources import STDIN, check_sources, count_sources, list_sources
from hilum.prediction.stream import BATCH, predict_stream
from hilum.prediction.table import PARQUET, Table, check_format, write_parquet_rows
from hilum.radiographs.pixels import Progress

MANIFEST: Final = "manifest.json"
#: Inputs of a part: a multiple of a batch, so that batches, and with them the bits of rows, are
#: those of one table over all inputs. A death costs the parts that were on their way.
PART: Final = 16 * BATCH
_AGAIN: Final = "Begin anew with --restart, or name another folder."


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is done; fields as at the head of this file. pictures: a Batch as text."""

    number: int
    rows: int
    failed: int
    inputs: str
    sha256: str
    pictures: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which parts are done, by their numbers; fields as at the head of this file."""

    made_by: dict[str, Any]
    size: int = PART
    parts: dict[str, Part] = field(default_factory=dict)
    finished: bool = False

    FORMAT: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """The inputs of a part: its number and its paths."""

    number: int
    paths: tuple[Path, ...]

    @property
    def inputs(self) -> str:
        """A SHA-256 of the paths in their order."""
        digest = InputDigest()
        digest.add(self.paths)
        return str(digest)


#: What makes parts: it is given chunks, and yields each part when it is done, in any order.
Engine = Callable[[Iterator[Chunk]], Iterator[Part]]


def part_file(folder: Path, number: int) -> Path:
    """Where a part lies."""
    return folder / f"part-{number:06d}{PARQUET}"


def make_part(
    classifier: Decider,
    table: Table,
    chunk: Chunk,
    folder: Path,
    *,
    threads: int | None = None,
) -> Part:
    """Classify the inputs of a part, and write its file. threads: how many decode.

    Raises DataError where it cannot be written, and as predict_stream does.
    """
    file = part_file(folder, chunk.number)
    pictures: list[Picture] = []

    def looked_at() -> Iterator[Path]:
        for path in chunk.paths:
            pictures.append(Picture.at(path))
            yield path

    read, run = reader_of(classifier), classifier.predict_pixels
    answers = list(predict_stream(looked_at(), read, run, threads=threads))
    failed = sum(answer.failed for answer in answers)
    try:
        write_parquet_rows((table.rows(answer) for answer in answers), table.columns, file)
        digest = file_sha256(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be written ({error.strerror or error}).") from error
    batch = Batch.of(b"", failed, pictures)
    return Part(chunk.number, len(pictures), failed, chunk.inputs, digest, str(batch))


def predict_parts(
    classifier: Decider,
    inputs: Sequence[str],
    out: Path,
    engine: Engine,
    *,
    made: dict[str, Any],
    size: int = PART,
    restart: bool = False,
    stdin: Iterable[bytes] = (),
    progress: Progress | None = None,
) -> Summary:
    """Classify radiographs into a folder of Parquet files, by an engine.

    inputs, stdin: see sources.list_sources. made: as of made_by. size: inputs of a part, a multiple
    of BATCH. restart: begin anew. A file that cannot be read becomes a row with its reason.

    Raises DataError where out was made by another classifier, with other options or of other
    inputs, where another process writes it, where there is no image at all, where the folder holds
    other files and no manifest, and where it cannot be written; and what the engine raises.
    """
    check_format(out / f"part{PARQUET}")
    check_sources(inputs)
    total = count_sources(inputs) if progress and STDIN not in inputs else 0
    with writing_alone(out, out / ".lock", "folder", "parts"):
        work = _Work(out, made, size, restart)
        for part in engine(work.missing(_chunks(list_sources(inputs, stdin), size))):
            work.add(part)
            if progress and total:
                progress("Predicting", work.rows, total)
        return work.finish(classifier)


class _Work:
    """A folder of parts on its way."""

    def __init__(self, out: Path, made: dict[str, Any], size: int, restart: bool) -> None:
        self.out, self.file = out, out / MANIFEST
        if restart:
            for file in (self.file, *out.glob(f"part-*{PARQUET}")):  # the manifest first
                file.unlink(missing_ok=True)
        self.manifest = self._read(made, size)
        self.seen = 0  # chunks
        self.found = self.redone = 0

    def _read(self, made: dict[str, Any], size: int) -> Manifest:
        if not self.file.exists():
            if any(path.name != ".lock" for path in self.out.iterdir()):
                raise DataError(f"{self.out}: holds files, and no {MANIFEST} to go on by. {_AGAIN}")
            found = Manifest(made, size)
            self._write(found)
            return found
        found = read_plain(self.file, Manifest, what="a manifest", error=DataError)
        for key, part in found.parts.items():
            _check_part(self.file, key, part)
        refuse_changes(
            f"{self.out}: was made by another classifier or with other options. {_AGAIN}",
            {**found.made_by, "size": found.size},
            {**made, "size": size},
        )
        return replace(found, finished=False)  # until all parts are known to hold

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.manifest.parts.values())

    def missing(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks without a part that holds. Raises DataError where one is of other inputs."""
        for chunk in chunks:
            self.seen += 1
            part = self.manifest.parts.get(str(chunk.number))
            if part is None:
                yield chunk
                continue
            if part.inputs != chunk.inputs:  # the last of fewer inputs may have grown
                began = Chunk(chunk.number, chunk.paths[: part.rows])
                if began.inputs != part.inputs or len(chunk.paths) == part.rows:
                    raise self._of_others(chunk.number)
            elif self._holds(part, chunk):
                self.found += part.rows
                continue
            else:
                self.redone += part.rows
            del self.manifest.parts[str(chunk.number)]
            self._write(self.manifest)
            yield chunk

    def _of_others(self, number: int) -> DataError:
        return DataError(
            f"{self.out}: part {number} is of other files than these inputs, or in another order. "
            f"Give the same inputs. {_AGAIN}"
        )

    def _holds(self, part: Part, chunk: Chunk) -> bool:
        """Whether a part's file is as it was written, and its pictures are as they were."""
        file = part_file(self.out, part.number)
        if not file.is_file() or file_sha256(file) != part.sha256:
            return False
        return Batch.read(part.pictures).still_holds(chunk.paths)

    def add(self, part: Part) -> None:
        self.manifest.parts[str(part.number)] = part
        self._write(self.manifest)

    def _write(self, manifest: Manifest) -> None:
        write_plain(self.file, manifest, error=DataError, indent=1)

    def finish(self, classifier: Decider) -> Summary:
        parts = self.manifest.parts
        if not self.seen:
            raise DataError("No images found: no path was given.")
        if len(parts) > self.seen:
            raise DataError(
                f"{self.out}: holds {len(parts)} parts, and these inputs are {self.seen}. "
                f"Give the same inputs. {_AGAIN}"
            )
        self._write(replace(self.manifest, finished=True))
        arrivals = None
        if classifier.gate is not None:
            tally = Tally()
            for number in sorted(map(int, parts)):
                tally += tally_table(part_file(self.out, number), classifier.gate)
            arrivals = judge_arrivals(classifier.gate, tally)
        failed = sum(part.failed for part in parts.values())
        return Summary(self.out, self.rows, failed, self.found, self.redone, arrivals)


def _check_part(file: Path, key: str, part: Part) -> None:
    """Raises DataError where what a manifest says of a part contradicts itself."""
    try:
        batch = Batch.read(part.pictures)
        fits = key == str(part.number) and part.number >= 0 and batch.rows > 0
        if not fits or (batch.rows, batch.failed) != (part.rows, part.failed):
            raise ValueError("its numbers contradict each other")
    except ValueError as error:
        raise DataError(f"{file}: damaged (part '{key}': {error}). {_AGAIN}") from None


def _chunks(paths: Iterator[Path], size: int) -> Iterator[Chunk]:
    number = 0
    while found := tuple(islice(paths, size)):
        yield Chunk(number, found)
        number += 1
