"""Judge a model by a table of its predictions: evaluate it, and say what may be claimed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from hilum.classifier.operating_points import finding_of
from hilum.codec import read_plain, write_plain
from hilum.display import Displayed, paragraphs
from hilum.errors import EvaluationError, plural
from hilum.evaluation.assess import Assessment, write_assessment
from hilum.evaluation.bands import Bands
from hilum.evaluation.compare import PairedComparison, compare_predictions
from hilum.evaluation.files import EVALUATION_FILE, Evaluation, write_evaluation
from hilum.evaluation.predictions_file import Told
from hilum.given import Data, Place, as_dataset
from hilum.judging.cases import Cases, read_cases
from hilum.judging.claims import Claim, parse_claim, usual_claims
from hilum.judging.evaluated import ASSESSED, SPLIT, assess_cases, evaluate_cases
from hilum.judging.images import look_at
from hilum.judging.leaks import Leak, find_leak
from hilum.judging.roles import parse_columns
from hilum.judging.scores import Kind
from hilum.judging.suspicion import look_wrong
from hilum.judging.verdict import Sentence, give_verdict
from hilum.judging.weighing import Judged, claims_table, judge_claims
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import Progress, several
from hilum.statistics.two_by_two import parse_prevalence
from hilum.stores import on_disk
from hilum.table import Table

JUDGEMENT_FILE = "judgement.json"

#: Of more cases predictions.csv is not written again.
_WRITTEN = 200_000

#: Where the threshold behind the predicted classes was chosen.
ChosenOn = Literal["validation", "test", "unknown"]

_CHOSEN_ON: dict[ChosenOn, str] = {
    "validation": "",
    "test": "The threshold was chosen on these very cases: sensitivity, specificity and accuracy "
    "are too good.",
    "unknown": "Where the threshold behind the predicted classes was chosen is not known; if on "
    "these cases, sensitivity, specificity and accuracy are too good (--chosen-on).",
}


@dataclass(frozen=True, repr=False)
class Judgement(Displayed):
    """What a table of predictions shows of a model.

    name: of the table. against: of the one that it is compared with, or ''. labels: the tree.
    n: cases; patients: how many, None where they are not known. kind: what the scores are.
    claims: in their order. leaks: what was trained on, as a training table and the images tell;
    none where neither was given. comparison: with the other model. verdict: sentences for a
    reviewer, each with the numbers that it stands on. notes: what a reader must know.
    """

    name: str
    against: str
    labels: list[Any]
    n: int
    patients: int | None
    kind: Kind
    claims: tuple[Judged, ...]
    leaks: tuple[Leak, ...]
    comparison: PairedComparison | None
    verdict: tuple[Sentence, ...]
    reading: str
    notes: tuple[str, ...]

    FORMAT: ClassVar[int] = 1

    def table(self) -> Table:
        """A row for each claim: whether it is shown, and by what."""
        return claims_table(self.claims)

    def _in_one_line(self) -> str:
        shown = sum(claim.status == "shown" for claim in self.claims)
        return f"Judgement of {self.name}: {shown} of {plural(len(self.claims), 'claim')} shown"

    def _in_full(self) -> Iterator[str | Table]:
        yield self.table()
        yield paragraphs(*(s.text for s in self.verdict), *self.notes)


@dataclass(frozen=True)
class Judging:
    """A judgement, and the evaluation and assessment that it stands on.

    assessment: None where scores are no probabilities. out: the folder, or None.
    """

    judgement: Judgement
    evaluation: Evaluation
    assessment: Assessment | None
    out: Path | None


def judge(
    predictions: Place,
    *,
    against: Place | None = None,
    validation: Place | None = None,
    train: Place | None = None,
    data: Data | None = None,
    claims: str | Sequence[str] = (),
    columns: str | Mapping[str, str] = "",
    classes: str | LabelTree | None = None,
    kind: Kind | None = None,
    chosen_on: ChosenOn = "unknown",
    leave_out_missing: bool = False,
    operate: str | Sequence[str] = (),
    prevalence: Mapping[str, float] | Sequence[str] = (),
    out: Place | None = None,
    progress: Progress | None = None,
) -> Judging:
    """Judge anybody's model by a table of its predictions.

    Args:
        predictions: CSV, Parquet, JSON Lines or NPZ: the truth and scores or classes of cases.
        against: Another model's table of the same cases.
        validation: A table of other cases of this model: on it temperatures, thresholds and
            prediction sets are chosen, which are then measured on the cases.
        train: A table of what the model was trained on (cases, patients): whether they are here.
        data: The images of the cases, named alike: subgroups by how they look, and whether copies
            of them are among other images of train there.
        claims: As judging.claims reads them; without any the usual ones are judged.
        columns: What columns mean where it is not guessed: 'truth=label,p:covid=prob_1'.
        classes: The labels, as 'normal, infected(covid, non-covid)'; None takes them as they are.
        kind: What the scores are: probabilities, logits, scores or labels; None looks.
        chosen_on: Where the threshold behind predicted classes was chosen.
        leave_out_missing: Leave out cases without scores, and say so.
        operate: Operating points beside the two presets, chosen on the validation table.
        prevalence: By label, for predictive values.
        out: A folder for judgement.json, evaluation.json, assessment.json and predictions.csv,
            which `hilum report` reads; None writes nothing.
        progress: Called as images are looked at.

    Returns:
        The judgement, and what it stands on.

    Raises:
        EvaluationError: A table cannot be read, or something asked for does not fit it.
    """
    roles = parse_columns(columns) if isinstance(columns, str) else dict(columns)
    tree = LabelTree.from_text(classes) if isinstance(classes, str) else classes

    def read(table: Place, tree: LabelTree | None) -> Cases:
        return read_cases(
            on_disk(table or ""), columns=roles, classes=tree, kind=kind,
            leave_out_missing=leave_out_missing, numbered=classes is not None,
        )  # fmt: skip

    cases = read(predictions, tree)
    seen = None
    if data is not None:
        seen = look_at(cases, as_dataset(data, progress=progress), progress)
        cases = replace(seen.cases, notes=(*seen.cases.notes, *seen.notes))
    other = align(read(against, cases.tree), cases) if against is not None else None
    if other is not None and not (cases.named and other.named):
        note = (
            "Cases are not named: a row of one table is taken for the same case as that row of the "
            "other. If they stand in another order, nothing of the comparison holds "
            "(--columns case=COLUMN)."
        )
        cases = replace(cases, notes=(*cases.notes, note))
    known = read(validation, cases.tree) if validation is not None else None
    _refuse_shared(cases, known)
    asked = [parse_claim(text, cases.tree) for text in several(claims)]
    asked = asked or [parse_claim(text, cases.tree) for text in usual_claims(cases, other)]
    shares = prevalence if isinstance(prevalence, Mapping) else None
    if shares is None:
        shares = parse_prevalence(list(prevalence), cases.tree)
    own = [text for text in several(operate) if not finding_of(text, cases.tree)]
    if known is None and several(operate):
        raise EvaluationError("Operating points are chosen on other cases: give --validation.")

    leaks = [find_leak(cases, on_disk(train), roles)] if train is not None else []
    leaks += [seen.leak] if seen and seen.leak else []
    return _judge(
        cases, asked, on_disk(out), other=other, known=known,
        leaks=leaks, chosen_on=chosen_on, operate=own, shares=shares,
        bands=seen.bands if seen else {},
    )  # fmt: skip


def _judge(
    cases: Cases,
    asked: Sequence[Claim],
    out: Path | None,
    *,
    other: Cases | None = None,
    known: Cases | None = None,
    leaks: Sequence[Leak] = (),
    chosen_on: ChosenOn = "unknown",
    operate: Sequence[str] = (),
    shares: Mapping[str, float] | None = None,
    bands: Mapping[str, Bands] | None = None,
) -> Judging:
    notes = [*cases.notes, *_notes(cases, known, chosen_on)]
    notes += [f"{other.name}: {note}" for note in look_wrong(other)] if other else []
    evaluation = evaluate_cases(cases, notes)
    assessment = assess_cases(cases, known, operate, shares or {}, bands or {})
    comparison = None
    if other is not None:
        mine, theirs = (Told(c.truth, c.predictions, c.marks) for c in (cases, other))
        comparison = compare_predictions(mine, theirs, (cases.name, other.name), SPLIT)
    judged = judge_claims(asked, cases, other)
    judgement = Judgement(
        name=cases.name,
        against=other.name if other else "",
        labels=cases.tree.to_json(),
        n=len(cases),
        patients=len(set(cases.groups)) if cases.groups is not None else None,
        kind=cases.kind,
        claims=tuple(judged),
        leaks=tuple(leaks),
        comparison=comparison,
        verdict=give_verdict(cases, evaluation, judged, leaks, chosen_on),
        reading=cases.reading,
        notes=tuple(notes),
    )
    if out is not None:
        _write(out, cases, judgement, evaluation, assessment)
    return Judging(judgement, evaluation, assessment, out)


def judge_matrix(
    confusion: str,
    *,
    classes: str | None = None,
    claims: str | Sequence[str] = (),
    out: Place | None = None,
) -> Judging:
    """Judge a model by its confusion matrix alone.

    confusion: rows are the truth, divided by semicolons, cells by commas: '7,1;0,8'. classes: their
    names; None numbers them from 1. The rest, what is returned and raised: as of judge.
    """
    rows = [row.split(",") for row in confusion.strip().rstrip(";").split(";")]
    try:
        counts = np.array([[int(cell) for cell in row] for row in rows], dtype=np.int64)
    except ValueError:
        counts = np.empty((0, 0), dtype=np.int64)
    k = len(counts)
    if k < 2 or counts.shape != (k, k) or (counts < 0).any() or not counts.any():
        raise EvaluationError(
            f"Cannot read the confusion matrix '{confusion}': write as many rows as columns, at "
            "least two, of counts: '7,1,0;0,8,0;0,4,4'."
        )
    tree = LabelTree.from_text(classes or ", ".join(map(str, range(1, k + 1))))
    if len(tree.classes) != k:
        raise EvaluationError(f"The matrix has {k} rows, but '{tree}' {len(tree.classes)} classes.")
    cells = np.repeat(np.arange(k * k), counts.ravel())
    truth, predicted = cells // k, cells % k
    probs = np.eye(k)[predicted]
    said = Predictions(
        tuple(map(str, range(1, len(truth) + 1))), probs, tree.decision_probs(probs), predicted,
        classes=tree.classes, options=tree.options,
    )  # fmt: skip
    cases = Cases(
        "a confusion matrix", tree, truth, said, np.empty((len(truth), 0), dtype=np.int64),
        "labels", None, {}, "Rows of the matrix are the truth, columns what was predicted.", (),
    )  # fmt: skip
    asked = [parse_claim(text, tree) for text in several(claims) or usual_claims(cases, None)]
    return _judge(cases, asked, on_disk(out))


def read_judgement(folder: Path) -> Judgement:
    """Read the judgement.json of a folder. Raises EvaluationError."""
    return read_plain(folder / JUDGEMENT_FILE, Judgement, what="a judgement", error=EvaluationError)


def align(other: Cases, cases: Cases) -> Cases:
    """The other model's cases in the order of these. Raises EvaluationError where they differ."""
    if cases.named != other.named and len(cases) == len(other):
        bare = other if cases.named else cases
        raise EvaluationError(f"{bare.name} does not name its cases, the other table does.")
    rows = {name: i for i, name in enumerate(other.predictions.names)}
    missing = [name for name in cases.predictions.names if name not in rows]
    if missing or len(rows) != len(cases):
        raise EvaluationError(
            f"{cases.name} and {other.name} are of other cases ({len(cases):,} and {len(rows):,}; "
            f"{plural(len(missing), 'case')} of the first not in the second): compare models on "
            "the same cases, named alike."
        )
    order = np.array([rows[name] for name in cases.predictions.names])
    for name in cases.attributes.keys() & other.attributes.keys():
        theirs = [other.attributes[name][i] for i in order.tolist()]
        pairs = zip(cases.predictions.names, cases.attributes[name], theirs, strict=True)
        if odd := [case for case, one, two in pairs if one != two]:
            raise EvaluationError(
                f"{cases.name} and {other.name} are not of the same cases in the same order: "
                f"{name} differs, of {'' if cases.named else 'row '}{odd[0]} first."
            )
    found = replace(
        other, truth=other.truth[order], marks=other.marks[order],
        predictions=other.predictions.take(order), groups=cases.groups,
        attributes=cases.attributes,
    )  # fmt: skip
    if (found.truth != cases.truth).any() or (found.marks != cases.marks).any():
        k = int(np.argmax((found.truth != cases.truth) | (found.marks != cases.marks).any(axis=1)))
        raise EvaluationError(
            f"{cases.name} and {other.name} have other truths, of {cases.predictions.names[k]} "
            "first."
        )
    return found


def _refuse_shared(cases: Cases, known: Cases | None) -> None:
    if known is None:
        return
    if not (cases.named and known.named):
        alike = len(cases) == len(known) and np.array_equal(cases.truth, known.truth)
        if alike and np.array_equal(cases.predictions.probs, known.predictions.probs):
            raise EvaluationError(
                f"{known.name} holds the same as {cases.name}: what is chosen on a case cannot be "
                "measured on it."
            )
        return
    same = set(cases.predictions.names) & set(known.predictions.names)
    if same:
        raise EvaluationError(
            f"{plural(len(same), 'case')} of {known.name} are in {cases.name} too, such as "
            f"{sorted(same)[0]}: what is chosen on a case cannot be measured on it."
        )


def _notes(cases: Cases, known: Cases | None, chosen_on: ChosenOn) -> list[str]:
    said = cases.predictions
    likeliest = cases.kind != "labels" and (said.predicted == said.probs.argmax(axis=1)).all()
    plain = chosen_on == "unknown" and likeliest  # nothing was chosen: the most probable class
    found = [_CHOSEN_ON[chosen_on]] if cases.tree.decisions and not plain else []
    if cases.groups is None:
        found.append(
            "Patients are not known: each case is taken as a patient of its own, which makes "
            "intervals and p too small where it is not so."
        )
    found += look_wrong(cases)
    if known is not None and not (cases.named and known.named):
        found.append(
            f"Cases are not named: whether some of {known.name} are judged here is not known."
        )
    if len(cases) > ASSESSED:
        found.append(
            f"Calibration, curves and subgroups are of {ASSESSED:,} cases drawn at random; "
            "measures and claims are of all."
        )
    if len(cases) > _WRITTEN:
        found.append(f"predictions.csv is not written again for more than {_WRITTEN:,} cases.")
    if known is not None and cases.groups and known.groups:
        both = set(cases.groups) & set(known.groups)
        if both:
            found.append(
                f"{plural(len(both), 'patient')} are in {known.name} too: what is chosen there "
                "and measured here is too good."
            )
    return [note for note in found if note]


def _write(
    out: Path,
    cases: Cases,
    judgement: Judgement,
    evaluation: Evaluation,
    assessment: Assessment | None,
) -> None:
    folder = out / "evaluation" / SPLIT
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():  # of an earlier judgement in this folder
        old.unlink()
    if len(cases) <= _WRITTEN:
        write_evaluation(
            evaluation, cases.truth, cases.predictions, cases.tree, folder,
            cases.marks if cases.tree.findings else None,
        )  # fmt: skip
    else:
        write_plain(folder / EVALUATION_FILE, evaluation, error=EvaluationError, indent=2)
    if assessment is not None and len(cases) <= ASSESSED:
        write_assessment(assessment, folder)
    write_plain(out / JUDGEMENT_FILE, judgement, error=EvaluationError, indent=2)
