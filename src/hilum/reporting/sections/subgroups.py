"""The report's section on subgroups: does it fail more on some kinds of image than on others?"""

from typing import Any

from hilum.evaluation.subgroups import Attribute, Subgroup
from hilum.reporting.sections.assessed import Assessed, assessed, lacking
from hilum.reporting.subject import Subject


def show_subgroups(subject: Subject) -> dict[str, Any]:
    """Per evaluation a sentence on every attribute, those that differ first, and the tables."""
    items = [item for item in assessed(subject) if item.assessment.subgroups]
    return {**lacking(subject, items), "shown": [_show(item) for item in items]}


def _show(item: Assessed) -> dict[str, Any]:
    subgroups = item.assessment.subgroups
    attributes = sorted(subgroups.attributes if subgroups else (), key=lambda a: not a.differs)
    return {
        "title": item.title,
        "classes": item.run.tree.classes,
        "attributes": [_attribute(attribute) for attribute in attributes],
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    def shortfall(subgroup: Subgroup) -> tuple[bool, float]:
        return subgroup.name != attribute.worst, (subgroup.accuracy.value or 0) - subgroup.expected

    groups = attribute.subgroups
    return {
        "name": attribute.name,
        "sentence": attribute.sentence,
        "differs": attribute.differs,
        "unknown": attribute.unknown,
        # An order by accuracy would suggest a difference where the data show none.
        "groups": sorted(groups, key=shortfall) if attribute.differs else groups,
    }
