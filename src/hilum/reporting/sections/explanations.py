"""The report's sections on single radiographs: all, the errors explained, and their labels."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from hilum.errors import HilumError
from hilum.explanation.attribution import METHOD_NAMES, Method
from hilum.explanation.errors import ErrorCase, ErrorPictures
from hilum.explanation.localisation import Localisation, localisation_table, say_unmeasured
from hilum.explanation.sanity import SAME, SanityCheck
from hilum.explanation.split import EXPLANATIONS_FILE, SplitExplanation, read_explanations
from hilum.records import PixelArray
from hilum.reporting.charts import picture_uri, radiograph_uri
from hilum.reporting.runs import EXTERNAL_PREFIX, Run, SplitResult
from hilum.reporting.sections.findings import tell_mistakes
from hilum.reporting.subject import ImageSource, Subject
from hilum.reporting.verdicts import WHOLE, Verdict
from hilum.statistics.findings import NEGATIVE
from hilum.table import Column, Columns, Rows, Table
from hilum.wording import SIGNED, Cell, listed

#: How many radiographs are shown large; the others follow small, folded away.
LARGE = 48

#: How many are shown at most, and how many bytes their pictures may take together: a report of
#: 600 radiographs stays under five megabytes, whatever is in them.
LIMIT = 600
BUDGET = 3_800_000


#: How many of the surest errors the first part shows, shared by its runs, and the least of one run.
SUREST = 6
LEAST = 3


def show_errors(subject: Subject) -> list[dict[str, Any]] | None:
    """Per run the commonest confusions of its main evaluation, and its surest errors with pictures.

    With a map of what spoke for the wrong answer where there are explanations. Raises HilumError
    as show_radiographs.
    """
    shown = [
        _surest(subject, run, run.main, surest_shown(subject)) for run in subject.runs if run.main
    ]
    return shown or None


def surest_shown(subject: Subject) -> int:
    """How many errors of a run the first part shows at most."""
    return max(LEAST, SUREST // len(subject.runs))


def _surest(subject: Subject, run: Run, result: SplitResult, most: int) -> dict[str, Any]:
    found = result.evaluation
    confused = sorted(
        (
            (n, truth, taken)
            for truth, row in zip(found.classes, found.confusion_matrix, strict=True)
            for taken, n in zip(found.classes, row, strict=True)
            if n and taken != truth
        )
        if found.chooses
        else (),
        reverse=True,
    )
    explanation = read_run_explanations(run).get(result.split)
    pictured: list[dict[str, Any]] = []
    method, trust, cards = "", list[str](), list[dict[str, Any]]()
    if explanation and _belongs(explanation, result):
        method = METHOD_NAMES[explanation.gallery.method]
        trust = _trust(explanation, explanation.gallery.method)
        cases = [case for case in explanation.gallery.cases if case.pictures]
        first, _ = first_shown(cases, most)
        pictured = [_pictured(run, case, case.pictures) for case in first if case.pictures]
    elif subject.images:
        wrong = [verdict for verdict in result.verdicts.values() if not verdict.correct]
        wrong.sort(key=lambda verdict: -verdict.probability)
        pixels = _pictures(subject.images, [verdict.name for verdict in wrong[:most]])
        cards = [
            {"verdict": verdict, "uri": radiograph_uri(picture)}
            for verdict, picture in zip(wrong, pixels, strict=False)
        ]
    return {
        "run": run,
        "result": result,
        "confused": confused[:3],
        "mistakes": tell_mistakes(found) if found.findings else "",
        "method": method,
        "trust": trust,
        "pictured": pictured,
        "cards": cards,
    }


def first_shown(cases: Sequence[ErrorCase], most: int) -> tuple[list[ErrorCase], list[ErrorCase]]:
    """The errors that the first part shows, and the others: of classes and of findings by half."""
    classes = [case for case in cases if not case.finding]
    findings = [case for case in cases if case.finding]
    k = min(len(classes), most - min(len(findings), most // 2))
    shown = [*classes[:k], *findings[: most - k]]
    return shown, [*classes[k:], *findings[most - k :]]


def _pictures(images: ImageSource, names: Sequence[str]) -> list[PixelArray]:
    pixels = images(names) if names else []
    if len(pixels) != len(names):
        raise HilumError(
            f"The report asked for {len(names)} radiographs and was given {len(pixels)}."
        )
    return pixels


def show_radiographs(subject: Subject) -> dict[str, Any]:
    """The radiographs of the first split that has predictions, errors first.

    Raises HilumError if the source of images gives another number of radiographs than it was
    asked for.
    """
    by_split = {
        split: [(run.name, r.verdicts) for run in subject.runs if (r := run.result(split))]
        for split in subject.splits
    }
    split = next((s for s, runs in by_split.items() if any(said for _, said in runs)), None)
    if split is None:
        return {"split": None}
    shown: dict[str, list[tuple[str, Verdict]]] = {}
    for run, verdicts in by_split[split]:
        for name, verdict in verdicts.items():
            shown.setdefault(name, []).append((run, verdict))
    cards: list[dict[str, Any]] = [
        {
            "name": name,
            "truth": given[0][1].true_words,
            "given": given,
            "errors": sum(not verdict.correct for _, verdict in given),
        }
        for name, given in shown.items()
    ]
    cards.sort(key=lambda card: -card["errors"])
    chosen = _with_pictures(cards[:LIMIT], subject.images) if subject.images else []
    wrong = sum(card["errors"] > 0 for card in cards)
    return {
        "heading": f"Radiographs of {split}",
        "split": split,
        "large": chosen[:LARGE],
        "small": chosen[LARGE:],
        "pictures": subject.images is not None,
        "total": len(cards),
        "hidden": len(cards) - len(chosen),
        "wrong": wrong,
        "findings": any(run.tree.findings for run in subject.runs),
        "wrong_hidden": wrong - sum(card["errors"] > 0 for card in chosen),
    }


def _with_pictures(cards: Sequence[dict[str, Any]], images: ImageSource) -> list[dict[str, Any]]:
    """The cards with their pictures, as many as the budget allows."""
    found: list[dict[str, Any]] = []
    left = BUDGET
    # Read in parts: six hundred radiographs as they come from a detector would fill the memory.
    for start in range(0, len(cards), LARGE):
        part = cards[start : start + LARGE]
        pixels = _pictures(images, [card["name"] for card in part])
        small = {} if start == 0 else {"longest": 128, "quality": 75}
        for card, picture in zip(part, pixels, strict=True):
            uri = radiograph_uri(picture, **small)
            left -= len(uri)
            if left < 0:
                return found
            height, width = picture.shape
            words = "; ".join(
                f"{run} says {verdict.short}, {'right' if verdict.correct else 'wrong'}"
                for run, verdict in card["given"]
            )
            alt = f"Radiograph {card['name']}: true {card['truth']}; {words}"
            found.append({**card, "uri": uri, "height": height, "width": width, "alt": alt})
    return found


# ---- errors and their explanations ---------------------------------------------------------

NOT_A_DISEASE: Final = (
    "A heat map shows what moved this classifier's decision, not where a disease is."
)


def show_explanations(subject: Subject) -> dict[str, Any]:
    """Per run and evaluated split: how far to trust the maps, right answers, and every error.

    Explanations that do not belong to the predictions beside them are left out, and it is said.
    """
    found, lacking, outdated = [], [], []
    for run in subject.runs:
        there = read_run_explanations(run)
        for result in run.results:
            explanation = there.get(result.split)
            where = f"{run.name} on {result.split}" if subject.several else result.split
            if explanation is None:
                lacking.append(where)
            elif not _belongs(explanation, result):
                outdated.append(where)
            else:
                above = surest_shown(subject) if result is run.main else 0
                found.append(_shown(run, explanation, above))
    return {
        "splits": found,
        "lacking": listed(lacking),
        "outdated": listed(outdated),
        "nothing_evaluated": not any(run.results for run in subject.runs),
        "caution": NOT_A_DISEASE,
        "limit": SAME,
        "label_errors": show_label_errors(subject),
    }


def read_run_explanations(run: Run) -> dict[str, SplitExplanation]:
    """The explanations of a run's own evaluations, by split."""
    files = sorted(run.folder.glob(f"evaluation/*/{EXPLANATIONS_FILE}"))
    own = [file for file in files if not file.parent.name.startswith(EXTERNAL_PREFIX)]
    return {found.split: found for found in map(read_explanations, own)}


def _belongs(explanation: SplitExplanation, result: SplitResult) -> bool:
    """Whether the gallery lists exactly the errors of the predictions beside it."""
    verdicts = result.verdicts.values()
    wrong = {(v.name, v.predicted) for v in verdicts if v.predicted != v.truth}
    wrong |= {
        (v.name, name if name in (v.called or ()) else NEGATIVE)
        for v in verdicts
        for name in v.wrong
    }
    listed_errors = {(case.name, case.predicted) for case in explanation.gallery.cases}
    return explanation.n == len(result.verdicts) and wrong == listed_errors


def _shown(run: Run, explanation: SplitExplanation, above: int) -> dict[str, Any]:
    """above: how many of the surest errors the first part shows, which are left out here."""
    gallery = explanation.gallery
    cases = [case for case in gallery.cases if case.pictures]
    first, others = first_shown(cases, above)
    on = f"{run.name} on {explanation.split}"
    measured = any(score.measured for score in explanation.localisation)
    columns: Columns = [
        "radiograph", "true", "predicted", "decision that erred", "probabilities",
        "nearest in training", "counterpart",
    ]  # fmt: skip
    rows: Rows = [
        [
            case.name, case.truth, case.predicted, case.decision,
            Cell("\n".join(_probs(run, case)), kind="probs"),
            ", ".join(f"{n.name} ({n.label})" for n in case.neighbours) or None,
            case.counterpart or None,
        ]
        for case in gallery.cases
    ]  # fmt: skip
    return {
        "on": on,
        "of": explanation,
        "trust": _trust(explanation),
        "unmeasured": say_unmeasured(explanation.localisation),
        "sanity": explanation.sanity and _sanity_table(explanation.sanity, on),
        "localisation": measured
        and localisation_table(f"Localisation of {on}", explanation.localisation),
        "examples": [
            (example, [(picture_uri(d.png), METHOD_NAMES[d.method], d) for d in example.drawings])
            for example in explanation.examples
        ],
        "method": METHOD_NAMES[gallery.method],
        "above": len(first),
        "pictured": [_pictured(run, case, case.pictures) for case in others if case.pictures],
        "findings": bool(run.tree.findings),
        "by_decision": Counter(case.decision for case in gallery.cases),
        "pair": explanation.pair and picture_uri(explanation.pair.png),
        "notes": (*gallery.notes, *explanation.notes),
        "errors": Table(f"Errors of {on}", columns, rows, kind="facts list"),
    }


def _trust(explanation: SplitExplanation, method: str = "") -> list[str]:
    """How far to trust the maps of every method, or of one, a sentence per check and decision."""
    return [
        *(_sanity_sentence(c) for c in explanation.sanity if method in ("", c.method)),
        *_localisation_sentences(
            [s for s in explanation.localisation if s.measured and method in ("", s.method)]
        ),
    ]


def _localisation_sentences(scores: Sequence[Localisation]) -> list[str]:
    """A sentence per method and decision, and one per method for all findings."""
    said = [
        f"{METHOD_NAMES[s.method]} maps of the decision {s.decision} are {s.verdict}."
        for s in scores
        if not s.finding
    ]
    alike: dict[Method, dict[str, list[str]]] = {}
    for s in scores:
        if s.finding:
            alike.setdefault(s.method, {}).setdefault(s.verdict, []).append(s.finding)
    for method, verdicts in alike.items():
        parts = [f"of {listed(findings)} are {verdict}" for verdict, findings in verdicts.items()]
        said.append(f"{METHOD_NAMES[method]} maps {'; '.join(parts)}.")
    return said


def _probs(run: Run, case: ErrorCase) -> list[str]:
    """A line per decision: 'root: normal 25 %, infected 75 %'."""
    if case.finding:
        limit = run.thresholds.get(case.finding, 0.5)
        p = WHOLE.number(case.probs[case.finding])
        return [f"{case.finding} {p}, called present from {WHOLE.number(limit)}"]
    return [
        f"{decision}: " + ", ".join(f"{option} {WHOLE.number(p)}" for option, p in options.items())
        for decision, options in case.decision_probs.items()
    ]


def _sanity_sentence(check: SanityCheck) -> str:
    name = METHOD_NAMES[check.method]
    method = name if name == "Grad-CAM" else name.lower()  # within a sentence
    of = f"The {method} maps of the decision {check.decision}"
    return {
        "depends": f"{of} depend on what the network learned: they change when it forgets it.",
        "does not depend": (
            f"{of} hardly depend on what the network learned: they show the radiograph more than "
            "the classifier. Do not read anything into them."
        ),
        "unclear": f"Whether the maps of the decision {check.decision} depend on what the network "
        f"learned is unclear ({method}): read them with doubt.",
    }[check.verdict]


def _sanity_table(checks: Sequence[SanityCheck], on: str) -> Table:
    columns: Columns = [
        "method", Column("decision", "text"), "images", "random networks",
        Column("similarity", style=SIGNED), Column("the maps and the training", "text"),
    ]  # fmt: skip
    rows: Rows = [
        [METHOD_NAMES[c.method], c.decision, c.n, c.draws, c.final, c.verdict] for c in checks
    ]
    return Table(f"Randomisation check of {on}", columns, rows)


def _pictured(run: Run, case: ErrorCase, pictures: ErrorPictures) -> dict[str, Any]:
    return {
        "case": case,
        "probs": _probs(run, case),
        "radiograph": picture_uri(pictures.radiograph),
        "overlay": picture_uri(pictures.overlay),
        "alt": pictures.alt,
        "neighbours": [
            (picture_uri(png), neighbour)
            for png, neighbour in zip(pictures.neighbours, case.neighbours, strict=True)
        ],
        "counterpart": pictures.counterpart and picture_uri(pictures.counterpart),
    }


# ---- labels --------------------------------------------------------------------------------

#: How many are listed, and how many of them have a picture.
LISTED: Final = 200
PICTURED: Final = 12


def show_label_errors(subject: Subject) -> dict[str, Any] | None:
    """What confident learning found in held-out predictions; None where none were given."""
    found = subject.label_errors
    if found is None:
        return None
    shown = found.errors[:LISTED]
    first = shown[:PICTURED] if subject.images else ()
    pixels = subject.images([error.name for error in first]) if subject.images and first else []
    return {
        "sentence": found.sentence,
        "files": found.about.get("files", ()),
        "hidden": len(found.errors) - len(shown),
        "pictures": [
            (error, radiograph_uri(picture, longest=144, quality=75))
            for error, picture in zip(first, pixels, strict=True)
        ],
        "table": Table(
            "Possible label errors",
            ["radiograph", "label", "preferred", *(f"p({name})" for name in found.classes)],
            [[error.name, error.given, error.suggested, *error.probs] for error in shown],
            kind="facts list",
        ),
    }
