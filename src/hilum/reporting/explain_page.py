"""An explanation of radiographs as one HTML file that opens offline."""

import base64
from pathlib import Path

from hilum.explanation.attribution import METHOD_NAMES
from hilum.explanation.results import Explanation
from hilum.reporting.page import made_now, page_environment, write_page

_KINDS = {
    "radiograph": "As the classifier sees it",
    "feature-maps": "Feature maps",
    "pair": "Beside another radiograph",
}


def write_explanation_page(explanation: Explanation, out: Path) -> Path:
    """Write pictures, probabilities and how far to trust the maps as one self-contained HTML file.

    out: the file to write; its folder is made. The file loads nothing and runs no script. Returns
    out. Raises HilumError if it cannot be written.
    """
    images = [
        {
            "image": image,
            "pictures": [
                {
                    "uri": "data:image/png;base64," + base64.b64encode(p.png).decode("ascii"),
                    "title": METHOD_NAMES[p.method] if p.method else _KINDS[p.kind],
                    "wide": p.kind in ("feature-maps", "pair"),
                    "picture": p,
                }
                for p in image.pictures
            ],
        }
        for image in explanation.images
    ]
    page = (
        page_environment()
        .get_template("explain.html.j2")
        .render(
            explanation=explanation,
            images=images,
            names=METHOD_NAMES,
            made=made_now(),
        )
    )
    return write_page(page, out)
