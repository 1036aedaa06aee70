"""Which column of a table of predictions means what: guessed by name, or told.

Columns of scores are recognised beside the name of a class: ``p(covid)``, ``prob_covid``,
``covid_score``, ``covid``, or its number in the order of classes, ``y_prob_1``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hilum.errors import EvaluationError, examples, nearest
from hilum.judging.columns import Column
from hilum.labels import LabelTree, natural_order, says_nothing_found
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
    attributes: by name. tree: of the labels. unread: the columns that play no role. notes: what
    of it a reader must know.
    """

    single: Mapping[str, str]
    scores: Mapping[str, str]
    tree: LabelTree
    truths: Mapping[str, str] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def in_words(self) -> str:
        """Which column is read as what."""
        parts = [f"{column} ({role})" for role, column in self.single.items()]
        scores = [f"{column} (scores of {label})" for label, column in self.scores.items()]
        if len(scores) > 20:
            scores = [*scores[:3], f"and {len(scores) - 3} more columns of scores"]
        parts += scores
        parts += [f"{column} (truth of {label})" for label, column in self.truths.items()]
        parts += [f"{column} (subgroups)" for column in self.attributes.values()]
        unread = examples(self.unread) if self.unread else "none"
        return f"Columns read: {', '.join(parts)}; not read: {unread}."


def find_roles(
    columns: Mapping[str, Column],
    told: Mapping[str, str],
    classes: LabelTree | None,
    where: str,
    numbered: bool = True,
) -> Roles:
    """The role of every column. told: by role, as parse_columns gives them. where: the file.

    numbered: whether the classes stand in the order of their numbers, or of the alphabet.

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
        free = [n for n in columns if n not in taken and "(" not in n]
        found = [n for s in spellings for n in free if plain(n) == s]
        if role == "class" and "score" not in single:
            found = []
        if found:
            single[role] = found[0]
            taken.add(found[0])
        if role == "truth" and role in single:
            taken |= _named_as_classes(columns, single["truth"])
    taken = {*told.values(), *single.values()}
    _take_fractions(columns, single, told)
    attributes = {role: single.pop(role) for role in ATTRIBUTES if role in single}
    attributes |= {r.partition(":")[2]: n for r, n in told.items() if r.startswith("by:")}
    free = [name for name in columns if name not in taken]
    numbered = numbered and classes is not None
    of_findings = _findings(
        columns, free, told, classes if classes is not None and classes.findings else None
    )
    if of_findings is not None and "truth" not in single:
        tree, truths, scores, called = of_findings
        single.pop("score", None)
        single.pop("class", None)
    else:
        truths, called = {}, {}
        tree = classes or _tree(columns, single, free, where)
        if "class" not in single and len(tree.classes) != 2:
            single.pop("score", None)  # whose class of several it is, is not known
        scores = {} if "class" in single else _scores(columns, free, told, tree, not numbered)
        if of_findings is not None and tree.findings:
            _, truths, own, called = of_findings
            scores |= own
        _check_complete(single, scores, tree, where, columns)
    used = {*single.values(), *scores.values(), *truths.values(), *called.values()}
    used |= set(attributes.values())
    unread = tuple(n for n in columns if n not in used and not _is_option(n, tree))
    notes = () if numbered else _notes_of_order(scores, tree)
    return Roles(single, scores, tree, truths, called, attributes, unread, notes)


def _named_as_classes(columns: Mapping[str, Column], truth: str) -> set[str]:
    """The columns of numbers that are called as all classes are, be it 'age' and 'site'."""
    names = columns[truth].at_most(_MOST_CLASSES) or []
    if columns[truth].numbers is not None or len(names) < 2:
        return set()
    own = {n for n in columns if n in names and columns[n].numbers is not None}
    return own if len(own) == len(names) else set()


def _take_fractions(
    columns: Mapping[str, Column], single: dict[str, str], told: Mapping[str, str]
) -> None:
    """What is called a prediction and holds fractions is a score, as y_pred of Keras."""
    if "predicted" not in single or "predicted" in told or "score" in single:
        return
    numbers = columns[single["predicted"]].numbers
    if numbers is not None and (numbers[~np.isnan(numbers)] % 1 != 0).any():
        single["score"] = single.pop("predicted")


def _notes_of_order(scores: Mapping[str, str], tree: LabelTree) -> tuple[str, ...]:
    """Which class is which number, where scores have numbers and classes names."""
    if all(map(_is_whole, tree.classes)) or not scores:
        return ()
    numbered = [c for c, n in scores.items() if plain(c) not in plain(n)]
    if len(numbered) < len(scores) or not all(re.search(r"\d+[\])]?$", n) for n in scores.values()):
        return ()
    first = ", ".join(f"{k} is {name}" for k, name in enumerate(sorted(tree.classes)[:3]))
    return (
        f"Scores by number are taken in the order of the alphabet: {first}; if theirs is another, "
        "say which: --classes.",
    )


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
    return re.sub(r"[\W_]", "", name.casefold())


def as_label(name: str) -> str:
    """What a class is called: no parentheses, commas and slashes, of which a tree is written."""
    return " ".join(re.sub(r"[(){},/\\]", " ", name).split())


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
    known = {plain(name) for name in names}
    for name in free:
        found = _label_in(name, "p") if columns[name].numbers is not None else []
        if not known.intersection(map(plain, found)):
            names += [n for n in found[:1] if not n.isdigit() and "/" not in n]
    names = list(dict.fromkeys(map(as_label, names)))
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
    guessed: bool,
) -> dict[str, str]:
    """By class its column of scores, as far as there are some.

    guessed: the order of the classes is not told; most tools number them by the alphabet then.
    """
    wanted = {plain(name): name for name in tree.classes} if tree.decisions else {}
    texts = guessed and not all(map(_is_whole, tree.classes))
    order = sorted(tree.classes) if texts else tree.classes
    numbers = {str(k): name for k, name in enumerate(order)}
    bare = all(number in free for number in numbers)
    scores = {r.partition(":")[2]: n for r, n in told.items() if r.startswith("p:")}
    if unknown := [label for label in scores if label not in (*tree.classes, *_names(tree))]:
        raise EvaluationError(
            f"--columns: p:{unknown[0]} is of no class.{nearest(unknown[0], tree.classes)}"
        )
    for name in free:
        if columns[name].numbers is None or name in scores.values() or _is_option(name, tree):
            continue
        labels = [*_label_in(name, "p"), name]
        matches = [wanted[plain(label)] for label in labels if plain(label) in wanted]
        matches = matches or [
            numbers[label] for label in labels[: None if bare else -1] if label in numbers
        ]
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
    marked = [n for n in free if (c := columns[n].numbers) is not None and np.isin(c, (0, 1)).all()]
    rest = [n for n in free if n not in marked]
    order = {"truth": free, "p": [*rest, *marked], "called": marked}  # 0 and 1 are no scores
    for kind, found in kinds.items():
        for role, name in told.items():
            if role.startswith(f"{kind}:"):
                label = role.partition(":")[2]
                found[plain(label)] = label, name
        for name in order[kind]:
            if columns[name].numbers is not None:
                for label in _label_in(name, kind):
                    found.setdefault(plain(label), (label, name))
    both = [key for key in kinds["truth"] if key in kinds["p"]]
    if classes is None:  # 'No Finding' is none: an image without any has nothing found
        both = [key for key in both if not says_nothing_found(kinds["truth"][key][0])]
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
        names = [as_label(kinds["truth"][key][0]) for key in both]
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
    named = [name for name in tree.classes if not _is_whole(name)]
    if len(named) == len(lacking) == len(tree.classes) / 2:
        raise EvaluationError(
            f"{where}: the truth holds {listed(lacking)}, and there are scores of {listed(named)}; "
            f"say which is which, in their order: --classes '{', '.join(named)}'"
        )
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
