"""The report's section on how radiologists read: cited figures, and what they are not."""

from functools import cache
from typing import Any

from hilum.packaged import read_packaged
from hilum.records import Estimate
from hilum.reporting.sections.data import evaluated_meanings, known_source
from hilum.reporting.subject import Subject


def describe_reading(subject: Subject) -> dict[str, Any]:
    """The readings and figures of clinical.toml, with their sources and their caveat.

    meanings: what the labels of the data that the runs were trained or evaluated on are known to
    mean, where that is known.
    """
    known = [source["meaning"] for run in subject.runs if (source := known_source(run))]
    known += [meaning for run in subject.runs for meaning in evaluated_meanings(run)]
    return {**_clinical(), "meanings": list(dict.fromkeys(known))}


@cache
def _clinical() -> dict[str, Any]:
    content = read_packaged("reporting", "texts", "clinical.toml")
    return {
        "readings": content["reading"],
        "figures": [
            {
                "name": f["name"],
                "estimate": Estimate(f["value"], f.get("low"), f.get("high")),
                "source": f["source"],
            }
            for f in content["figure"]
        ],
        "sources": content["sources"],
    }
