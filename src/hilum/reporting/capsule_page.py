"""What leaves a hospital, as tables and as a page: all of it, before it is sent."""

from pathlib import Path

from hilum.capsule.ranges import LEAST
from hilum.capsule.result import Aggregates, Figure, Recalibration, Signed
from hilum.capsule.run import as_text
from hilum.capsule.signing import fingerprint
from hilum.records import Estimate
from hilum.reporting.page import write_page
from hilum.table import Column, Columns, Rows, Table
from hilum.wording import PERCENT, listed


def write_capsule_page(signed: Signed, out: Path, sent: str) -> Path:
    """Write all that a result says as write_page does. sent: the name of the file that is sent."""
    return write_page(
        out,
        "capsule.html.j2",
        signed=signed,
        result=signed.result,
        fingerprint=fingerprint(signed.key),
        sent=sent,
        sentences=result_sentences(signed),
        tables=result_tables(signed),
        text=as_text(signed).decode(),
    )


def result_sentences(signed: Signed) -> list[str]:
    """What the tables do not say."""
    there = signed.result.there
    found = [
        f"{there.n:,} images"
        + (f" of {there.patients:,} patients" if there.patients is not None else "")
        + " are told of, in no other way than the tables below show."
    ]
    if there.left_out:
        found.append(
            f"Of {listed(there.left_out)} there are fewer than {LEAST} images, or of too few "
            "patients: none of these was counted anywhere."
        )
    if there.gate and there.gate.warning:
        found.append("These images are, as a set, unlike those that trained the classifier.")
    if signed.result.recalibration is None:
        found.append("Not all temperatures could be fitted here, so nothing is told of them.")
    return found


def result_tables(signed: Signed) -> list[Table]:
    """All numbers of a result but home's own, which came with the capsule."""
    result = signed.result
    there, home = result.there, result.home
    facts: Rows = [
        ["capsule", result.capsule],
        ["signed by", fingerprint(signed.key)],
        ["site", result.site or "not told"],
        ["day", result.day],
        ["Hilum", result.hilum],
    ]
    shares: Rows = [
        [name, own.n, own.n / there.n, _at_home(home, name)] for name, own in there.classes.items()
    ]
    measures: Rows = [
        ["accuracy", _shown(there.accuracy)],
        ["balanced accuracy", _shown(there.balanced_accuracy)],
        ["macro AUROC", _shown(there.macro_auroc)],
        *([f"AUROC of the decision {n}", _shown(f)] for n, f in there.decisions.items()),
        ["calibration error (ECE)", _shown(there.top_label.ece)],
        ["Brier score", _shown(there.brier)],
        ["log loss", _shown(there.log_loss)],
    ]
    names = list(next(iter(there.classes.values())).called)
    found = [
        Table("What the result says of itself", ["", Column("", "text")], facts, kind="facts"),
        Table(
            "How common each class is",
            ["class", "images", Column("share", style=PERCENT), Column("at home", style=PERCENT)],
            shares,
        ),
        Table("Measures, with 95 % intervals", ["measure", "here"], measures),
        Table(
            "Each class against the rest",
            ["class", "sensitivity", "specificity", "precision", "AUROC"],
            [
                [name, *map(_shown, (own.recall, own.specificity, own.precision, own.auroc))]
                for name, own in there.classes.items()
            ],
        ),
        Table(
            "Confusion matrix (rows: truth, columns: called)",
            ["truth", *names],
            [
                [name, *(str(own.called[other]) for other in names)]
                for name, own in there.classes.items()
            ],
        ),
    ]
    return [*found, *_further(there), *_recalibrated(result.recalibration)]


def _further(there: Aggregates) -> list[Table]:
    """Operating points, calibration, subgroups and the gate; of each what there is."""
    found = []
    if there.points:
        of: Columns = ["positive for", "of", "found", "sensitivity", "of", "spared", "specificity"]
        rows: Rows = [
            [p.name, p.positives, str(p.found), _shown(p.sensitivity), p.negatives, str(p.spared),
             _shown(p.specificity)]
            for p in there.points
        ]  # fmt: skip
        found.append(Table("Operating points chosen at home", of, rows))
    curves = {"class that was taken": there.top_label, **there.curves}
    bins: Rows = [
        [name, b.n, b.mean_prob, _shown(b.observed)]
        for name, curve in curves.items()
        for b in curve.bins
    ]
    heads: Columns = ["probability of", "images", "mean probability", "came true"]
    found.append(Table("Calibration curves", heads, bins))
    lines: Rows = [
        [name, _shown(c.ece), _shown(c.intercept), _shown(c.slope)] for name, c in curves.items()
    ]
    columns: Columns = ["probability of", "error (ECE)", "intercept", "slope"]
    found.append(Table("Calibration", columns, lines))
    groups: Rows = [
        [f"{name}: {g.name}", g.n, str(g.right), _shown(g.accuracy), _differs(of_it.differs)]
        for name, of_it in there.attributes.items()
        for g in of_it.groups
    ]
    beside: Columns = ["subgroup", "images", "right", "accuracy", Column("differ", "text")]
    if groups:
        found.append(Table("Subgroups", beside, groups))
    if there.gate:
        gate = there.gate
        told: Rows = [
            ["flagged as unlike the training images", f"{gate.flagged} of {gate.n:,}"],
            ["share", _shown(gate.share)],
            ["expected", gate.expected],
            ["p of as many", gate.p_value],
            ["odder than a training image, share of pairs", _shown(gate.odder)],
            ["p of as odd", gate.odder_p_value],
        ]
        found.append(Table("The gate", ["", ""], told))
    return found


def _recalibrated(found: Recalibration | None) -> list[Table]:
    if found is None:
        return []
    temperatures: Rows = [[name, value, found.local[name]] for name, value in found.home.items()]
    changes: Rows = [
        [name, *(_shown(f) for f in (change.before, change.after, change.difference))]
        for name, change in (
            ("calibration error (ECE)", found.ece), ("Brier score", found.brier),
            ("log loss", found.log_loss),
        )
    ]  # fmt: skip
    return [
        Table("Temperatures", ["network", "home's", "fitted here"], temperatures),
        Table(
            "What temperatures fitted here change, on the half that they were not fitted on",
            ["measure", "at home's", "at those", "difference"],
            changes,
        ),
    ]


def _shown(figure: Figure | None) -> Estimate | None:
    return None if figure is None or figure.value is None else figure.estimate()


def _at_home(home: Aggregates, name: str) -> float | None:
    return home.classes[name].n / home.n if name in home.classes else None


def _differs(found: bool | None) -> str:
    return "not tested" if found is None else "yes" if found else "not shown"
