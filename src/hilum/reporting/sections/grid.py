"""The report's section of radiographs: what each run says of each, errors first."""

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.errors import HilumError
from hilum.reporting.evaluations import Verdict
from hilum.reporting.figures.charts import radiograph_uri
from hilum.reporting.runs import Run
from hilum.reporting.sections.results import splits_evaluated
from hilum.reporting.subject import ImageSource, Subject

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
