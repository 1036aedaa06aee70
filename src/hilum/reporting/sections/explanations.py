"""The report's section on errors and explanations, from explanations.json beside evaluations."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from PIL import Image

from hilum.errors import HilumError
from hilum.explanation.attribution import METHOD_NAMES
from hilum.explanation.errors import ErrorCase, ErrorGallery
from hilum.explanation.sanity import SAME, SanityCheck
from hilum.explanation.split import EXPLANATIONS_FILE, SplitExplanation, read_explanations
from hilum.reporting.figures.charts import data_uri, radiograph_uri
from hilum.reporting.runs import EXTERNAL_PREFIX, Run, SplitResult, Verdict
from hilum.reporting.sections.results import splits_evaluated
from hilum.reporting.subject import ImageSource, Subject
from hilum.reporting.summary import listed

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
        "classes": found.classes,
        "errors": shown,
        "hidden": len(found.errors) - len(shown),
        "pictures": [
            {
                "error": error,
                "uri": radiograph_uri(picture, longest=144, quality=75),
                "alt": f"Radiograph {error.name}: labelled {error.given}, "
                f"preferred {error.suggested}",
            }
            for error, picture in zip(first, pixels, strict=True)
        ],
    }


#: How many radiographs are shown large; the others follow small, folded away.
LARGE = 48

#: How many are shown at most, and how many bytes their pictures may take together: a report of
#: 600 radiographs stays under five megabytes, whatever is in them.
LIMIT = 600
BUDGET = 3_800_000


def show_radiographs(subject: Subject) -> dict[str, Any]:
    """The radiographs of the validation split with truth and predictions, errors first.

    Where val was not evaluated, the first split that was. Raises HilumError if the source of
    images gives another number of radiographs than it was asked for.
    """
    runs = subject.runs
    split = next((s for s in splits_evaluated(runs) if any(_verdicts(r, s) for r in runs)), None)
    if split is None:
        return {"split": None}
    shown: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        for name, verdict in _verdicts(run, split).items():
            shown.setdefault(name, []).append({"run": run.name, "verdict": verdict})
    cards = [
        {
            "name": name,
            "truth": given[0]["verdict"].truth,
            "given": given,
            "errors": sum(not g["verdict"].correct for g in given),
        }
        for name, given in shown.items()
    ]
    cards.sort(key=lambda card: -card["errors"])
    chosen = _with_pictures(cards[:LIMIT], subject.images) if subject.images else []
    wrong = sum(card["errors"] > 0 for card in cards)
    return {
        "split": split,
        "large": chosen[:LARGE],
        "small": chosen[LARGE:],
        "pictures": subject.images is not None,
        "total": len(cards),
        "hidden": len(cards) - len(chosen),
        "wrong": wrong,
        "wrong_hidden": wrong - sum(card["errors"] > 0 for card in chosen),
    }


def _verdicts(run: Run, split: str) -> Mapping[str, Verdict]:
    result = run.result(split)
    return result.verdicts if result else {}


def _with_pictures(cards: Sequence[dict[str, Any]], images: ImageSource) -> list[dict[str, Any]]:
    """The cards with their pictures, as many as the budget allows."""
    found: list[dict[str, Any]] = []
    left = BUDGET
    # Read in parts: six hundred radiographs as they come from a detector would fill the memory.
    for start in range(0, len(cards), LARGE):
        part = cards[start : start + LARGE]
        pixels = images([card["name"] for card in part])
        if len(pixels) != len(part):
            raise HilumError(
                f"The report asked for {len(part)} radiographs and was given {len(pixels)}."
            )
        small = {} if start == 0 else {"longest": 128, "quality": 75}
        for card, picture in zip(part, pixels, strict=True):
            uri = radiograph_uri(picture, **small)
            left -= len(uri)
            if left < 0:
                return found
            height, width = picture.shape
            words = "; ".join(
                f"{g['run']} says {g['verdict'].predicted}, "
                + ("right" if g["verdict"].correct else "wrong")
                for g in card["given"]
            )
            alt = f"Radiograph {card['name']}: true {card['truth']}; {words}"
            found.append({**card, "uri": uri, "height": height, "width": width, "alt": alt})
    return found


NOT_A_DISEASE: Final = (
    "A heat map shows what moved this classifier's decision, not where a disease is."
)

#: What a report keeps of a picture: its maps stay readable at a fifth of the size.
_QUALITY: Final = 72


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
                found.append(_shown(run, explanation))
    return {
        "splits": found,
        "lacking": listed(lacking),
        "outdated": listed(outdated),
        "nothing_evaluated": not any(run.results for run in subject.runs),
        "caution": NOT_A_DISEASE,
        "label_errors": show_label_errors(subject),
    }


def read_run_explanations(run: Run) -> dict[str, SplitExplanation]:
    """The explanations of a run's own evaluations, by split."""
    files = sorted(run.folder.glob(f"evaluation/*/{EXPLANATIONS_FILE}"))
    own = [file for file in files if not file.parent.name.startswith(EXTERNAL_PREFIX)]
    return {found.split: found for found in map(read_explanations, own)}


def _belongs(explanation: SplitExplanation, result: SplitResult) -> bool:
    """Whether the gallery lists exactly the errors of the predictions beside it."""
    wrong = {(v.name, v.predicted) for v in result.verdicts.values() if not v.correct}
    listed_errors = {(case.name, case.predicted) for case in explanation.gallery.cases}
    return explanation.n == len(result.verdicts) and wrong == listed_errors


def _shown(run: Run, explanation: SplitExplanation) -> dict[str, Any]:
    gallery = explanation.gallery
    return {
        "run": run.name,
        "split": explanation.split,
        "key": f"{run.name} on {explanation.split}",
        "n": explanation.n,
        "trust": _trust(explanation),
        "examples": [
            {
                "name": example.name,
                "truth": example.truth,
                "probability": example.probability,
                "drawings": [
                    {
                        "uri": picture_uri(drawing.png),
                        "alt": drawing.alt,
                        "title": METHOD_NAMES[drawing.method],
                        "decision": drawing.decision,
                        "option": drawing.option,
                    }
                    for drawing in example.drawings
                ],
            }
            for example in explanation.examples
        ],
        "method": METHOD_NAMES[gallery.method],
        "cases": gallery.cases,
        "pictured": [_pictured(case) for case in gallery.cases if case.pictures],
        "by_decision": _by_decision(gallery),
        "pair": explanation.pair
        and {"uri": picture_uri(explanation.pair.png), "pair": explanation.pair},
        "notes": (*gallery.notes, *explanation.notes),
    }


def _trust(explanation: SplitExplanation) -> dict[str, Any]:
    """The checks of the maps, and what follows from them in a sentence each."""
    measured = [score for score in explanation.localisation if score.measured]
    reasons = {s.pointing.reason for s in explanation.localisation if not s.measured}
    return {
        "checked_on": explanation.checked_on,
        "limit": SAME,
        "names": METHOD_NAMES,
        "sanity": explanation.sanity,
        "sanity_words": [_sanity_sentence(check) for check in explanation.sanity],
        "localisation": measured,
        "localisation_reasons": sorted(reasons),
    }


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


def _by_decision(gallery: ErrorGallery) -> list[tuple[str, int]]:
    """How many errors each decision made, those with none left out."""
    made: dict[str, int] = {}
    for case in gallery.cases:
        made[case.decision] = made.get(case.decision, 0) + 1
    return list(made.items())


def _pictured(case: ErrorCase) -> dict[str, Any]:
    pictures = case.pictures
    assert pictures is not None
    return {
        "case": case,
        "radiograph": picture_uri(pictures.radiograph),
        "overlay": picture_uri(pictures.overlay),
        "alt": pictures.alt,
        "neighbours": [
            {"uri": picture_uri(png), "neighbour": neighbour}
            for png, neighbour in zip(pictures.neighbours, case.neighbours, strict=True)
        ],
        "counterpart": pictures.counterpart and picture_uri(pictures.counterpart),
    }


def picture_uri(png: bytes) -> str:
    """A PNG as a WebP data URI, at a fraction of its size; for looking, not for measuring."""
    with Image.open(io.BytesIO(png)) as image:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return data_uri("image/webp", buffer.getvalue())
