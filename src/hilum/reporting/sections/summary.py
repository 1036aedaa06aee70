"""The report's first section: what was trained on what, and the verdict in three sentences."""

from collections.abc import Mapping
from typing import Any

from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.data import class_charts, count_looks
from hilum.reporting.sections.elsewhere import expected_range
from hilum.reporting.sections.findings import tell_findings, tell_weakest
from hilum.reporting.sections.results import cautions
from hilum.reporting.subject import Subject, name_external
from hilum.wording import PERCENT, listed

_NOT_ELSEWHERE = "how it does on films from elsewhere was not measured"
_LABELS = "what its labels mean (the note above)"
_95 = "95\N{NARROW NO-BREAK SPACE}%"


def summarise_runs(subject: Subject) -> dict[str, Any]:
    """A card per run with its main result and verdict, and the first run beside the others."""
    main, compared = subject.runs[0].main, subject.compared or {"pairs": (), "different": ()}
    return {
        "runs": [
            {
                "run": run,
                "what": describe_run(run),
                "result": run.main,
                "verdict": give_verdict(subject, run),
                "others": [r for r in run.results if r is not run.main],
            }
            for run in subject.runs
        ],
        "charts": class_charts(subject),
        "pairs": [pair for pair in compared["pairs"] if main and pair.split == main.split],
        "different": compared["different"],
    }


def give_verdict(subject: Subject, run: Run) -> list[str]:
    """Three sentences: how good it is, what speaks against believing it, and where it is weak.

    None where the run has not been evaluated.
    """
    if run.main is None:
        return []
    return [
        describe_result(run.main),
        _say_doubts(subject, run, run.main),
        _say_weakness(run, run.main),
    ]


def _say_doubts(subject: Subject, run: Run, result: SplitResult) -> str:
    if run.judgement is not None:
        if run.judgement.notes:
            return "What speaks against trusting that stands in the notes above."
        return (
            "Nothing that the table tells flatters this figure; how the model was made is unknown."
        )
    doubts = [f"{sentence[:1].lower()}{sentence[1:-1]}" for sentence in cautions(run, result)]
    audit = subject.audit
    if audit is None or audit["other"]:
        doubts.append("no audit of these very data was at hand")
    else:
        divided = ", made of these data before they were so divided," if audit["divided"] else ""
        critical = [
            _LABELS if f.code == "provenance" else f"“{f.title}”"
            for f in audit["findings"]
            if f.severity == "critical"
        ]
        if critical:
            doubts.insert(0, f"the audit{divided} found what is critical: {listed(critical)}")
        elif divided:
            doubts.append("the audit is of these data in other splits")
    if result.assessment and result.assessment.same_images:
        doubts.append(f"thresholds were chosen on {result.split} too")
    if (looks := count_looks(run, result.split)) > 1:
        doubts.append(f"it is of look {looks} at this test set")
    if result.split == "val":
        doubts.append("no test split was evaluated")
    if not doubts:
        return (
            "The audit found nothing critical, and nothing that is recorded flatters this figure."
        )
    return f"What speaks against trusting that: {'; '.join(doubts)}."


def _say_weakness(run: Run, result: SplitResult) -> str:
    found = result.evaluation
    if not found.chooses:
        text = tell_weakest(found)
        elsewhere = [
            f"on {name_external(r)}, from elsewhere, its {name} is {measured.in_words()}"
            for r in run.external
            for name, measured in [r.evaluation.headline]
        ]
        return f"{text}; {'; '.join(elsewhere) or _NOT_ELSEWHERE}."
    recalls = {n: of.recall for n, of in found.per_class.items() if of.recall.value is not None}
    text = "Which class it misses most is not known"
    if recalls and not found.errors:
        text = f"Where it is weak does not show: it was wrong on none of the {found.n:,}"
    elif recalls:
        worst = min(recalls, key=lambda name: recalls[name].value or 0.0)
        missed = dict(
            zip(found.classes, found.confusion_matrix[found.classes.index(worst)], strict=True)
        )
        del missed[worst]
        taken = max(missed, key=lambda name: missed[name])
        text = f"It is weakest on {worst}, of which it finds {PERCENT.words(recalls[worst])}"
        text += f" and takes {missed[taken]:,} for {taken}" * (missed[taken] > 0)
    elsewhere = [
        f"on {name_external(r)}, from elsewhere, its accuracy is "
        f"{PERCENT.words(r.evaluation.accuracy)}"
        for r in run.external
    ]
    if result.shift and not elsewhere and (span := expected_range(result.shift)):
        elsewhere.append(f"where films are made in another way, reckon with an accuracy of {span}")
    if found.findings:
        weakest = tell_weakest(found)
        text += f". Of findings {weakest[:1].lower()}{weakest[1:]}"
    return f"{text}; {'; '.join(elsewhere) or _NOT_ELSEWHERE}."


def describe_run(run: Run) -> str:
    """What a run is and what it was trained on, in one sentence."""
    if run.judgement is not None:
        return (
            "It is a table of predictions. How the model behind it was made and trained is not "
            "known here."
        )
    networks: Mapping[str, Any] = run.info.get("networks") or {}
    count = len(run.decisions)
    kinds = listed(sorted({str(n["name"]) for n in networks.values() if "name" in n}))
    network = f"{kinds} " if kinds else ""
    tree = run.tree
    if run.strategy == "flat" or not tree.decisions:
        tells = [f"chooses between {listed(tree.classes)}"] if tree.decisions else []
        if tree.findings:
            names = listed(f.name for f in tree.findings)
            tells.append(f"says of {names} whether each is present")
        what = f"one {network}network that {' and '.join(tells)}"
    else:
        names = ", ".join(run.decisions)
        what = f"a cascade of {count} {network}network{'s' * (count > 1)}, "
        what += f"one for each decision ({names})"
        if tree.findings:
            names = listed(f.name for f in tree.findings)
            what += f", which also {'say' if count > 1 else 'says'} whether {names} are present"
    n = sum(((run.data.get("counts") or {}).get("train") or {}).values())
    n -= run.held_out
    kind = "synthetic phantoms" if run.synthetic else "radiographs"
    trained = f"trained on {n:,} {kind}" if n else "what it was trained on is not recorded"
    if run.held_out:
        trained += f", {run.held_out:,} more of train being held out in blocks to watch it"
    if run.imported:
        trained = "its weights were trained elsewhere and imported"
    elif not run.info.get("finished"):
        trained += "; the training had not finished when this report was made"
    return f"It is {what}; {trained}."


def describe_result(result: SplitResult) -> str:
    """Accuracy on one split, with its interval and what naming one class always would give.

    And how well findings are told, where there are some.
    """
    found = result.evaluation
    parts = [_describe_choice(result)] if found.chooses else []
    parts += [tell_findings(result)] if found.findings or not parts else []
    return " ".join(parts)


def _describe_choice(result: SplitResult) -> str:
    found = result.evaluation
    n, accuracy = found.n, found.accuracy
    if accuracy.value is None:
        return f"On {result.on} its accuracy is undefined: {accuracy.reason}."
    most = max(sum(row) for row in found.confusion_matrix)
    interval = PERCENT.bounds(accuracy)
    bounds = f" ({_95} interval {interval})" if interval else ""
    return (
        f"On {result.on} it named the right class for {n - found.errors:,} of {n:,}: "
        f"{PERCENT.number(accuracy.value)}{bounds}, where always naming the most frequent class "
        f"would be right for {most:,}."
    )
