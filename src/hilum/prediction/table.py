"""The columns of a table of predictions, and its rows.

- ``path``; ``predicted`` where there are classes; ``present`` where there are findings: those that
  are called so, joined by ``|``;
- ``status`` ('ok' or 'failed') and ``reason`` (why it failed);
- ``study``: of a DICOM file the name of its study (StudyNames); empty of others;
- ``p(CLASS)``, ``DECISION/OPTION`` and ``p(FINDING)`` as in an evaluation's ``predictions.csv``;
- a column for each operating point, by its name: 1 where it calls the radiograph positive, else 0;
- ``set``: the classes that cannot be ruled out, joined by ``|`` in the tree's order;
- ``possible``: likewise the findings;
- ``gate_p_value``: the share of training radiographs that are at least as odd;
- ``referred`` (1 or 0) and ``referral``: whether a radiologist should look, and why.

The last three groups are there where the classifier has what they need; ``study`` where studies
are to be named. Of a file that cannot be read, everything after its reason is empty.
"""

import csv
import importlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hilum.classifier.conformal import COVERAGE, Conformal, fit_conformal, refer
from hilum.classifier.decider import Decider
from hilum.classifier.operating_points import (
    OperatingPoint,
    apply_operating_point,
)
from hilum.classifier.promised import fitted_points, risk_control
from hilum.classifier.risk_control import RiskControl
from hilum.errors import DataError
from hilum.files import ODD_NAMES, new_file, sha256, to_cell
from hilum.labels import LabelTree
from hilum.prediction.stream import Answers
from hilum.predictions import Prediction, Predictions
from hilum.radiographs.cache import salt_of, salted_name


@dataclass(frozen=True)
class StudyNames:
    """Names of studies, equal in all tables of one folder.

    folder: of the tables; its salt, in the cache, is made when the first study is named.
    keep_identifiers: studies keep their Study Instance UID, which leads to the patient. salt: the
    folder's, where it is not in this machine's cache but was made on another.
    """

    folder: Path
    keep_identifiers: bool = False
    salt: bytes | None = field(default=None, repr=False)

    def name(self, uid: str) -> str:
        """The name of the study with this Study Instance UID; '' where the file has none.

        As salted_name makes it, or the UID itself if it is to be kept.
        Raises DataError where the salt cannot be kept in the cache.
        """
        if not uid or self.keep_identifiers:
            return uid
        return salted_name(self._salt, "study", uid)

    @property
    def salt_digest(self) -> str:
        """SHA-256 of the salt, by which to see that it is still the same. Raises as name does."""
        return sha256(self._salt)

    @cached_property
    def _salt(self) -> bytes:
        return salt_of(self.folder) if self.salt is None else self.salt


Cell = str | int | float | None
Row = tuple[Cell, ...]
Kind = Literal["text", "flag", "number"]

BETWEEN = "|"


@dataclass(frozen=True)
class Table:
    """What is said of each radiograph beyond its probabilities, and how it stands in a row.

    points: fitted operating points, of classes and of findings. conformal: the thresholds of
    prediction sets. control: from where on findings cannot be ruled out. false_alarms: the p-value
    from which on the gate flags. None where the classifier cannot say. studies: how they are named;
    None where they are not named. columns: by name.
    """

    tree: LabelTree
    points: tuple[OperatingPoint, ...] = ()
    conformal: Conformal | None = None
    false_alarms: float | None = None
    studies: StudyNames | None = None
    control: RiskControl | None = None
    columns: dict[str, Kind] = field(init=False)

    def __post_init__(self) -> None:
        tree = self.tree
        columns: dict[str, Kind] = dict.fromkeys(("path", *self._said(Prediction(""))), "text")
        columns |= dict.fromkeys(("status", "reason"), "text")
        if self.studies:
            columns["study"] = "text"
        columns |= dict.fromkeys((f"p({name})" for name in self._classes), "number")
        options = (f"{d.name}/{option}" for d in tree.decisions for option in d.options)
        columns |= dict.fromkeys(options, "number")
        columns |= dict.fromkeys((f"p({finding.name})" for finding in tree.findings), "number")
        columns |= dict.fromkeys(map(str, self.points), "flag")
        kinds: dict[str, Kind] = {"gate_p_value": "number", "referred": "flag"}
        columns |= {name: kinds.get(name, "text") for name in self._doubts(Prediction(""))}
        object.__setattr__(self, "columns", columns)

    @property
    def _classes(self) -> tuple[str, ...]:
        """The classes that there are to choose from."""
        return self.tree.classes if self.tree.decisions else ()

    @property
    def refers(self) -> bool:
        """Whether anything is referred: by the gate, by prediction sets or by both."""
        return self.conformal is not None or self.false_alarms is not None

    @classmethod
    def of(
        cls,
        classifier: Decider,
        operate: Sequence[str] = (),
        coverage: float | None = None,
        studies: StudyNames | None = None,
    ) -> "Table":
        """The table that a classifier can fill.

        operate: operating points, as parse_operating_points reads them, of classes or findings.
        coverage: of the
        prediction sets, in (0, 1); None takes 0.9 if the classifier can make sets at all.
        studies: how to name those of DICOM files, if at all.
        Raises ClassifierError where points or sets are asked of a classifier without validation
        figures; EvaluationError and LabelError as the fitting does, and where the demands of a
        point cannot be met.
        """
        tree = classifier.tree
        points = fitted_points(classifier, operate)
        conformal = None
        if operate or coverage is not None or classifier.validation is not None:
            truth, known = classifier.promised_predictions()
            for point in points:
                apply_operating_point(point, tree, known)  # refuses now what it would later
            if tree.decisions:
                conformal = fit_conformal(
                    tree, truth, known, COVERAGE if coverage is None else coverage
                )
        alarms = classifier.gate.false_alarms if classifier.gate else None
        return cls(tree, points, conformal, alarms, studies, risk_control(classifier))

    def predictions(self, answers: Answers) -> list[Prediction]:
        """What is said of each input, in order.

        Raises DataError where studies cannot be named, because the cache cannot be written.
        """
        read = iter(() if answers.predictions is None else self._read(answers.predictions, answers))
        return [
            replace(Prediction("", reason) if reason else next(read), path=str(path))
            for path, reason in zip(answers.paths, answers.reasons, strict=True)
        ]

    def rows(self, answers: Answers) -> list[Row]:
        """The same as rows of a table. Raises as predictions does."""
        return [self.row(prediction) for prediction in self.predictions(answers)]

    def row(self, prediction: Prediction) -> Row:
        """A prediction as one cell for each column."""
        p = prediction
        if p.reason:
            said = [None] * len(self._said(p))
            left = len(self.columns) - len(said) - 3
            return (p.path, *said, p.status, p.reason, *[None] * left)
        return (
            p.path,
            *self._said(p).values(),
            p.status,
            p.reason,
            *((p.study or None,) if self.studies else ()),
            *p.probs.values(),
            *(prob for options in p.decisions.values() for prob in options.values()),
            *p.findings.values(),
            *map(int, p.calls.values()),
            *self._doubts(p).values(),
        )

    def nest(self, prediction: Prediction) -> dict[str, Any]:
        """A prediction for a program: probabilities by class, and by decision and option."""
        p = prediction
        study = {"study": p.study or None} if self.studies else {}
        about: dict[str, Any] = {"path": p.path}
        about |= {"predicted": p.predicted or None} if self.tree.decisions else {}
        about |= {"present": None if p.reason else p.present} if self.tree.findings else {}
        about |= {"status": p.status, "reason": p.reason, **study}
        calls = {str(point): int(p.calls[str(point)]) if p.calls else None for point in self.points}
        doubts = dict.fromkeys(self._doubts(p)) if p.reason else self._doubts(p)
        probs: dict[str, Any] = {}
        if not p.reason:
            probs = {"probs": p.probs, "decisions": p.decisions} if self.tree.decisions else {}
            probs |= {"findings": p.findings} if self.tree.findings else {}
        return {**about, **calls, **doubts, **probs}

    def _said(self, prediction: Prediction) -> dict[str, Cell]:
        """What is said in a word: the class, and which findings are present."""
        cells: dict[str, Cell] = {}
        if self.tree.decisions:
            cells["predicted"] = prediction.predicted
        if self.tree.findings:
            cells["present"] = BETWEEN.join(prediction.present)
        return cells

    def _doubts(self, prediction: Prediction) -> dict[str, Cell]:
        """The last columns: what cannot be ruled out, and whether a radiologist should look."""
        cells: dict[str, Cell] = {}
        if self.conformal:
            cells["set"] = BETWEEN.join(prediction.held or ())
        if self.control:
            cells["possible"] = BETWEEN.join(prediction.possible or ())
        if self.false_alarms is not None:
            cells["gate_p_value"] = prediction.gate_p_value
        if self.refers:
            cells |= {"referred": int(bool(prediction.referral)), "referral": prediction.referral}
        return cells

    def salt_digest(self, answers: Answers) -> str:
        """SHA-256 of the salt by which the rows of some answers name studies; '' if by none."""
        names = self.studies
        if names is None or names.keep_identifiers or not any(answers.studies):
            return ""
        return names.salt_digest

    def _read(self, found: Predictions, answers: Answers) -> Iterator[Prediction]:
        """What is said of each file that was read, but for its path."""
        classes = self.tree.classes
        # Without prediction sets, every image has its one class, and only the gate refers.
        sets = np.eye(len(classes), dtype=bool)[found.predicted]
        if self.conformal:
            sets = self.conformal.sets(found.probs)
        flagged = None
        if self.false_alarms is not None:
            p_values = found.gate_p_values
            assert p_values is not None, "a classifier with a gate judges every image"
            flagged = (p_values <= self.false_alarms) | answers.coloured
        referrals = refer(sets, flagged).reasons if self.refers else None
        calls = {str(p): apply_operating_point(p, self.tree, found) for p in self.points}
        names = [finding.name for finding in self.tree.findings]
        possible = (
            self.control.possible(found.finding_probs, found.present) if self.control else None
        )
        for i, one in enumerate(replace(found, classes=classes, options=self.tree.options)):
            held = tuple(c for c, is_in in zip(classes, sets[i], strict=True) if is_in)
            yield replace(
                one,
                study=self.studies.name(answers.studies[i]) if self.studies else "",
                calls={point: bool(called[i]) for point, called in calls.items()},
                held=held if self.conformal else None,
                possible=None
                if possible is None
                else tuple(n for n, is_in in zip(names, possible[i], strict=True) if is_in),
                referral="" if referrals is None else referrals[i],
            )


CSV, JSON_LINES, PARQUET = ".csv", ".jsonl", ".parquet"
_ROW_GROUP = 8192


def check_format(out: Path) -> str:
    """The format that a file's name ends in: CSV, JSON_LINES or PARQUET.

    Raises DataError for another ending, and for Parquet where pyarrow is not installed.
    """
    ending = out.suffix.casefold()
    if ending not in (CSV, JSON_LINES, PARQUET):
        raise DataError(
            f"{out}: predictions are written as CSV, JSON lines or Parquet; end the name in "
            f"{CSV}, {JSON_LINES} or {PARQUET}."
        )
    if ending == PARQUET:
        _pyarrow(out)
    return ending


def encode_header(columns: Iterable[str]) -> bytes:
    """The first line of a CSV file."""
    return _csv([[to_cell(name) for name in columns]])


def encode_csv(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """Rows as lines of CSV. columns: their names, which only the header holds."""
    return _csv([to_cell(c) if isinstance(c, str) else c for c in row] for row in rows)


def encode_json_lines(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """Rows as lines of JSON."""
    lines = (
        json.dumps(
            {name: _unicode(cell) for name, cell in zip(columns, row, strict=True)},
            ensure_ascii=False,
            allow_nan=False,
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode()


ENCODERS: dict[str, Callable[[Sequence[str], Iterable[Row]], bytes]] = {
    CSV: encode_csv,
    JSON_LINES: encode_json_lines,
    PARQUET: encode_json_lines,
}


def write_parquet(lines: Path, columns: Mapping[str, Kind], target: Path) -> None:
    """Turn a file of JSON lines into a Parquet file, some thousand rows at a time.

    columns: the kind of each column by its name. The target is there whole or not at all.
    """
    with lines.open(encoding="utf-8") as text:
        _write_parquet(
            iter(lambda: [json.loads(line) for line in islice(text, _ROW_GROUP)], []),
            columns,
            target,
        )


def write_parquet_rows(
    groups: Iterable[Sequence[Row]], columns: Mapping[str, Kind], target: Path
) -> None:
    """Write rows, in groups, into a Parquet file. Otherwise as write_parquet."""
    named = (
        [dict(zip(columns, map(_unicode, row), strict=True)) for row in rows] for rows in groups
    )
    _write_parquet(named, columns, target)


def _write_parquet(
    groups: Iterable[list[dict[str, Cell]]], columns: Mapping[str, Kind], target: Path
) -> None:
    arrow, parquet = _pyarrow(target)
    kinds = {"text": arrow.string(), "flag": arrow.int8(), "number": arrow.float64()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    with new_file(target) as file, parquet.ParquetWriter(file, schema) as writer:
        for rows in groups:
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def read_parquet(source: Path, column: str) -> Iterator[Cell]:
    """The cells of a column of a Parquet file, some thousand rows in memory at a time."""
    _, parquet = _pyarrow(source)
    with parquet.ParquetFile(source) as file:
        for rows in file.iter_batches(_ROW_GROUP, columns=[column]):
            yield from rows.column(0).to_pylist()


def _csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    buffer = io.StringIO(newline="")
    # Texts are always quoted: a carriage return within a path would end the line otherwise.
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8", ODD_NAMES)


def _unicode(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    return cell.encode("utf-8", ODD_NAMES).decode("utf-8", "backslashreplace")


def _pyarrow(out: Path) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            f"{out}: Parquet needs pyarrow, which is not installed: pip install "
            "'hilum[parquet]', or let the name end in .csv or .jsonl."
        ) from None
