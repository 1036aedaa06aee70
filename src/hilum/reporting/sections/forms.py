"""What a run holds, as named conditions: they decide how far an item of a checklist is filled.

A condition says that the report shows something, not that it is good.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from hilum.evaluation.assess import Assessment
from hilum.evaluation.subgroups import Attribute
from hilum.explanation.split import EXPLANATIONS_FILE
from hilum.files import read_packaged
from hilum.reporting.page import moment
from hilum.reporting.runs import Run
from hilum.reporting.sections.calibration import was_scaled
from hilum.reporting.sections.data import known_source
from hilum.reporting.subject import Subject
from hilum.reporting.summary import describe_result, describe_run, listed

Condition = Callable[[Subject, Run], bool]


def _assessed(shown: Callable[[Assessment], object]) -> Condition:
    """Whether the report shows something of an assessment of the run's own data."""
    return lambda subject, run: any(
        result.assessment is not None and bool(shown(result.assessment)) for result in run.results
    )


def _compared(assessment: Assessment) -> list[Attribute]:
    """The attributes whose subgroups were compared, not only counted."""
    subgroups = assessment.subgroups
    return [a for a in subgroups.attributes if a.p is not None] if subgroups else []


CONDITIONS: Mapping[str, Condition] = {
    "always": lambda subject, run: True,
    # the data
    "counts": lambda subject, run: bool(run.data.get("counts")),
    "split": lambda subject, run: bool(run.data.get("split")),
    "source": lambda subject, run: known_source(run) is not None,
    "audit": lambda subject, run: subject.audit is not None and not subject.audit["other"],
    # the training
    "networks": lambda subject, run: bool(run.info.get("networks")),
    "recipe": lambda subject, run: bool(run.recipe),
    "preprocessing": lambda subject, run: run.image_size is not None,
    "history": lambda subject, run: bool(run.history),
    "versions": lambda subject, run: bool(run.info.get("versions")),
    # the results
    "results": lambda subject, run: bool(run.results),
    "test": lambda subject, run: run.result("test") is not None,
    "intervals": lambda subject, run: any(
        result.evaluation.accuracy.low is not None for result in run.results
    ),
    "pictures": lambda subject, run: (
        subject.images is not None and any(result.verdicts for result in run.results)
    ),
    # beyond the confusion matrix
    "calibration": _assessed(lambda found: found.calibration),
    "temperature": _assessed(lambda found: found.temperature and was_scaled(found.temperature)),
    "operating-points": _assessed(
        lambda found: found.operating and any(row.result for row in found.operating.rows)
    ),
    "gate": _assessed(lambda found: found.gate),
    "subgroups": _assessed(_compared),
    "sources": _assessed(lambda found: any(a.name == "source" for a in _compared(found))),
    "external": lambda subject, run: bool(run.external),
    "explanations": lambda subject, run: any(
        (run.folder / "evaluation" / result.split / EXPLANATIONS_FILE).is_file()
        for result in run.results
    ),
}


def holding(subject: Subject) -> frozenset[str]:
    """The names of the conditions that hold for every run of a report."""
    return frozenset(
        name
        for name, holds in CONDITIONS.items()
        if all(holds(subject, run) for run in subject.runs)
    )


Status = Literal["filled", "partly", "for the author to write"]
STATUSES: tuple[Status, ...] = ("filled", "partly", "for the author to write")


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a checklist.

    number: as published. section: of the paper. text: what is asked, in our words. anchor: the
    section of the report where it is answered, or ''. filled, partly: names of conditions.
    """

    number: str
    section: str
    text: str
    anchor: str = ""
    filled: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()

    def status(self, holds: frozenset[str]) -> Status:
        """How far the report answers it: with every condition in filled, else in partly, or not."""
        if self.filled and holds.issuperset(self.filled):
            return "filled"
        if self.partly and holds.issuperset(self.partly):
            return "partly"
        return "for the author to write"


@dataclass(frozen=True, slots=True)
class Checklist:
    """A published checklist: what it is called, where it was published, and its items."""

    name: str
    title: str
    source: str
    note: str
    items: tuple[Item, ...]


@cache
def read_checklist(name: str) -> Checklist:
    """One of the checklists in texts/, such as 'claim-2024'."""
    content = read_packaged("reporting", "texts", f"{name}.toml")
    items = tuple(
        Item(
            number=item["number"],
            section=item["section"],
            text=item["text"],
            anchor=item.get("anchor", ""),
            filled=tuple(item.get("filled", ())),
            partly=tuple(item.get("partly", ())),
        )
        for item in content.pop("item")
    )
    return Checklist(**content, items=items)


def fill_checklist(name: str) -> Callable[[Subject], dict[str, Any]]:
    """What makes a checklist's section: its items with their status, and how many are of each."""

    def collect(subject: Subject) -> dict[str, Any]:
        checklist = read_checklist(name)
        holds = holding(subject)
        rows = [(item, item.status(holds)) for item in checklist.items]
        tally = Counter(status for _, status in rows)
        return {
            "checklist": checklist,
            "rows": rows,
            "tally": [(status, tally[status]) for status in STATUSES],
        }

    return collect


def list_limits(subject: Subject) -> list[str]:
    """Sentences for readers; what was checked is not named as unchecked."""
    holds = holding(subject)
    found = [
        "Hilum is research software, not a medical device. Nothing here may guide the care of a "
        "patient."
    ]
    if any(run.synthetic for run in subject.runs):
        found.append(
            "Phantoms are simple renderings. A classifier that tells them apart need not tell "
            "patients apart."
        )
    found.append(
        "Figures hold for images like those evaluated: the same source, devices, patients and "
        "share of each class. Elsewhere they may be far worse, and precision changes with "
        "prevalence."
    )
    if "audit" in holds:
        found.append(
            "The audit looks for duplicates, for patients in two splits and for marks that give a "
            "label away; what it finds is above, and what it cannot see may still be there."
        )
    else:
        found.append(
            "This report did not check for duplicates, for patients that stand in two splits, or "
            "for marks and borders that give a label away. Each of these makes figures look "
            "better than they are."
        )
    found.append(
        "The labels were taken as given. A classifier learns what the labels are, not what their "
        "names promise."
    )
    if any(not run.imported for run in subject.runs):
        found.append(
            "Each run is one training with one seed. Another seed gives other figures; the "
            "intervals do not cover that."
        )
    if any(run.imported for run in subject.runs):
        found.append(
            "Weights that were trained elsewhere may have seen the images that they are evaluated "
            "on; nothing here can tell."
        )
    if "external" not in holds:
        found.append("Images from another hospital were not evaluated here.")
    if "calibration" not in holds:
        found.append(
            "The probabilities were not checked for calibration: 90 % need not mean right nine "
            "times in ten."
        )
    return found


#: A field of a card: its name, and what the run says; None is for the author to write.
Field = tuple[str, str | None]


def write_cards(subject: Subject) -> list[dict[str, Any]]:
    """A card per run: the groups of the paper in its order, each with its fields."""
    return [{"name": run.name, "groups": _card(run)} for run in subject.runs]


def _card(run: Run) -> list[tuple[str, list[Field]]]:
    meaning = (known_source(run) or {}).get("meaning")
    return [
        (
            "Model details",
            [
                ("Person or organisation that develops it", None),
                ("Date", moment(run.info["finished"]) if run.info.get("finished") else None),
                ("Version", None),
                ("Type", describe_run(run)),
                ("Paper or other resource", None),
                ("Citation", None),
                ("Licence", None),
                ("Where to send questions", None),
            ],
        ),
        (
            "Intended use",
            [
                ("Primary uses", None),
                ("Primary users", None),
                ("Out of scope", "The care of patients: Hilum is for research, no medical device."),
            ],
        ),
        (
            "Factors",
            [("Relevant factors", None), ("Evaluation factors", None)],
        ),
        (
            "Metrics",
            [
                ("Performance measures", _measures(run)),
                ("Decision thresholds", _rule(run)),
                ("Variation", _variation(run)),
            ],
        ),
        (
            "Evaluation data",
            [("Data sets", _evaluated_on(run)), ("Why these", None), ("Preprocessing", _size(run))],
        ),
        ("Training data", [("Data sets", _trained_on(run)), ("What the labels mean", meaning)]),
        (
            "Quantitative analyses",
            [
                ("Unitary results", " ".join(describe_result(r) for r in run.results) or None),
                ("Intersectional results", None),
            ],
        ),
        ("Ethical considerations", [("Ethical considerations", None)]),
        (
            "Caveats and recommendations",
            [("Notes of the run", " ".join(map(str, run.info.get("notes") or ())) or None)],
        ),
    ]


def _measures(run: Run) -> str | None:
    if not run.results:
        return None
    return (
        "Accuracy, balanced accuracy, AUROC; precision, recall, specificity, F1 and AUROC of each "
        "class; each decision alone"
    )


def _rule(run: Run) -> str | None:
    rules = {result.evaluation.rule for result in run.results}
    if not rules:
        return None
    words = {
        "route": "route: the most probable option of each decision, from the root down",
        "argmax": "argmax: the most probable class",
    }
    return "; ".join(words[rule] for rule in sorted(rules))


def _variation(run: Run) -> str | None:
    if not run.results:
        return None
    return (
        "95 % intervals over the evaluated images; one training with one seed, so how figures "
        "vary from training to training is not measured"
    )


def _evaluated_on(run: Run) -> str | None:
    found = [
        f"{r.evaluation.data.get('name') or 'data of an unrecorded name'}, split {r.split}, "
        f"{r.evaluation.n:,} images"
        for r in run.results
    ]
    return "; ".join(found) or None


def _trained_on(run: Run) -> str | None:
    counts = (run.data.get("counts") or {}).get("train") or {}
    if not counts:
        return None
    classes = listed(f"{n:,} {name}" for name, n in counts.items())
    held_out = f", of which {run.held_out:,} were held out" if run.held_out else ""
    return f"{run.data.get('name')}, split train: {classes}{held_out}"


def _size(run: Run) -> str | None:
    if run.image_size is None:
        return None
    return "Grey, {} × {} pixels (height × width); see the settings".format(*run.image_size)
