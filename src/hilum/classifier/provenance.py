"""What a run says of itself, in its run.json and in the classifier that it made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hilum.codec import from_plain
from hilum.decisions import Doubt
from hilum.errors import HilumError


@dataclass(frozen=True)
class _Data:
    root: str | None = None
    name: str | None = None
    fingerprint: str | None = None
    synthetic: bool | None = None
    source: str | None = None
    layout: str | None = None
    split: dict[str, Any] | None = None
    counts: dict[str, dict[str, int]] | None = None


@dataclass(frozen=True)
class _Network:
    name: str | None = None
    parameters: int | None = None
    outputs: int | None = None


@dataclass(frozen=True)
class _Start:
    sha256: str


@dataclass(frozen=True)
class _Copies:
    groups: int
    names: list[str]


@dataclass(frozen=True)
class _Facts:
    """Every fact that something reads; some may be missing, none be of another kind.

    Lists may not be null, because what reads them goes through them.
    """

    name: str | None = None
    data: _Data | None = None
    labels: list[Any] | None = None
    strategy: Literal["flat", "cascade"] | None = None
    rule: str | None = None
    monitor: str | None = None
    monitored: dict[str, Any] | None = None
    allowed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    selects_best: list[str] = field(default_factory=list)
    copies: _Copies | None = None
    device: str | None = None
    precision: str | None = None
    versions: dict[str, str] | None = None
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None
    networks: dict[str, _Network] | None = None
    starts: dict[str, _Start] | None = None
    imported: dict[str, dict[str, Any]] | None = None
    calibration: dict[str, Any] | None = None
    gate: dict[str, Any] | None = None
    recipe: Doubt | None = None  # of a recipe what is read where the classifier is used


def doubt_of(provenance: dict[str, Any]) -> Doubt:
    """What a classifier's training took findings for that are not known, by its provenance."""
    recipe = provenance.get("recipe") or {}
    return Doubt(**{key: recipe[key] for key in ("uncertain", "unmentioned") if key in recipe})


def check_facts(facts: Any, path: Path, error: type[HilumError]) -> dict[str, Any]:
    """The facts, if what is read of them is of the kind that it should be.

    path: the file that holds them. Raises error.
    """
    try:
        from_plain(_Facts, facts, what="the facts of a run", error=error)
    except error as refusal:
        raise error(f"Cannot read {path}: {refusal}") from None
    checked: dict[str, Any] = facts
    return checked


def changed_starts(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The decisions whose networks would start from other weights, by the digests of the files."""
    old, new = (
        {name: start["sha256"][:16] for name, start in (side.get("starts") or {}).items()}
        for side in (then, now)
    )
    return [
        f"weights of '{name}': SHA-256 {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
