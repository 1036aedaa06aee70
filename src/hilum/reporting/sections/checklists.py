"""Reporting checklists, filled from what the runs hold: CLAIM 2024 and TRIPOD+AI."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from hilum.packaged import read_packaged
from hilum.reporting.sections.conditions import holding
from hilum.reporting.subject import Subject

Status = Literal["filled", "partly", "for the author to write"]
STATUSES: tuple[Status, ...] = ("filled", "partly", "for the author to write")


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a checklist.

    number: as published. section: of the paper. text: what is asked, in our words. anchor: the
    section of the report where it is answered, or ''. filled, partly: names of conditions.
    """

    number: str
    section: str
    text: str
    anchor: str = ""
    filled: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()

    def status(self, holds: frozenset[str]) -> Status:
        """How far the report answers it: with every condition in filled, else in partly, or not."""
        if self.filled and holds.issuperset(self.filled):
            return "filled"
        if self.partly and holds.issuperset(self.partly):
            return "partly"
        return "for the author to write"


@dataclass(frozen=True, slots=True)
class Checklist:
    """A published checklist: what it is called, where it was published, and its items."""

    name: str
    title: str
    source: str
    note: str
    items: tuple[Item, ...]


@cache
def read_checklist(name: str) -> Checklist:
    """One of the checklists in texts/, such as 'claim-2024'."""
    content = read_packaged("reporting", "texts", f"{name}.toml")
    items = tuple(
        Item(
            number=item["number"],
            section=item["section"],
            text=item["text"],
            anchor=item.get("anchor", ""),
            filled=tuple(item.get("filled", ())),
            partly=tuple(item.get("partly", ())),
        )
        for item in content.pop("item")
    )
    return Checklist(**content, items=items)


def fill_checklist(name: str) -> Callable[[Subject], dict[str, Any]]:
    """What makes a checklist's section: its items with their status, and how many are of each."""

    def collect(subject: Subject) -> dict[str, Any]:
        checklist = read_checklist(name)
        holds = holding(subject)
        rows = [(item, item.status(holds)) for item in checklist.items]
        tally = Counter(status for _, status in rows)
        return {
            "checklist": checklist,
            "rows": rows,
            "tally": [(status, tally[status]) for status in STATUSES],
        }

    return collect
