"""The model card of each run: what the run itself says, and what its author has to.

After Mitchell et al. 2019, Model Cards for Model Reporting, doi:10.1145/3287560.3287596.
"""

from typing import Any

from hilum.reporting.page import moment
from hilum.reporting.runs import Run
from hilum.reporting.sections.data import known_source
from hilum.reporting.subject import Subject
from hilum.reporting.summary import describe_result, describe_run, listed

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
