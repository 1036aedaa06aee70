"""Possible label errors in the report: a part of the section on errors, apart from them."""

from typing import Any, Final

from hilum.reporting.figures.charts import radiograph_uri
from hilum.reporting.subject import Subject

#: How many are listed, and how many of them have a picture.
LISTED: Final = 200
PICTURED: Final = 12


def show_label_errors(subject: Subject) -> dict[str, Any] | None:
    """What confident learning found in held-out predictions; None where none were given."""
    found = subject.label_errors
    if found is None:
        return None
    shown = found.errors[:LISTED]
    first = shown[:PICTURED] if subject.images else ()
    pixels = subject.images([error.name for error in first]) if subject.images and first else []
    return {
        "sentence": found.sentence,
        "files": found.about.get("files", ()),
        "classes": found.classes,
        "errors": shown,
        "hidden": len(found.errors) - len(shown),
        "pictures": [
            {
                "error": error,
                "uri": radiograph_uri(picture, longest=144, quality=75),
                "alt": f"Radiograph {error.name}: labelled {error.given}, "
                f"preferred {error.suggested}",
            }
            for error, picture in zip(first, pixels, strict=True)
        ],
    }
