"""The report's sections that fill in published forms: checklists, limits, and the model card.

Conditions say what every run of a report holds, and decide how far an item is filled. A condition
says that the report shows something, not that it is good.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from hilum.codec import from_plain
from hilum.errors import HilumError, plural
from hilum.evaluation.assess import Assessment
from hilum.evaluation.subgroups import Attribute
from hilum.explanation.split import EXPLANATIONS_FILE
from hilum.files import read_packaged
from hilum.reporting.runs import Run
from hilum.reporting.sections.data import known_source
from hilum.reporting.sections.probabilities import was_scaled
from hilum.reporting.sections.summary import describe_result, describe_run
from hilum.reporting.subject import Subject
from hilum.wording import listed, moment

Condition = Callable[[Subject, Run], bool]


def _assessed(shown: Callable[[Assessment], object]) -> Condition:
    """Whether the report shows something of an assessment of the run's own data."""
    return lambda subject, run: any(
        bool(shown(assessment))
        for result in run.results
        if result.assessment
        for assessment in (result.assessment, *result.assessment.findings.values())
    )


def _compared(assessment: Assessment) -> list[Attribute]:
    """The attributes whose subgroups were compared, not only counted."""
    subgroups = assessment.subgroups
    return [a for a in subgroups.attributes if a.p is not None] if subgroups else []


CONDITIONS: Mapping[str, Condition] = {
    "always": lambda subject, run: True,
    # the data
    "real": lambda subject, run: not run.synthetic,
    "counts": lambda subject, run: bool(run.data.get("counts")),
    "split": lambda subject, run: bool(run.data.get("split")),
    "source": lambda subject, run: known_source(run) is not None,
    "audit": lambda subject, run: (
        subject.audit is not None and not (subject.audit["other"] or subject.audit["divided"])
    ),
    # the training
    "trained": lambda subject, run: run.trained_here or bool(run.judgement and run.judgement.leaks),
    "imported": lambda subject, run: not run.trained_here,
    "networks": lambda subject, run: bool(run.info.get("networks")),
    "recipe": lambda subject, run: bool(run.recipe),
    "preprocessing": lambda subject, run: run.image_size is not None,
    "history": lambda subject, run: bool(run.history),
    "versions": lambda subject, run: bool(run.info.get("versions")),
    # the results
    "results": lambda subject, run: bool(run.results),
    "test": lambda subject, run: run.result("test") is not None,
    "intervals": lambda subject, run: any(
        result.evaluation.headline[1].low is not None for result in run.results
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


def list_limits(subject: Subject) -> list[str]:
    """Sentences for readers; what was checked is not named as unchecked."""
    holds = holding(subject)
    return [
        limit["text"]
        for limit in read_packaged("reporting", "texts", "limits.toml")["limit"]
        if limit.get("where", "always") in holds and limit.get("unless") not in holds
    ]


# ---- forms ---------------------------------------------------------------------------------

Status = Literal["filled", "partly", "for the author to write"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a form.

    asks: what is asked, in our words, where its name does not say it. anchor: the section of the
    report where it is answered, or ''. filled, partly: names of conditions. says: what a run is
    known to say there, by its name, or a text that is true of all.
    """

    asks: str = ""
    anchor: str = ""
    filled: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    says: str = ""

    def status(self, holds: frozenset[str]) -> Status:
        """How far the report answers it: with every condition in filled, else in partly, or not."""
        if self.filled and holds.issuperset(self.filled):
            return "filled"
        if self.partly and holds.issuperset(self.partly):
            return "partly"
        return "for the author to write"


@dataclass(frozen=True, slots=True)
class Form:
    """A published form: what it is called, where it was published, and its items by group."""

    name: str
    title: str
    source: str
    note: str
    group: dict[str, dict[str, Item]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What answers an item of a form.

    name: of the item. says: the answer itself, or '' where the section at the item's anchor has it.
    """

    name: str
    item: Item
    says: str
    status: Status


@cache
def read_form(name: str) -> Form:
    """One of the forms in texts/, such as 'claim-2024'."""
    content = read_packaged("reporting", "texts", f"{name}.toml")
    return from_plain(Form, content, what="a form", error=HilumError)


def fill_form(name: str, *, each: bool = False) -> Callable[[Subject], dict[str, Any]]:
    """What makes a form's section: its items with what answers them, and how many are of each.

    each: a form for each run, and not one for all of them.
    """

    def collect(subject: Subject) -> dict[str, Any]:
        form, holds = read_form(name), holding(subject)
        known = {run.name: _known(run) for run in subject.runs} if each else {"": {}}
        sheets = {whose: _fill(form, holds, said) for whose, said in known.items()}
        tally = Counter(
            answer.status
            for groups in sheets.values()
            for answers in groups.values()
            for answer in answers
        )
        return {
            "form": form,
            "sheets": sheets,
            "tally": {status: tally[status] for status in STATUSES},
        }

    return collect


def _fill(form: Form, holds: frozenset[str], known: Mapping[str, str]) -> dict[str, list[Answer]]:
    """What answers every item, by group. known: what a run says, by its name."""

    def answer(name: str, item: Item) -> Answer:
        says = known.get(item.says, item.says)
        return Answer(name, item, says, "filled" if says else item.status(holds))

    return {
        group: [answer(name, item) for name, item in items.items()]
        for group, items in form.group.items()
    }


_RULES = {
    "route": "route: the most probable option of each decision, from the root down",
    "argmax": "argmax: the most probable class",
}


def _known(run: Run) -> dict[str, str]:
    """What a run says for a model card, by the names in model-card.toml; '' where nothing."""
    finished, source = run.info.get("finished"), known_source(run)
    found = {
        "finished": moment(finished) if finished else "",
        "type": describe_run(run),
        "meaning": source.meaning if source else "",
        "notes": " ".join(map(str, run.info.get("notes") or ())),
        "measures": "",
        "variation": "",
        "rules": "; ".join(
            [_RULES[rule] for rule in sorted({r.evaluation.rule for r in run.results})]
            * bool(run.tree.decisions)
            + [f"{name} from {limit:.3g} on" for name, limit in run.thresholds.items()]
        ),
        "results": " ".join(describe_result(result) for result in run.results),
        "evaluated-on": "; ".join(
            f"{r.evaluation.data.get('name') or 'data of an unrecorded name'}, split {r.split}, "
            f"{r.evaluation.n:,} images"
            for r in run.results
        ),
        "trained-on": "",
        "size": "",
    }
    if run.results:
        measured = []
        if run.tree.decisions:
            measured.append(
                "Accuracy, balanced accuracy, AUROC; precision, recall, specificity, F1 and AUROC "
                "of each class; each decision alone"
            )
        if run.tree.findings:
            measured.append(
                "AUROC, average precision, sensitivity, specificity, PPV, NPV and calibration of "
                "each finding, on the images of which it is known; their means, and the share of "
                "images of which every finding is told rightly"
            )
        found["measures"] = ". ".join(measured)
        one = "one training with one seed, so " * run.trained_here
        found["variation"] = (
            f"95 % intervals over the evaluated images; {one}how figures vary from training to "
            "training is not measured"
        )
    if counts := (run.data.get("counts") or {}).get("train"):
        classes = listed(f"{n:,} {name}" for name, n in counts.items())
        if not run.tree.decisions:
            classes = plural(sum(counts.values()), "image")
        if told := (run.data.get("findings") or {}).get("train"):
            own = listed(f"{name} in {of['present']:,}" for name, of in told.items())
            classes += f"; present are {own}"
        held_out = f", of which {run.held_out:,} were held out" if run.held_out else ""
        found["trained-on"] = f"{run.data.get('name')}, split train: {classes}{held_out}"
    if run.image_size:
        height, width = run.image_size
        found["size"] = f"Grey, {height} × {width} pixels (height × width); see the settings"
    return found
