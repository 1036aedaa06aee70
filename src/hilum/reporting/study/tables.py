"""The tables of a study's page."""

from collections.abc import Sequence
from typing import Any

from hilum.decisions import ROOT
from hilum.labels import LabelTree
from hilum.recipe import Recipe
from hilum.records import Estimate
from hilum.reporting.study.published import (
    OverRuns,
    difference,
    judged_conclusions,
    own_val_of,
    published_beside,
)
from hilum.settings import Settings
from hilum.studies.compare import Comparison
from hilum.studies.results import StudyResult, VariantResult
from hilum.studies.stressed import StressedComparison
from hilum.table import Column, Columns, Row, Rows, Table
from hilum.wording import PLAIN, Cell, bare, duration, listed, p_value

_MARKS = {"supported": "right", "contradicted": "miss"}


def comparison_tables(result: StudyResult) -> dict[str, Table]:
    """'runs': what decides. 'images': of all runs together. 'delong': of areas, where they are."""
    label, found = result.measure["label"], result.comparisons
    over_runs: Columns = [
        "runs", "first", "second", "difference", "p", "p, Holm", "runs needed", "shown",
    ]  # fmt: skip
    pooled: Columns = [
        "images", "groups", "difference, by group", "only first", "only second", "McNemar p",
        "p, Holm", "images needed",
    ]  # fmt: skip
    areas: Columns = [
        Column("label", "text"), "AUROC, first", "AUROC, second", "difference", "p", "p, Holm",
    ]  # fmt: skip
    return {
        "runs": Table(
            "Comparisons over runs",
            [_PAIR, *over_runs],
            [
                [
                    _pair(c), len(c.runs_a), bare(c.mean_a), bare(c.mean_b),
                    _difference(c.difference, label), p_value(c.p), p_value(c.p_adjusted),
                    c.runs_needed, f"yes: {c.better}" if c.shown else "no",
                ]
                for c in found
            ],
        ),
        "images": Table(
            "Comparisons on pooled images",
            [_PAIR, *pooled],
            [
                [
                    _pair(c), c.n_images, c.n_groups, _difference(c.pooled_difference, label),
                    c.mcnemar.only_a, c.mcnemar.only_b, p_value(c.mcnemar.p),
                    p_value(c.mcnemar_p_adjusted), c.images_needed,
                ]
                for c in found
            ],
        ),
        "delong": Table(
            "DeLong's tests",
            [_PAIR, *areas],
            [
                [
                    _pair(c), name, bare(test.auc_a), bare(test.auc_b),
                    _difference(test.difference, "AUROC"), p_value(test.p),
                    p_value(c.delong_p_adjusted[name]),
                ]
                for c in found
                for name, test in c.delong.items()
            ],
        ),
    }  # fmt: skip


_PAIR = Column("first minus second", wrap=True)


def _pair(comparison: Comparison | StressedComparison) -> str:
    return f"{comparison.a} minus {comparison.b}"


def _difference(estimate: Estimate, label: str) -> Cell:
    return Cell(difference(estimate, label), small=estimate.reason)


def conclusions_table(result: StudyResult) -> Table:
    """The published conclusions, and what became of each."""
    columns: Columns = [
        Column("published conclusion", wrap=True), Column("basis", "about"),
        Column("here", "text"), "difference",
    ]  # fmt: skip
    rows: Rows = [
        [
            j["statement"],
            j["basis"],
            Cell(j["verdict"], kind=f"mark {_MARKS.get(j['verdict'], 'none')}"),
            Cell(j["difference"], small=f"{j['better']} minus {j['than']}"),
        ]
        for j in judged_conclusions(result)
    ]
    return Table("Published conclusions", columns, rows)


def figures_table(result: StudyResult) -> Table:
    """The published figures beside those found here."""
    columns: Columns = [
        Column("variant", wrap=True), Column("measure", "text"), "published", "own val, here",
        "held out, here",
    ]  # fmt: skip
    rows: Rows = [
        [name, f.what, bare(f.published), _over_runs(f.own_val), bare(f.held_out)]
        for name, figures in (published_beside(result) or {}).items()
        for f in figures
    ]
    return Table("Published figures beside those found here", columns, rows)


def _over_runs(share: OverRuns | None) -> Cell | None:
    if share is None:
        return None
    if share.low is None or share.high is None:
        return Cell(None, small="undefined in every run")
    missing = f", undefined in {share.undefined}" if share.undefined else ""
    runs = f"runs {PLAIN.number(share.low)}–{PLAIN.number(share.high)}{missing}"
    return Cell(share.value, small=runs)


def variants_table(result: StudyResult, own_val: bool) -> Table:
    """What each variant is, and its main figures. own_val: whether there are figures on it."""
    columns: Columns = [
        Column("variant", wrap=True), Column("differs in", "about"), "runs",
        f"{result.measure['label']}, mean over runs", f"{result.headline}, pooled",
        *([f"{result.headline}, own val"] if own_val else []), "time a run",
    ]  # fmt: skip
    rows: Rows = [
        [
            name,
            "; ".join(v.differences) or "nothing: the base",
            len(v.runs),
            bare(v.mean),
            bare(v.pooled.headline[1]) if v.pooled else None,
            *([_over_runs(own_val_of(v))] if own_val else []),
            duration(v.seconds / len(v.runs)) if v.runs else None,
        ]
        for name, v in result.variants.items()
    ]
    return Table("Variants", columns, rows)


def runs_table(result: StudyResult, variant: VariantResult, own_val: bool) -> Table:
    """Every run of a variant."""
    columns = ["seed", "held-out fold", "images", result.measure["label"]]
    columns += [*([f"{result.headline}, own val"] if own_val else []), "time"]
    rows: Rows = [
        [
            str(r.seed),
            str(r.fold + 1),
            r.n,
            r.value,
            *([bare(r.own_val)] if own_val else []),
            duration(r.seconds),
        ]
        for r in variant.runs
    ]
    return Table(f"Runs of {variant.name}", columns, rows)


def decisions_table(variant: VariantResult) -> Table | None:
    """Each decision alone, pooled; None where there are not several."""
    decisions = variant.pooled.decisions if variant.pooled else {}
    if len(decisions) < 2:
        return None
    columns: Columns = [
        Column("decision", wrap=True), "images", "accuracy", "balanced accuracy", "AUROC",
        "errors caused",
    ]  # fmt: skip
    rows: Rows = [
        [
            Cell(name, small=listed(d.options)),
            d.n,
            *(bare(d.overall[key]) for key in ("accuracy", "balanced_accuracy", "macro_auroc")),
            d.errors_caused,
        ]
        for name, d in decisions.items()
    ]
    return Table(f"Decisions of {variant.name}", columns, rows)


def stress_tables(result: StudyResult) -> tuple[Table, Table] | None:
    """The variants under stress, and the comparisons; None without a stress test."""
    found = {name: v.stressed for name, v in result.variants.items() if v.stressed}
    if not found:
        return None
    families = list(next(iter(found.values())).families)
    variants: Rows = [
        [name, bare(v.clean), bare(v.stressed), *(v.families[f].value for f in families)]
        for name, v in found.items()
    ]
    compared: Rows = [
        [
            _pair(c), _difference(c.difference, result.headline), p_value(c.p),
            p_value(c.p_adjusted), "yes" if c.shown else "no",
        ]
        for c in result.stressed
    ]  # fmt: skip
    columns: Columns = [Column("variant", wrap=True), "as they are", "under stress", *families]
    return (
        Table("Variants under stress", columns, variants),
        Table("Comparisons under stress", [_PAIR, "difference", "p", "p, Holm", "shown"], compared),
    )


def failures_table(result: StudyResult) -> Table:
    """The runs that failed, and why."""
    columns: Columns = [Column("variant", wrap=True), "seed", "fold", Column("error", "about")]
    rows = [(f.variant, str(f.seed), str(f.fold + 1), f.error) for f in result.failures]
    return Table("Failed runs", columns, rows)


def machine_table(result: StudyResult) -> Table:
    """With what and on what the study was gathered."""
    facts = [*result.versions.items(), *result.machine.items()]
    rows = [(name, str(value)) for name, value in facts]
    return Table("Versions and machine", ("", ""), rows, kind="facts")


def images_table(result: StudyResult) -> Table:
    """Images of each class in every split, and with each finding."""
    counts: dict[str, dict[str, int]] = result.data["counts"]
    findings: dict[str, dict[str, dict[str, int]]] = result.data.get("findings", {})
    classes = [name for name in next(iter(counts.values()), {}) if name != ROOT]
    with_it = list(next(iter(findings.values()), {}))
    rows: list[Row] = [
        [
            split,
            *(of[name] for name in classes),
            *(findings[split][name]["present"] for name in with_it),
            sum(of.values()),
        ]
        for split, of in counts.items()
    ]
    names = (Column(name, wrap=True) for name in (*classes, *with_it))
    kinds = " and ".join(["class"] * bool(classes) + ["finding"] * bool(with_it))
    return Table(f"Images of each {kinds}", ["split", *names, "all"], rows)


# ---- settings ------------------------------------------------------------------------------

#: What a reader looks for first; the whole recipe follows on the page.
SETTINGS = (
    "network", "epochs", "batch size", "optimizer", "learning rate", "weight decay", "schedule",
    "class weights",
)  # fmt: skip


def settings_table(result: StudyResult) -> Table:
    """A row per variant and network: variant, decision with strategy, and SETTINGS.

    Raises StudyError or RecipeError where study.json holds a recipe that this version cannot read.
    """
    tree = LabelTree.from_json(result.data["labels"])
    rows: list[Sequence[Any]] = []
    for name, variant in result.variants.items():
        recipe = recipe_of(variant)
        for decision in recipe.networks(tree):
            s = recipe.settings(decision.name)
            of = Cell(result.study["decision"] or decision.name, small=recipe.strategy)
            rows.append((
                name, of, s.network, f"{s.epochs}", f"{s.batch_size}", s.optimizer,
                f"{s.learning_rate:g}", f"{s.weight_decay:g}", _schedule(s), _weights(s),
            ))  # fmt: skip
    columns: Columns = [Column("variant", wrap=True), Column("decision", "text"), *SETTINGS]
    return Table("Settings", columns, rows)


def recipe_of(variant: VariantResult) -> Recipe:
    """The recipe of a variant."""
    return Recipe.from_dict(variant.recipe, f"study.json, variant {variant.name}")


def _schedule(settings: Settings) -> str:
    if settings.scheduler == "step":
        return f"times {settings.gamma:g} after every {settings.step_size} epochs"
    return "constant" if settings.scheduler == "none" else settings.scheduler


def _weights(settings: Settings) -> str:
    weights = settings.class_weights
    if isinstance(weights, dict):
        return ", ".join(f"{label} {weight:g}" for label, weight in weights.items())
    if isinstance(weights, list):
        return ", ".join(f"{weight:g}" for weight in weights)
    return weights
