"""docs/reproduction.md: what the published work found, and what survives, from study.json files.

The prose is the same whatever came out; every sentence that tells a result is made of its numbers.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hilum.errors import StudyError
from hilum.reporting.page import page_environment, write_text
from hilum.reporting.study.page import notes_of
from hilum.reporting.study.published import (
    OverRuns,
    difference,
    experiment_of,
    judged_conclusions,
    own_val_of,
    published_beside,
    spread,
)
from hilum.reporting.study.tables import SETTINGS, settings_table
from hilum.studies.published import read_published
from hilum.studies.results import StudyResult
from hilum.wording import p_value

#: In the order of a reader's hope.
VERDICTS = ("supported", "not distinguishable", "contradicted", "not tested")

_SPECIAL = re.compile(r"([\\`*_\[\]|])")
_CODE = re.compile(r"`([^`]*)`")


def write_reproduction(results: Sequence[StudyResult], out: Path) -> Path:
    """Write what studies of published experiments found as one Markdown file.

    results: studies of one data set that name a published experiment, in the order of the
    document. The same studies give the same file, byte by byte.
    Returns out. Raises StudyError for no study, one without a published experiment, or studies of
    different data; HilumError if the file cannot be written.
    """
    return write_text(out, describe_reproduction(results), "document")


def describe_reproduction(results: Sequence[StudyResult]) -> str:
    """The text of the file that write_reproduction writes."""
    _check(results)
    published = read_published()
    environment = page_environment().overlay(autoescape=False)  # it is Markdown: see markdown
    environment.filters |= {
        "md": markdown,
        "code": code,
        "sentence": sentence,
        "over_runs": _over_runs,
    }
    experiments = [_experiment(result) for result in results]
    verdicts = Counter(j["verdict"] for r in results for j in judged_conclusions(r))
    runs = {key: run for result in results for key, run in result.trainings.items()}
    # how many classes the published numbers correct are of
    most = max(len(v.correct) for e in experiments for v in e["published"].variants.values())
    page = environment.get_template("reproduction.md.j2").render(
        published=published,
        data=results[0].data,
        experiments=experiments,
        total=sum(verdicts.values()),
        supported=verdicts["supported"],
        verdicts=[(name, verdicts[name]) for name in VERDICTS if verdicts[name]],
        one_image=1 / published.of,
        all_val=published.of * most,
        labels=list(dict.fromkeys(r.measure["label"] for r in results)),
        seeds=sorted({r.study["seeds"] for r in results}),
        folds=sorted({r.study["folds"] for r in results}),
        block_size=sorted({r.study["block_size"] for r in results}),
        trained_on=_range([run.n_train for run in runs.values()]),
        own_val=max((run.own_val.n for run in runs.values() if run.own_val), default=None),
        runs=len(runs),
        seconds=sum(run.seconds for run in runs.values()),
        devices=sorted({f"{run.device} in {run.precision}" for run in runs.values()}),
        machines=_told([r.machine for r in results]),
        versions=_told([r.versions for r in results]),
        columns=SETTINGS,
        p_value=p_value,
        spread=spread,
        difference=difference,
    )
    page = re.sub(r" +$", "", page, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def markdown(text: object) -> str:
    """Text that may come from data, as plain text in Markdown: no markup, no HTML, one line."""
    return _plain(" ".join(str(text).split()))


def code(text: object) -> str:
    """A name as code in a Markdown table."""
    plain = " ".join(str(text).replace("`", "'").split())
    return f"`{plain}`".replace("|", r"\|")


def sentence(text: str) -> str:
    """A sentence whose names stand in `backquotes`: these as code, the rest as plain text."""
    parts = _CODE.split(text)  # every second one is a name
    return "".join(code(part) if i % 2 else _plain(part) for i, part in enumerate(parts))


# ---- parts ---------------------------------------------------------------------------------


def _check(results: Sequence[StudyResult]) -> None:
    if not results:
        raise StudyError("There is no study to write the document from.")
    for result in results:
        if experiment_of(result) is None:
            raise StudyError(
                f"The study '{result.name}' names no published experiment; add published = … to "
                "its file, or leave it out."
            )
    if len({result.data["fingerprint"] for result in results}) > 1:
        told = ", ".join(f"{r.name} on {r.data['name']}" for r in results)
        raise StudyError(
            f"The studies were made on different data ({told}): run them all on the same."
        )


def _plain(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _experiment(result: StudyResult) -> dict[str, Any]:
    return {
        "result": result,
        "published": experiment_of(result),
        "label": result.measure["label"],
        "judged": judged_conclusions(result),
        "beside": published_beside(result),
        "settings": settings_table(result).rows,
        "own_val": {name: own_val_of(variant) for name, variant in result.variants.items()},
        "notes": [n for n in notes_of(result) if n != (result.data["source"] or {}).get("meaning")],
    }


def _over_runs(share: OverRuns | None) -> str:
    """'0.560 (runs 0.440 to 0.640)'."""
    if share is None or share.value is None or share.low is None or share.high is None:
        return "—"
    missing = f", undefined in {share.undefined}" if share.undefined else ""
    return f"{share.value:.3f} (runs {share.low:.3f} to {share.high:.3f}{missing})"


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return "no"
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _told(facts: Sequence[dict[str, Any]]) -> list[str]:
    """Each different table of facts as one line."""
    lines = [", ".join(f"{k} {v}" for k, v in table.items()) for table in facts]
    return list(dict.fromkeys(lines))
