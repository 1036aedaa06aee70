"""What a stakeholder demands of a threshold, as it is written and by name."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from hilum.errors import EvaluationError, nearest

Measure = Literal["sensitivity", "specificity", "ppv", "npv"]

_SYNONYMS: dict[str, Measure] = {
    "sensitivity": "sensitivity",
    "recall": "sensitivity",
    "specificity": "specificity",
    "ppv": "ppv",
    "precision": "ppv",
    "npv": "npv",
}
_DEMAND = re.compile(r"\s*([A-Za-z]+)\s*(?:>=|≥)\s*([0-9.]+)\s*")


@dataclass(frozen=True, slots=True)
class Demand:
    """A measure that must reach a value. least: above 0, at most 1."""

    measure: Measure
    least: float

    @classmethod
    def parse(cls, text: str) -> "Demand":
        """Read 'recall>=0.95'; recall is sensitivity, precision is ppv.

        Raises EvaluationError for another form, measure or range.
        """
        match = _DEMAND.fullmatch(text)
        if not match or match[2].count(".") > 1 or match[2] == ".":
            raise EvaluationError(
                f"Cannot read the demand '{text.strip()}': write MEASURE>=VALUE, for example "
                "recall>=0.95."
            )
        name, least = match[1].lower(), float(match[2])
        if name not in _SYNONYMS:
            raise EvaluationError(f"There is no measure '{match[1]}'.{nearest(name, _SYNONYMS)}")
        if not 0 < least <= 1:
            raise EvaluationError(
                f"'{text.strip()}' demands {least:g}; a demand lies above 0 and is at most 1."
            )
        return cls(_SYNONYMS[name], least)

    def __str__(self) -> str:
        return f"{self.measure}>={self.least:g}"


#: Demands with a name. 'public-health' catches nearly all ill people and then spares as many of
#: the others as it can; 'clinic' calls hardly anyone wrongly and then catches as many as it can.
PRESETS: Final[dict[str, tuple[Demand, ...]]] = {
    "public-health": (Demand("sensitivity", 0.95),),
    "clinic": (Demand("specificity", 0.90), Demand("ppv", 0.90)),
}
