"""The page of an audit: its findings, with pictures, as one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from hilum.auditing.audit import Audit
from hilum.auditing.describe import Description, decision_counts
from hilum.auditing.findings import SEVERITIES, Finding
from hilum.auditing.shortcuts import Shortcut
from hilum.errors import HilumError
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.records import PixelArray, Record
from hilum.reporting.audit_findings import findings_tables, images_by_kind
from hilum.reporting.charts import class_bars, radiograph_uri
from hilum.reporting.page import Section, write_page
from hilum.reporting.sections.data import counts_table
from hilum.reporting.subject import ImageSource
from hilum.reporting.svg import INK, SERIES, draw_interval, draw_svg, lay_rows
from hilum.settings import AUGMENTATIONS, Augmentation
from hilum.table import Column, Columns, Rows, Table
from hilum.transforms.augment import augmentation_grid
from hilum.transforms.preprocess import Preprocessing, preprocessing_grid
from hilum.wording import PERCENT, Style

#: Pictures of some radiographs, by the radiograph's name: what was done to it, and the result.
Samples = Mapping[str, Sequence[tuple[str, PixelArray]]]

#: How many radiographs of each class are shown, and how many groups of duplicates.
SAMPLES = 6
GROUPS = 8

#: Beside the verdict: how many examples of each class there are where classes are few, how many
#: findings with radiographs, and how many radiographs of each.
_EXAMPLES, _FEW = 2, 4
_FINDINGS, _EVIDENCE = 2, 4

_WORDS = {
    "samples": "Evenly spread over the files of each class; none was chosen by hand.",
    "extremes": "Images that differ most from the rest are the first to look at: wrong exposures, "
    "cut or turned images, and files that are no chest radiograph at all.",
    "preprocessing": "What each way of preprocessing makes of the same radiograph. A recipe "
    "switches it on; it then travels with the classifier.",
    "augmentation": "What augmentation “full” may make of a radiograph in training: each part "
    "alone, then all together in some epochs. Mirroring exchanges the sides of the heart. Mixup, "
    "which takes a second radiograph, is not shown.",
}


def write_audit_page(
    audit: Audit,
    out: Path,
    *,
    images: ImageSource | None = None,
    preprocessing: Samples | None = None,
    augmentation: Samples | None = None,
) -> Path:
    """Write a verdict and the findings, with pictures, as write_page does.

    images: gives the (H, W) uint8 pixels of radiographs by name; None leaves the pictures out, and
    the page says so. preprocessing: for some radiographs, by name, what every preprocessing makes
    of them, named. augmentation: what training would make of them, likewise.
    """
    tally = [(s, sum(f.severity == s for f in audit.findings)) for s in SEVERITIES]
    shown = _pictures(audit, images) if images else {}
    parts = {
        "verdict": {
            "sentences": give_verdict(audit.findings), "tally": tally, "strips": shown.get("strips")
        },
        "findings": audit.findings,
        **({"shortcuts": _shortcuts(audit)} if audit.shortcuts else {}),
        **({"occurrence": _occurrence(audit)} if audit.occurrence else {}),
        "content": _content(audit),
        **shown,
        **{
            part: {"words": _WORDS[part], "shown": _cards(samples)}
            for part, samples in (("preprocessing", preprocessing), ("augmentation", augmentation))
            if samples
        },
    }  # fmt: skip
    return write_page(
        out,
        "audit.html.j2",
        sections=[(s, part) for s in _SECTIONS if (part := s.collect(parts)) is not None],
        title=f"Audit of {audit.data['name']}",
        audit=audit,
        full=False,
    )


def _section(anchor: str, title: str = "", **settings: Any) -> Section:
    return Section(anchor, title or anchor.capitalize(), methodcaller("get", anchor), **settings)


#: In the order in which they are read: what a reader needs, then the appendix.
_SECTIONS = (
    _section("verdict", heading="Can one train on these data, and report?", front=True),
    _section("findings", front=True),
    _section("occurrence", "Findings of the images", front=True),
    _section("shortcuts", front=True),
    _section("content", "What is there"),
    *(_section(anchor, template="pictures") for anchor in ("samples", "extremes", "duplicates")),
    *(_section(anchor, template="drawn") for anchor in ("preprocessing", "augmentation")),
)


def give_verdict(findings: Sequence[Finding]) -> list[str]:
    """Whether one can train on the data and report figures on them, in at most three sentences.

    findings: as an audit orders them. Only the gravest are named, with the first thing to do.
    """
    critical, warnings, _, passed = (
        [f for f in findings if f.severity == severity] for severity in SEVERITIES
    )
    codes = {finding.code for finding in findings}
    if critical:
        answer = "One can train on these data, but not report figures on them as they stand."
    elif "undivided" in codes:
        answer = (
            "One can train on these data, but report figures on them only once they are divided "
            "and audited again: all images are in one split."
        )
    elif warnings:
        answer = (
            "One can train on these data and report figures on them, if what the warnings say "
            "stands beside them."
        )
    elif "synthetic" in codes:
        answer = "One can train on these phantoms; figures on them say nothing about patients."
    else:
        answer = (
            "One can train on these data and report figures on them: nothing was found that speaks "
            "against it."
        )
    if grave := critical or warnings:
        reasons = [_first_sentence(f.meaning if f.code == "provenance" else f.title) for f in grave]
        more = f"; and {len(reasons) - 3} more" * (len(reasons) > 3)
        step = _first_sentence(grave[0].advice)
        return [answer, f"{'; '.join(reasons[:3])}{more}.", f"First: {_low(step)}."]
    checks = "; ".join(_low(finding.title) for finding in passed)
    return [answer, *([f"Checked and found in order: {checks}."] if checks else [])]


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".")


def _low(text: str) -> str:
    return text[:1].lower() + text[1:]


def preprocessing_samples(dataset: Dataset) -> dict[str, list[tuple[str, PixelArray]]]:
    """What every preprocessing makes of one radiograph of each class, by the radiograph's name."""
    return {
        r.name: list(preprocessing_grid(read_radiograph(r.path)).items())
        for r in _one_of_each_class(dataset)
    }


def augmentation_samples(dataset: Dataset) -> dict[str, list[tuple[str, PixelArray]]]:
    """What `augmentation = "full"` makes of one radiograph of each class, by its name.

    First each part alone, in one epoch, then all of them together in six. Mixup is not shown.
    """
    full = AUGMENTATIONS["full"]
    made: dict[str, list[tuple[str, PixelArray]]] = {}
    for record in _one_of_each_class(dataset):
        image = Preprocessing().to_pixels(read_radiograph(record.path))
        pictures = [("as it is", image)]
        for part in Augmentation.model_fields:
            if part != "mixup":
                alone = Augmentation.model_validate({part: getattr(full, part)})
                pictures.append((part, augmentation_grid(image, alone, n=4)[-1]))
        pictures += [
            (f"all, epoch {epoch}", picture)
            for epoch, picture in enumerate(augmentation_grid(image, full, n=6), start=1)
        ]
        made[record.name] = pictures
    return made


def _one_of_each_class(dataset: Dataset) -> list[Record]:
    middle = [np.flatnonzero(dataset.labels == k) for k in range(len(dataset.tree.classes))]
    return [dataset.records[rows[len(rows) // 2]] for rows in middle]


def _occurrence(audit: Audit) -> dict[str, Any]:
    """How often the findings of images come, and together, and what tells them."""
    prevalence, cardinality, together, told = findings_tables(audit)
    words = audit.occurrence.in_words() if audit.occurrence else ""
    return {
        "words": words, "prevalence": prevalence, "cardinality": cardinality,
        "together": together, "told": told,
    }  # fmt: skip


def _content(audit: Audit) -> dict[str, Any]:
    """Counts per class and split, and how images and files are."""
    described = audit.description
    splits = [(split, list(counts.values())) for split, counts in described.counts.items()]
    of_looks: Columns = [
        "class", Column("brightness", style=Style(0)), Column("contrast", style=Style(0)),
        Column("dark margin", style=PERCENT),
    ]  # fmt: skip
    looks: Rows = [
        [name, *(float(found[key]) for key in ("brightness", "contrast", "margin"))]
        for name, found in described.per_class().items()
    ]
    files = [*_files(described), ("fingerprint", audit.data["fingerprint"])]
    return {
        "ratio": audit.balance(),
        "splits": list(described.counts),
        "counts": counts_table("Images per class and split", described.tree.classes, splits),
        "charts": _charts(described),
        "looks": Table("Brightness and contrast per class", of_looks, looks),
        "files": Table("Files", ("", ""), files, kind="facts"),
    }


def _charts(described: Description) -> list[dict[str, str]]:
    """Grouped bars of the classes, and of the options of every decision where there are several."""
    decisions = described.tree.decisions
    if not decisions:
        return []  # one class, which all images are of
    groups = [("All classes", described.ratio(), described.tree.classes, dict(described.counts))]
    if len(decisions) > 1:
        balance = described.balance()
        for d in decisions:
            counts = {
                split: decision_counts(described.tree, classes)[d.name]
                for split, classes in described.counts.items()
            }
            groups.append((f"Decision {d.name}", balance[d.name], d.options, counts))
    charts = []
    for title, words, names, counts in groups:
        rows = [(split, [classes[n] for n in names]) for split, classes in counts.items()]
        svg = class_bars(names, rows, title=title)
        charts.append({"title": title, "words": words, "svg": svg})
    return charts


def _files(described: Description) -> list[tuple[str, str]]:
    """Formats, modes, bits and sizes in words."""
    rows = []
    for name, counts in described.files().items():
        shown = [f"{value}: {n:,}" for value, n in list(counts.items())[:4]]
        more = f"; and {len(counts) - 4:,} other" if len(counts) > 4 else ""
        rows.append((name, "; ".join(shown) + more))
    return rows


def _shortcuts(audit: Audit) -> dict[str, Any]:
    found = [s for s in audit.shortcuts if s.auroc.value is not None]
    if not found:
        return {"chart": None, "reason": audit.shortcuts[0].auroc.reason}
    classes = audit.description.tree.classes
    columns: Columns = [
        "seen", "AUROC", *(Column(name, wrap=True) for name in classes),
        Column("what that is", "about"),
    ]  # fmt: skip
    table: Rows = [
        [s.name, s.auroc, *(s.per_class[name] for name in classes), s.about]
        for s in audit.shortcuts
    ]
    return {
        "chart": _auroc_bars(found),
        "table": Table("AUROC of every kind of information", columns, table),
        "n": audit.shortcuts[0].auroc.n,
    }


def _auroc_bars(found: Sequence[Shortcut]) -> str:
    """A bar per row from 0.5, which is chance, to its AUROC, with the 95 % interval, as inline SVG.

    What saw lung is there to compare with; such bars have the second colour.
    """
    rows = {s.name: (s.auroc, s.auroc.value or 0.0) for s in found}
    least = min([0.35, *(low for e, value in rows.values() for low in (value, e.low) if low)])

    def draw(axes: Axes) -> None:
        for y, (shortcut, (auroc, value)) in enumerate(zip(found, rows.values(), strict=True)):
            colour = SERIES[1] if shortcut.sees_lung else SERIES[0]
            axes.barh(y, value - 0.5, left=0.5, height=0.36, color=colour)
            draw_interval(axes, (auroc.low, auroc.high), y, INK, width=1.3)
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        lay_rows(
            axes, [y - 0.24 for y in range(len(rows))], (len(rows) - 0.6, -0.85), (least, 1),
            "AUROC (0.5 is chance)", [f"{value:.2f}" for _, value in rows.values()],
        )  # fmt: skip

    words = "; ".join(f"{name} {value:.2f}" for name, (_, value) in rows.items())
    alt = f"AUROC of a simple classifier by what it sees. {words}."
    size = (4.3, 0.6 + 0.5 * len(rows))
    return draw_svg(draw, size, alt=alt, rows=list(rows))


def _pictures(audit: Audit, images: ImageSource) -> dict[str, Any]:
    """What stands beside the verdict, samples, the extremes, and groups of copies; read once."""
    described = audit.description
    samples: dict[str, list[int]] = {}
    kinds = images_by_kind(described)
    for name, members in kinds.items():
        step = max(1, len(members) // SAMPLES)
        samples[name] = members[step // 2 :: step][:SAMPLES]  # spread, none chosen by hand
    of_each = _EXAMPLES if len(kinds) <= _FEW else 1
    examples = {
        f"{name}: {len(members):,} images": samples[name][:of_each]
        for name, members in kinds.items()
        if members
    }
    copies = [
        (kind, group)
        for kind, found in (
            ("nearly identical", audit.duplicates.near),
            ("mirrored", audit.duplicates.mirrored),
            ("identical pixels", audit.duplicates.pixels),
            ("identical files", audit.duplicates.exact),
        )
        for group in found
    ]
    # Those that matter most first: across splits, then with several labels.
    copies.sort(key=lambda item: (not item[1].across_splits, not item[1].conflicting_labels))
    shown = {
        f"{i}. {kind}": [int(m) for m in group.members[:4]]
        for i, (kind, group) in enumerate(copies[:GROUPS], start=1)
    }
    of = f"{len(shown)} of {len(copies):,} groups" if len(copies) > len(shown) else "All groups"
    extremes = {kind: list(found) for kind, found in described.extremes().items() if found}
    parts = {
        "examples": ("example", "", examples),
        "evidence": ("evidence", "", _evidence(audit)),
        "samples": ("sample", _WORDS["samples"], samples),
        "extremes": ("extreme", _WORDS["extremes"], extremes),
        "duplicates": ("copy", f"{of}, at most four images of each; audit.json names all.", shown),
    }
    wanted = sorted({i for *_, named in parts.values() for rows in named.values() for i in rows})
    read = images([described.records[i].name for i in wanted])
    if len(read) != len(wanted):
        raise HilumError(f"The page asked for {len(wanted)} images and was given {len(read)}.")
    cards = {
        i: {
            **_picture(pixels),
            "record": described.records[i],
            "label": described.tree.name_of(described.labels[i], described.records[i].marks),
            "brightness": round(float(described.looks.brightness[i])),
            "margin": float(described.looks.margin[i]),
        }
        for i, pixels in zip(wanted, read, strict=True)
    }
    found = {
        part: {
            "kind": kind,
            "words": words,
            "shown": {name: [cards[i] for i in rows] for name, rows in named.items()},
        }
        for part, (kind, words, named) in parts.items()
        if named
    }
    return {
        "strips": [found.pop(part) for part in ("examples", "evidence") if part in found],
        **found,
    }


def _evidence(audit: Audit) -> dict[str, list[int]]:
    """The radiographs that the gravest findings name, by the findings' titles."""
    places = {record.name: i for i, record in enumerate(audit.description.records)}
    grave = (f for f in audit.findings if f.severity in ("critical", "warning"))
    named = {
        f.title: [
            places[name] for line in f.evidence for name in line.split(" = ") if name in places
        ]
        for f in grave
    }
    found = {title: rows[:_EVIDENCE] for title, rows in named.items() if rows}
    return dict(list(found.items())[:_FINDINGS])


def _picture(pixels: PixelArray) -> dict[str, Any]:
    height, width = pixels.shape
    return {"uri": radiograph_uri(pixels, longest=160), "height": height, "width": width}


def _cards(given: Samples) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"what": what, **_picture(pixels)} for what, pixels in made]
        for name, made in given.items()
    }
