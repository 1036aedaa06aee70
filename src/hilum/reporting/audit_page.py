"""The page of an audit: its findings, with pictures, as one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from hilum.auditing.audit import Audit
from hilum.auditing.describe import Description, decision_counts
from hilum.auditing.findings import SEVERITIES
from hilum.auditing.shortcuts import Shortcut
from hilum.errors import HilumError
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.records import PixelArray, Record
from hilum.reporting.charts import class_bars, radiograph_uri
from hilum.reporting.page import write_page
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


def write_audit_page(
    audit: Audit,
    out: Path,
    *,
    images: ImageSource | None = None,
    preprocessing: Samples | None = None,
    augmentation: Samples | None = None,
) -> Path:
    """Write the findings with pictures, as write_page does.

    images: gives the (H, W) uint8 pixels of radiographs by name; None leaves the pictures out, and
    the page says so. preprocessing: for some radiographs, by name, what every preprocessing makes
    of them, named. augmentation: what training would make of them, likewise.
    """
    described = audit.description
    tree = described.tree
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
    return write_page(
        out,
        "audit.html.j2",
        audit=audit,
        tally=[(s, sum(f.severity == s for f in audit.findings)) for s in SEVERITIES],
        splits=list(described.counts),
        counts=counts_table("Images per class and split", tree.classes, splits),
        charts=_charts(described),
        looks=Table("Brightness and contrast per class", of_looks, looks),
        files=Table("Files", ("", ""), files, kind="facts"),
        shortcuts=_shortcuts(audit),
        pictures=_pictures(audit, images) if images else None,
        preprocessing=_cards(preprocessing or {}),
        augmentation=_cards(augmentation or {}),
    )


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


def _charts(described: Description) -> list[dict[str, str]]:
    """Grouped bars of the classes, and of the options of every decision where there are several."""
    decisions = described.tree.decisions
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
    """Samples of each class, the extremes, and groups of duplicates, read once."""
    described = audit.description
    labels = described.labels
    rows: dict[str, dict[str, list[int]]] = {"samples": {}, "extremes": {}, "duplicates": {}}
    for k, name in enumerate(described.tree.classes):
        members = [int(i) for i in (labels == k).nonzero()[0]]
        step = max(1, len(members) // SAMPLES)
        rows["samples"][name] = members[step // 2 :: step][:SAMPLES]  # spread, none chosen by hand
    rows["extremes"] = {kind: list(found) for kind, found in described.extremes().items() if found}
    groups = [
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
    groups.sort(key=lambda item: (not item[1].across_splits, not item[1].conflicting_labels))
    for i, (kind, group) in enumerate(groups[:GROUPS], start=1):
        rows["duplicates"][f"{i}. {kind}"] = [int(m) for m in group.members[:4]]
    wanted = sorted({i for part in rows.values() for shown in part.values() for i in shown})
    read = images([described.records[i].name for i in wanted])
    if len(read) != len(wanted):
        raise HilumError(f"The page asked for {len(wanted)} images and was given {len(read)}.")
    cards = {
        i: {
            **_picture(pixels),
            "record": described.records[i],
            "label": described.tree.classes[labels[i]],
            "brightness": round(float(described.looks.brightness[i])),
            "margin": float(described.looks.margin[i]),
        }
        for i, pixels in zip(wanted, read, strict=True)
    }
    return {
        part: {name: [cards[i] for i in shown] for name, shown in named.items()}
        for part, named in rows.items()
    } | {"groups": len(groups)}


def _picture(pixels: PixelArray) -> dict[str, Any]:
    height, width = pixels.shape
    return {"uri": radiograph_uri(pixels, longest=160), "height": height, "width": width}


def _cards(given: Samples) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"what": what, **_picture(pixels)} for what, pixels in made]
        for name, made in given.items()
    }
