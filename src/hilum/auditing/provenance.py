"""Which public data set is this, and what do its labels really mean?

Every file in ``sources/`` describes one data set. To add one, add a TOML file.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.auditing.findings import Finding, Severity
from hilum.files import read_packaged_folder

Counts = Mapping[str, Mapping[str, int]]
Confidence = Literal["certain", "likely", "possible"]

_ORDER: tuple[Confidence, ...] = ("certain", "likely", "possible")
_IN_WORDS = {"certain": "This is", "likely": "This is probably", "possible": "This may be"}


class Version(BaseModel):
    """One form in which a data set is passed on, and how to know it.

    counts: images by split and class; the split 'all' means all splits together. totals: images
    by split, where the classes are not told apart. layout: the layout's name, where the counts
    are not enough. names: 'required' where other sets have the same counts under other class
    names. confidence: the most that equal counts can say (round numbers may coincide).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    totals: dict[str, int] = Field(default_factory=dict)
    layout: str | None = None
    names: Literal["free", "required"] = "free"
    confidence: Confidence = "certain"

    @model_validator(mode="after")
    def _one_rule(self) -> "Version":
        if sum(map(bool, (self.counts, self.totals, self.layout))) != 1:
            raise ValueError("a version is known by counts, by totals or by a layout: give one")
        return self


class Source(BaseModel):
    """A known public data set.

    name: the file's name. title, source, licence: for people. meaning: what the labels mean, as
    a sentence for every report made on the data. advice: what to do about it. traps: known
    mistakes that it invites. overlaps: names of the sets that share images with it. files:
    SHA-256 of a few of its files, by their place in it. labels: what meaning is about; data that
    have its files and none of these labels are told of another set, which it was made from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    source: str
    licence: str
    meaning: str
    advice: str
    severity: Severity = "warning"
    traps: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()
    version: tuple[Version, ...] = Field(min_length=1)
    files: dict[str, str] = Field(default_factory=dict)
    labels: tuple[str, ...] = ()
    made_from: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A known data set that the data at hand are, or hold, with how sure that is and why."""

    source: Source
    version: str
    confidence: Confidence
    why: str

    def to_plain(self) -> dict[str, Any]:
        """For the codec, with all that is known of the data set but its counts."""
        about = self.source.model_dump(exclude={"version", "files", "severity"}, mode="json")
        return {
            **about,
            "version": self.version,
            "confidence": self.confidence,
            "why": self.why,
        }


@cache
def known_sources() -> tuple[Source, ...]:
    """Every described data set, by name."""
    tables = read_packaged_folder("auditing", "sources")
    return tuple(Source(name=name, **table) for name, table in tables.items())


def recognise(
    counts: Counts, *, layout: str | None = None, digests: Collection[str] = ()
) -> Source | None:
    """The known data set that the data at hand are, or None; arguments as in match_sources.

    Only what is certain or likely (see match_sources): its meaning goes into every report.
    """
    sure = [
        m
        for m in match_sources(counts, layout=layout, digests=digests)
        if m.confidence != "possible"
    ]
    return sure[0].source if sure else None


def match_sources(
    counts: Counts, *, layout: str | None = None, digests: Collection[str] = ()
) -> tuple[Match, ...]:
    """The known data sets that the data at hand may be, the surest first; at most one of each.

    counts: images by split and class. layout: the layout's name. digests: SHA-256 of the files.
    The rules, and how sure each makes:

    - a known file, byte for byte, is among the data: certain; likely that they are the set which
      that one was made from, where none of the labels is there that its meaning is about;
    - in every split that the version describes (others do not matter), each class, by its name,
      has as many images: certain. Case, blanks, '_' and '-' in names do not matter;
    - the same numbers of images in any order, whatever the classes are called: likely, or only
      possible where the numbers are round. Not if names are required;
    - the same total in every split that is described (several numbers, none round): certain;
    - the layout alone: likely, because no other set is known to use it.

    A set that shares images with a surer one is left out: its counts then match for that reason.
    """
    matches = [
        match
        for source in known_sources()
        for match in (
            *(_match(source, version, counts, layout) for version in source.version),
            _by_files(source, counts, digests),
        )
        if match
    ]
    matches.sort(key=lambda m: _ORDER.index(m.confidence))
    surest = {m.source.name: m for m in reversed(matches)}
    found = [m for m in matches if surest[m.source.name] is m]
    explained = {o for m in found if m.confidence == "certain" for o in m.source.overlaps}
    return tuple(m for m in found if m.confidence == "certain" or m.source.name not in explained)


def provenance_findings(matches: Collection[Match]) -> list[Finding]:
    """What the matches mean for whoever trains on the data; a note where there is none."""
    if not matches:
        return [
            Finding(
                "note",
                "provenance-unknown",
                "Not a public data set that Hilum knows",
                "Nothing in its registry has these counts, so what the labels mean and where the "
                "images come from is yours to say.",
                "Write down who labelled the images, by what evidence, and from which hospitals, "
                "devices and years each class comes.",
            )
        ]
    return [
        Finding(
            m.source.severity if m.confidence != "possible" else "note",
            "provenance",
            f"{_IN_WORDS[m.confidence]} {m.source.title}",
            m.source.meaning,
            m.source.advice,
            (
                f"Recognised because {m.why}.",
                f"Source: {m.source.source}",
                f"Licence: {m.source.licence}",
                *m.source.traps,
                *(
                    [f"Shares images with: {', '.join(m.source.overlaps)}."]
                    * bool(m.source.overlaps)
                ),
            ),
        )
        for m in matches
    ]


def _by_files(source: Source, counts: Counts, digests: Collection[str]) -> Match | None:
    known = len(set(source.files.values()) & set(digests))
    if not known:
        return None
    why = f"{known} of {len(source.files)} known files"
    if not source.labels or set(source.labels) & _together(counts).keys():
        return Match(source, "", "certain", f"{why} are in it, byte for byte")
    origin = next(s for s in known_sources() if s.name == source.made_from)
    why = f"{why} of {source.name}, which was made from it, are in it, byte for byte"
    return Match(origin, "", "likely", why)


def _match(source: Source, version: Version, counts: Counts, layout: str | None) -> Match | None:
    if version.layout:
        if version.layout != layout:
            return None
        return Match(source, version.name, "likely", f"its lists have the form of {source.name}")
    if version.totals:
        totals = {split: sum(classes.values()) for split, classes in counts.items()}
        if any(totals.get(split) != n for split, n in version.totals.items()):
            return None
        return Match(source, version.name, "certain", "its splits hold " + _listed(version.totals))
    here = {**{s: _plain(c) for s, c in counts.items()}, "all": _together(counts)}
    wanted = {split: _plain(classes) for split, classes in version.counts.items()}
    shown = "; ".join(f"{split}: {_listed(classes)}" for split, classes in version.counts.items())
    if all(here.get(split) == classes for split, classes in wanted.items()):
        why = f"its classes hold as many images by name ({shown})"
        return Match(source, version.name, version.confidence, why)
    if version.names == "free" and all(
        sorted(here.get(split, {}).values()) == sorted(classes.values())
        for split, classes in wanted.items()
    ):
        lower = _ORDER[_ORDER.index(version.confidence) + 1]
        why = f"its classes hold as many images, under other names ({shown})"
        return Match(source, version.name, lower, why)
    return None


def _together(counts: Counts) -> dict[str, int]:
    total: Counter[str] = Counter()
    for classes in counts.values():
        total.update(_plain(classes))
    return dict(total)


def _plain(classes: Mapping[str, int]) -> dict[str, int]:
    return {re.sub(r"[\s_-]+", " ", name.casefold()).strip(): n for name, n in classes.items()}


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in numbers.items())
