"""The verdict on a model in sentences that a reviewer could paste, each with its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hilum.errors import plural
from hilum.evaluation.files import Evaluation
from hilum.judging.cases import Cases, describe_cases
from hilum.judging.leaks import Leak
from hilum.judging.weighing import Judged
from hilum.wording import listed


@dataclass(frozen=True, slots=True)
class Sentence:
    """text: the sentence. numbers: what it stands on, by where it stands in the files."""

    text: str
    numbers: Mapping[str, float | int | None]


def give_verdict(
    cases: Cases,
    evaluation: Evaluation,
    claims: Sequence[Judged],
    leaks: Sequence[Leak],
    chosen_on: str,
) -> tuple[Sentence, ...]:
    """What was judged, how good it is, what is shown and what not, and what spoils it."""
    n, name, found = len(cases), cases.name, evaluation.headline
    groups = len(set(cases.groups)) if cases.groups is not None else None
    measure, estimate = found
    text = f"The predictions in {name} were judged on {describe_cases(cases)}"
    sentences = [Sentence(f"{text}.", {"n": n, "patients": groups})]
    of = "intervals draw patients" if groups not in (None, n) else "cases taken as independent"
    key = "accuracy" if evaluation.chooses else "macro_auroc"
    interval = f" (95 % interval, {of})" if estimate.low is not None else ""
    sentences.append(
        Sentence(
            f"The {measure} is {estimate.in_words(3)}{interval}.",
            {f"evaluation: {key}": estimate.value, "low": estimate.low, "high": estimate.high},
        )
    )
    for status, words in (
        ("shown", "These cases show: {}."),
        ("contradicted", "These cases contradict: {}."),
    ):
        own = [(i, c) for i, c in enumerate(claims) if c.status == status]
        if own:
            parts = [f"{c.claim} ({_figures(c)})" for _, c in own]
            numbers = {f"claims[{i}].p": c.p for i, c in own}
            numbers |= {f"claims[{i}].evidence.value": c.evidence.value for i, c in own}
            sentences.append(Sentence(words.format("; ".join(parts)), numbers))
    own = [(i, c) for i, c in enumerate(claims) if c.status == "not shown"]
    if own:
        parts = [f"{c.claim} ({_figures(c)}{_needed(c)})" for _, c in own]
        numbers = {f"claims[{i}].p_adjusted": c.p_adjusted for i, c in own}
        sentences.append(Sentence(f"Not shown, either way: {'; '.join(parts)}.", numbers))
    sentences += map(tell_leak, leaks)
    if chosen_on == "test":
        sentences.append(
            Sentence("The threshold was chosen on these very cases, which flatters it.", {"n": n})
        )
    return tuple(sentences)


def _figures(claim: Judged) -> str:
    found = claim.evidence
    if found.value is None or found.low is None or found.high is None:
        return found.reason or f"measured {found.value:.3f}"
    plus = "+" if claim.is_difference else ""
    what = "difference " if claim.is_difference else ""
    return f"{what}{found.value:{plus}.3f}, {found.low:.3f} to {found.high:.3f}"


def _needed(claim: Judged) -> str:
    if not claim.needed:
        return ""
    such = f"cases {claim.of}" if claim.of else "such cases"
    return f"; about {claim.evidence.needed:,} {such} would be needed"


def tell_leak(leak: Leak) -> Sentence:
    """Whether cases were trained on, and how good it is without them."""
    parts = [plural(leak.cases, "case")] if leak.cases else []
    if leak.patients:
        parts.append(plural(leak.patients, "patient"))
    numbers: dict[str, float | int | None] = {
        "leak.cases": leak.cases, "leak.patients": leak.patients, "leak.n": leak.n,
        "leak.without": leak.without.value,
    }  # fmt: skip
    if not parts:
        known = "patient" if leak.cases is None else "case or patient"
        known = "case" if leak.patients is None else known
        how = "as a copy or nearly so" if leak.looked else "by name"
        return Sentence(f"No {known} of {leak.table} is among them, {how}.", numbers)
    text = f"{listed(parts)} of {leak.table} are among them"
    if leak.without.value is not None:
        text += (
            f": without these the accuracy is {leak.without.in_words(3)} on "
            f"{plural(leak.n, 'case')}, with them {leak.accuracy.in_words(3)}"
        )
    return Sentence(f"{text}.", numbers)
