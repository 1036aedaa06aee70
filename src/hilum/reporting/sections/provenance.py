"""The report's section on where everything comes from, and how to do it again."""

import shlex
from typing import Any

from hilum.reporting.page import duration, moment
from hilum.reporting.runs import Run
from hilum.reporting.subject import Subject


def tell_provenance(subject: Subject) -> list[dict[str, Any]]:
    """Per run its facts, its recipe and the commands that repeat it."""
    return [_tell(run) for run in subject.runs]


def _tell(run: Run) -> dict[str, Any]:
    info = run.info
    monitored = info.get("monitored") or {}
    watched = f"{monitored['split']} ({monitored.get('n', '—')})" if monitored else "nothing"
    return {
        "name": run.name,
        "facts": [
            ("Run folder", run.folder.resolve().name),
            ("Data set", run.data.get("name") or "not recorded"),
            ("Fingerprint of the data", run.data.get("fingerprint") or "not recorded"),
            ("Label tree", run.tree.to_text()),
            ("Watched during training", watched),
            ("Seed", str(run.recipe.get("seed", "not recorded"))),
            ("Device, precision", f"{info.get('device', '—')}, {info.get('precision', '—')}"),
            ("Started", moment(info.get("started"))),
            ("Finished", moment(info.get("finished")) if info.get("finished") else "not yet"),
            ("Time taken", duration(info.get("seconds"))),
            *((f"Version of {k}", str(v)) for k, v in (info.get("versions") or {}).items()),
        ],
        "imported": [
            (decision, str(facts.get("file", "—")), str(facts.get("sha256", "—")))
            for decision, facts in (info.get("imported") or {}).items()
        ],
        "recipe": run.recipe_text,
        "commands": _commands(run),
    }


def _commands(run: Run) -> list[str]:
    """What repeats the training and the evaluations; weights from elsewhere are only evaluated."""
    folder = run.folder.resolve().name
    here, again = shlex.quote(folder), shlex.quote(f"{folder}-again")
    data = str(run.data.get("name") or "DATA")
    commands = []
    if run.recipe_text:
        commands.append(
            f"hilum train {shlex.quote(data)} --recipe {here}/recipe.toml --out {again}"
        )
    classifier = again if run.recipe_text else here
    for result in run.results:
        split = shlex.quote(result.split)
        of = shlex.quote(str(result.evaluation.data.get("name") or data))
        commands.append(
            f"hilum evaluate {classifier} {of} --split {split} --out {again}/evaluation/{split}"
        )
    return commands
