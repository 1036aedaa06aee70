"""The page of explanations: pictures, probabilities and how far to trust the maps, as HTML."""

from collections.abc import Sequence
from pathlib import Path

from hilum.display import data_uri
from hilum.explanation.attribution import METHOD_NAMES
from hilum.explanation.explained import Explanation
from hilum.explanation.localisation import localisation_table, say_unmeasured
from hilum.explanation.sanity import SanityCheck
from hilum.reporting.page import write_page
from hilum.table import Column, Columns, Rows, Table
from hilum.wording import PLAIN

_KINDS = {
    "radiograph": "As the classifier sees it",
    "feature-maps": "Feature maps",
    "pair": "Beside another radiograph",
}


def write_explanation_page(explanation: Explanation, out: Path) -> Path:
    """Write pictures, probabilities and how far to trust the maps as write_page does."""
    found, checks = explanation.localisation, explanation.sanity
    return write_page(
        out,
        "explain.html.j2",
        explanation=explanation,
        images=[
            (
                image,
                [
                    (
                        data_uri("image/png", picture.png),
                        METHOD_NAMES[picture.method] if picture.method else _KINDS[picture.kind],
                        picture.kind in ("feature-maps", "pair"),
                        picture,
                    )
                    for picture in image.pictures
                ],
            )
            for image in explanation.images
        ],
        localisation=any(score.measured for score in found)
        and localisation_table("Localisation", found),
        unmeasured=say_unmeasured(found),
        sanity=_sanity_table(checks) if checks else None,
    )


def _sanity_table(checks: Sequence[SanityCheck]) -> Table:
    columns: Columns = [
        "method", Column("decision", "text"), Column("layers randomised, in turn", "about"),
        "all randomised", Column("verdict", "text"),
    ]  # fmt: skip
    rows: Rows = [
        [METHOD_NAMES[c.method], c.decision, _steps(c), c.final, c.verdict] for c in checks
    ]
    return Table("Randomisation check", columns, rows)


def _steps(check: SanityCheck) -> str:
    values = [(step.layer, step.similarity.value) for step in check.steps]
    return ", ".join(f"{layer} {'—' if v is None else PLAIN.number(v)}" for layer, v in values)
