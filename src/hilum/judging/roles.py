"""Which column of a table of predictions means what: guessed by name, or told.

Columns of scores are recognised beside the name of a class: ``p(covid)``, ``prob_covid``,
``covid_score``, ``covid``, or its number in the order of classes, ``y_prob_1``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hilum.errors import EvaluationError, examples, nearest
from hilum.judging.columns import Column
from hilum.labels import LabelTree, natural_order
from hilum.wording import listed

#: By role what its column may be called, without blanks, hyphens and underscores, in lower case.
NAMES: dict[str, tuple[str, ...]] = {
    "truth": (
        "truth", "true", "ytrue", "groundtruth", "gt", "label", "labels", "target", "targets",
        "trueclass", "truelabel", "actual", "reference", "diagnosis", "y",
    ),
    "predicted": (
        "predicted", "prediction", "predictions", "pred", "preds", "ypred", "predictedclass",
        "predictedlabel", "predclass", "predlabel", "called",
    ),
    "score": (
        "score", "prob", "probability", "yprob", "yproba", "proba", "yscore", "p", "logit",
        "confidence", "probabilities", "scores", "output",
    ),
    "case": (
        "path", "image", "imageid", "imagepath", "imageindex", "file", "filename", "filepath",
        "sopinstanceuid", "case", "caseid", "id", "name", "studyid", "study", "index", "column1",
    ),
    "patient": ("patient", "patientid", "pid", "subject", "subjectid", "patientname"),
    "class": ("class", "classname", "option"),
    "site": ("site", "hospital", "centre", "center", "institution", "source", "dataset"),
    "age": ("age", "patientage"),
    "sex": ("sex", "gender", "patientsex", "patientgender"),
    "view": ("view", "viewposition", "projection"),
}  # fmt: skip

#: The roles whose columns make subgroups.
ATTRIBUTES = ("site", "age", "sex", "view")

#: Case columns of these names may as well name patients.
VAGUE = ("id", "name", "study", "studyid", "index", "column1", "case", "caseid")

_SCORES = (
    r"p|prob|proba|probs|probability|probabilities|score|scores|logit|logits|y_?prob|y_?proba|"
    r"y_?score|y_?pred|pred|softmax|sigmoid|output|outputs"
)
_TRUTHS = r"truth|true|y_?true|gt|label|target|targets|labels"
_BESIDE = r"[\s_.:\-\[(/]+"
_FORMS = {
    kind: (
        re.compile(rf"(?:{words}){_BESIDE}(?P<label>.+?)[\])]?", re.IGNORECASE),
        re.compile(rf"(?P<label>.+?){_BESIDE}(?:{words})[\])]?", re.IGNORECASE),
    )
    for kind, words in (("p", _SCORES), ("truth", _TRUTHS), ("called", "called|pred|predicted"))
}
#: The most classes that are guessed from a column; more are names of something else.
_MOST_CLASSES = 100


@dataclass(frozen=True)
class Roles:
    """The columns by role.

    single: of each role its column. scores: by class, or by finding. truths, called: by finding.
    attributes: by name. tree: of the labels. unread: the columns that play no role.
    """

    single: Mapping[str, str]
    scores: Mapping[str, str]
    tree: LabelTree
    truths: Mapping[str, str] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def in_words(self) -> str:
        """Which column is read as what."""
        parts = [f"{column} ({role})" for role, column in self.single.items()]
        parts += [f"{column} (scores of {label})" for label, column in self.scores.items()]
        parts += [f"{column} (truth of {label})" for label, column in self.truths.items()]
        parts += [f"{column} (subgroups)" for column in self.attributes.values()]
        unread = examples(self.unread) if self.unread else "none"
        return f"Columns read: {', '.join(parts)}; not read: {unread}."


def find_roles(
    columns: Mapping[str, Column], told: Mapping[str, str], classes: LabelTree | None, where: str
) -> Roles:
    """The role of every column. told: by role, as parse_columns gives them. where: the file.

    Raises EvaluationError where one is missing, or two may be meant.
    """
    for role, name in told.items():
        if name not in columns:
            raise EvaluationError(f"{where}: there is no column '{name}'.{nearest(name, columns)}")
        if role not in NAMES and role.partition(":")[0] not in ("p", "truth", "called", "by"):
            known = ", ".join([*NAMES, "p:CLASS", "truth:FINDING", "called:FINDING", "by:NAME"])
            raise EvaluationError(f"--columns: there is no role '{role}'. Known: {known}.")
    single = {role: name for role, name in told.items() if ":" not in role}
    taken = set(told.values())
    for role, spellings in NAMES.items():
        if role in single:
            continue
        found = [n for s in spellings for n in columns if plain(n) == s and n not in taken]
        if role == "class" and "score" not in single:
            found = []
        if found:
            single[role] = found[0]
            taken.add(found[0])
    attributes = {role: single.pop(role) for role in ATTRIBUTES if role in single}
    attributes |= {r.partition(":")[2]: n for r, n in told.items() if r.startswith("by:")}
    free = [name for name in columns if name not in taken]
    of_findings = _findings(columns, free, told, classes)
    if of_findings is not None and "truth" not in single:
        tree, truths, scores, called = of_findings
        single.pop("score", None)
        single.pop("class", None)
    else:
        truths, called = {}, {}
        tree = classes or _tree(columns, single, free, where)
        scores = {} if "class" in single else _scores(columns, free, told, tree)
        if of_findings is not None and tree.findings:
            _, truths, own, called = of_findings
            scores |= own
        _check_complete(single, scores, tree, where, columns)
    used = {*single.values(), *scores.values(), *truths.values(), *called.values()}
    used |= set(attributes.values())
    unread = tuple(n for n in columns if n not in used and not _is_option(n, tree))
    return Roles(single, scores, tree, truths, called, attributes, unread)


def parse_columns(text: str) -> dict[str, str]:
    """Read 'truth=label,patient=pid,p:covid=prob_1' as columns by role. Raises EvaluationError."""
    found = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        role, equals, name = part.partition("=")
        if not equals or not name.strip():
            raise EvaluationError(
                f"--columns: cannot read '{part}'; write ROLE=COLUMN, such as truth=label."
            )
        found[role.strip()] = name.strip()
    return found


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _label_in(name: str, kind: str) -> list[str]:
    """What may be the label in the name of a column of scores, or of truths."""
    forms = (form.fullmatch(name.strip()) for form in _FORMS[kind])
    return [match["label"] for match in forms if match]


def _tree(
    columns: Mapping[str, Column], single: Mapping[str, str], free: Sequence[str], where: str
) -> LabelTree:
    """The classes as the truth has them, with those that only scores name."""
    if "truth" not in single:
        raise EvaluationError(
            f"{where}: there is no column of the truth (found {listed(columns)}); name it: "
            "--columns truth=COLUMN"
        )
    if options := [name for name in columns if name.startswith("root/")]:
        return _tree_of_options([n for n in columns if n.count("/") == 1], options)
    names = columns[single["truth"]].at_most(_MOST_CLASSES)
    if names is None:
        raise EvaluationError(
            f"{where}: the column '{single['truth']}' holds more than {_MOST_CLASSES} different "
            "texts, which are hardly classes; name the one that is: --columns truth=COLUMN"
        )
    for extra in ("predicted", "class"):
        if extra in single:
            names = [*names, *(columns[single[extra]].at_most(_MOST_CLASSES) or ())]
    named = [label for n in free if columns[n].numbers is not None for label in _label_in(n, "p")]
    known = {plain(name) for name in names}
    names += [n for n in named if not n.isdigit() and plain(n) not in known and "/" not in n]
    names = list(dict.fromkeys(names))
    if len(names) == 1 and names[0] in ("0", "1"):
        names = ["0", "1"]
    if len(names) < 2:
        raise EvaluationError(
            f"{where}: all cases are of one class, '{''.join(names)}', and no other is named; say "
            "what is told apart: --classes 'normal, covid'"
        )
    order = sorted(names, key=_by_number if all(map(_is_whole, names)) else natural_order)
    return LabelTree.from_text(", ".join(order))


def _is_whole(name: str) -> bool:
    return bool(re.fullmatch(r"-?\d+", name))


def _by_number(name: str) -> tuple[bool, str, str]:
    return False, f"{int(name):+021d}" if int(name) >= 0 else "", name


def _tree_of_options(all_options: Sequence[str], root: Sequence[str]) -> LabelTree:
    """The tree whose decisions are columns DECISION/OPTION, as predictions.csv has them."""

    def text(decision: str) -> str:
        own = [o.split("/")[1] for o in all_options if o.split("/")[0] == decision]
        return ", ".join(f"{o}({text(o)})" if any(
            x.startswith(f"{o}/") for x in all_options) else o for o in own)  # fmt: skip

    return LabelTree.from_text(text(root[0].split("/")[0]))


def _is_option(name: str, tree: LabelTree) -> bool:
    return name in {f"{d.name}/{option}" for d in tree.decisions for option in d.options}


def _scores(
    columns: Mapping[str, Column],
    free: Sequence[str],
    told: Mapping[str, str],
    tree: LabelTree,
) -> dict[str, str]:
    """By class its column of scores, as far as there are some."""
    wanted = {plain(name): name for name in tree.classes} if tree.decisions else {}
    numbers = {str(k): name for k, name in enumerate(tree.classes)}
    scores = {r.partition(":")[2]: n for r, n in told.items() if r.startswith("p:")}
    if unknown := [label for label in scores if label not in (*tree.classes, *_names(tree))]:
        raise EvaluationError(
            f"--columns: p:{unknown[0]} is of no class.{nearest(unknown[0], tree.classes)}"
        )
    for name in free:
        if columns[name].numbers is None or name in scores.values() or "/" in name:
            continue
        labels = [*_label_in(name, "p"), name]
        matches = [wanted[plain(label)] for label in labels if plain(label) in wanted]
        matches = matches or [numbers[label] for label in labels[:-1] if label in numbers]
        if matches and matches[0] not in scores:
            scores[matches[0]] = name
    return scores


def _names(tree: LabelTree) -> list[str]:
    return [finding.name for finding in tree.findings]


def _findings(
    columns: Mapping[str, Column],
    free: Sequence[str],
    told: Mapping[str, str],
    classes: LabelTree | None,
) -> tuple[LabelTree, dict[str, str], dict[str, str], dict[str, str]] | None:
    """The findings that have a column of truths and one of scores; None where none has."""
    kinds: dict[str, dict[str, tuple[str, str]]] = {"truth": {}, "p": {}, "called": {}}
    for kind, found in kinds.items():
        for role, name in told.items():
            if role.startswith(f"{kind}:"):
                label = role.partition(":")[2]
                found[plain(label)] = label, name
        for name in free:
            if columns[name].numbers is not None:
                for label in _label_in(name, kind):
                    found.setdefault(plain(label), (label, name))
    both = [key for key in kinds["truth"] if key in kinds["p"]]
    if classes is not None:
        wanted = {plain(name): name for name in _names(classes)}
        both = [key for key in both if key in wanted]
        if missing := [name for key, name in wanted.items() if key not in both]:
            raise EvaluationError(
                f"Findings need a column of truths (0 or 1) and one of scores each; {missing[0]} "
                f"lacks one: --columns truth:{missing[0]}=COLUMN,p:{missing[0]}=COLUMN"
            )
        names = [wanted[key] for key in both]
    else:
        names = [kinds["truth"][key][0] for key in both]
    if not both:
        return None
    tree = classes or LabelTree.from_text(f"{{{', '.join(names)}}}")
    by = {
        kind: {n: found[key][1] for key, n in zip(both, names, strict=True) if key in found}
        for kind, found in kinds.items()
    }
    return tree, by["truth"], by["p"], by["called"]


def _check_complete(
    single: Mapping[str, str],
    scores: Mapping[str, str],
    tree: LabelTree,
    where: str,
    columns: Mapping[str, Column],
) -> None:
    if "class" in single or not tree.decisions:
        return
    lacking = [name for name in tree.classes if name not in scores]
    one = len(tree.classes) == 2 and ("score" in single or len(lacking) == 1)
    if lacking and scores and not one:
        raise EvaluationError(
            f"{where}: there are scores of {listed(scores)}, but none of {listed(lacking)}; name "
            f"them: --columns p:{lacking[0]}=COLUMN (columns: {listed(columns)})"
        )
    if not scores and not one and "predicted" not in single:
        raise EvaluationError(
            f"{where}: there are neither scores of the classes {listed(tree.classes)} nor what was "
            f"predicted (columns: {listed(columns)}); name them: --columns "
            f"p:{tree.classes[-1]}=COLUMN or --columns predicted=COLUMN"
        )
