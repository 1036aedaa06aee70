"""The label tree: nested labels, and the decisions that lead to a class.

``normal, infected(covid, non-covid)`` has three leaves, the *classes*, and two inner nodes, the
*decisions*: ``root`` (normal | infected) and ``infected`` (covid | non-covid). Two strategies
follow from any tree: ``flat`` (one network over all classes) and ``cascade`` (one network per
decision). Two rules turn probabilities into a class: ``route`` (the best option at each decision,
from the root down) and ``argmax`` (the most probable leaf).

Beside a choice, or instead of one, a node may have *findings*, each present or absent for itself:
``{effusion, mass}``, or ``normal, abnormal{effusion, mass}``, where they are asked for only of
what is abnormal. Where a tree has nothing but findings of the root, it has one class, ``root``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from hilum.decisions import FLAT, ROOT, Decision, Finding
from hilum.errors import LabelError, nearest
from hilum.notation import Node, parse_line, parse_lists, write_line, write_lists
from hilum.records import PRESENT, FloatArray, IntArray

Strategy = Literal["flat", "cascade"]
Rule = Literal["route", "argmax"]


#: Names for "nothing found", which come first unless the user orders the labels.
NEGATIVE_NAMES = frozenset(
    {"normal", "negative", "healthy", "none", "control", "controls", "clear", "no finding",
     "no findings", "nofinding", "nofindings"}
)  # fmt: skip

_SPECIAL = re.compile(r"[(){},/\\]")


@dataclass(frozen=True)
class LabelTree:
    """An ordered tree of labels. Immutable; equal trees have equal names in equal order.

    Args:
        children: The options at the root, at least two, or none where it has findings.
        own_findings: Those of the root.

    Raises:
        LabelError: A name is empty or repeated, or holds a comma, a bracket or a slash; a decision
            has one option; or a finding has a name for "nothing found".
    """

    children: tuple[Node, ...] = ()
    own_findings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()

        def check_name(name: str, parent: str) -> None:
            if not name.strip() or name != name.strip():
                raise LabelError(f"Empty label, or blanks around it, below '{parent}'.")
            if _SPECIAL.search(name):
                raise LabelError(f"The label '{name}' may not hold ( ) {{ }} , / or \\.")
            if name == ROOT:
                raise LabelError("No label may be called 'root': the first decision is.")
            if name in seen:
                raise LabelError(f"The label '{name}' stands twice in the tree.")
            seen.add(name)

        def check(parent: str, nodes: tuple[Node, ...], findings: tuple[str, ...]) -> None:
            if len(nodes) == 1 or not (nodes or findings):
                found = f"only '{nodes[0].name}'" if nodes else "none"
                raise LabelError(
                    f"The decision '{parent}' needs at least two labels; found {found}."
                )
            for node in nodes:
                check_name(node.name, parent)
                if node.children or node.findings:
                    check(node.name, node.children, node.findings)
            for name in findings:
                check_name(name, parent)
                if says_nothing_found(name):
                    raise LabelError(
                        f"'{name}' is no finding: an image of which none is present has nothing "
                        "found. Leave it out, and it is read so."
                    )
                if name == FLAT:
                    raise LabelError("No finding may be called 'flat': a decision is.")

        check(ROOT, self.children, self.own_findings)

    # ---- making one ------------------------------------------------------------------------

    @classmethod
    def from_text(cls, text: str) -> "LabelTree":
        """Parse a line; the order is kept.

        Args:
            text: Such as ``normal, infected(covid, non-covid)``.

        Raises:
            LabelError: The line is no tree.
        """
        return cls(*parse_line(text))

    @classmethod
    def from_paths(cls, paths: Iterable[Sequence[str]]) -> "LabelTree":
        """Build the tree from the labels that lead to each class.

        A name for "nothing found" comes first among its siblings, the rest alphabetically.

        Args:
            paths: Such as ``("infected", "covid")``.

        Raises:
            LabelError: A label both holds images and is divided further.
        """
        unique = sorted({tuple(p) for p in paths})
        for path in unique:
            for other in unique:
                if len(other) > len(path) and other[: len(path)] == path:
                    raise LabelError(
                        f"The label '{'/'.join(path)}' holds images of its own beside "
                        f"'{'/'.join(other)}': move them into one of its labels."
                    )

        def build(prefix: tuple[str, ...]) -> tuple[Node, ...]:
            depth = len(prefix)
            names = {p[depth] for p in unique if len(p) > depth and p[:depth] == prefix}
            return tuple(Node(n, build((*prefix, n))) for n in sorted(names, key=natural_order))

        return cls(build(()))

    @classmethod
    def from_json(cls, data: Any) -> "LabelTree":
        """The inverse of to_json.

        Args:
            data: Nested lists.

        Raises:
            LabelError: The data have another form.
        """
        return cls(*parse_lists(data))

    # ---- writing it down -------------------------------------------------------------------

    def to_text(self) -> str:
        """One line that from_text reads back to an equal tree."""
        return write_line(self.children, self.own_findings)

    def to_json(self) -> list[Any]:
        """Nested lists, such as ["normal", {"infected": ["covid", "non-covid"]}].

        Findings are one more entry, {"{}": ["effusion", "mass"]}.
        """
        return write_lists(self.children, self.own_findings)

    def __str__(self) -> str:
        return self.to_text()

    # ---- reading it ------------------------------------------------------------------------

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """For each class, in order, the labels that lead to it: ("infected", "covid").

        () of the class of a tree that has nothing but findings.
        """

        def walk(prefix: tuple[str, ...], nodes: tuple[Node, ...]) -> list[tuple[str, ...]]:
            found: list[tuple[str, ...]] = []
            for node in nodes:
                path = (*prefix, node.name)
                found += walk(path, node.children) if node.children else [path]
            return found

        return tuple(walk((), self.children)) or ((),)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The leaves, in order; 'root' alone where there is nothing to choose."""
        return tuple(path[-1] if path else ROOT for path in self.paths)

    @cached_property
    def _inner(self) -> tuple[Decision, ...]:
        """Everything that is decided, parents before children."""
        found: list[Decision] = []
        column = 0

        def below(path: tuple[str, ...]) -> tuple[int, ...]:
            return tuple(i for i, p in enumerate(self.paths) if p[: len(path)] == path)

        def walk(path: tuple[str, ...], nodes: tuple[Node, ...], names: tuple[str, ...]) -> None:
            nonlocal column
            name = path[-1] if path else ROOT
            findings = tuple(
                Finding(own, column + k, name, below(path)) for k, own in enumerate(names)
            )
            column += len(names)
            members = tuple(below((*path, n.name)) for n in nodes)
            found.append(Decision(name, tuple(n.name for n in nodes), members, findings))
            for node in nodes:
                if node.children or node.findings:
                    walk((*path, node.name), node.children, node.findings)

        walk((), self.children, self.own_findings)
        return tuple(found)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The choices, parents before children; none where a tree has nothing but findings."""
        return tuple(decision for decision in self._inner if decision.options)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of their columns."""
        return tuple(finding for decision in self._inner for finding in decision.findings)

    @cached_property
    def options(self) -> dict[str, tuple[str, ...]]:
        """The options of each decision, by its name."""
        return {decision.name: decision.options for decision in self.decisions}

    @cached_property
    def flat(self) -> Decision:
        """The one decision of the flat strategy, over all classes and findings."""
        options = self.classes if self.decisions else ()
        return Decision(FLAT, options, tuple((i,) for i in range(len(options))), self.findings)

    def networks(self, strategy: Strategy) -> tuple[Decision, ...]:
        """The decisions that get a network each under a strategy.

        Args:
            strategy: 'flat' or 'cascade'.

        Raises:
            LabelError: There is no such strategy.
        """
        if strategy not in get_args(Strategy):
            raise LabelError(
                f"There is no strategy '{strategy}'.{nearest(strategy, get_args(Strategy))}"
            )
        return (self.flat,) if strategy == "flat" else self._inner

    def class_index(self, name: str) -> int:
        """The index of a class.

        Args:
            name: Of the class.

        Raises:
            LabelError: There is no such class; the nearest is named.
        """
        if name not in self.classes:
            raise LabelError(f"There is no class '{name}'.{nearest(name, self.classes)}")
        return self.classes.index(name)

    def finding(self, name: str) -> Finding:
        """A finding by its name.

        Args:
            name: Of the finding.

        Raises:
            LabelError: There is no such finding; the nearest is named.
        """
        for finding in self.findings:
            if finding.name == name:
                return finding
        names = [finding.name for finding in self.findings]
        raise LabelError(f"There is no finding '{name}'.{nearest(name, names)}")

    def name_of(self, label: int, marks: Sequence[int] = ()) -> str:
        """What an image is said to show, in words: 'covid', 'abnormal, effusion', 'no finding'.

        Args:
            label: Its class index.
            marks: What is known of each finding.
        """
        present = [f.name for f in self.findings if marks and marks[f.index] == PRESENT]
        own = [self.classes[label]] if self.decisions else []
        return ", ".join([*own, *present]) or "no finding"

    def finding_truths(self, labels: IntArray, marks: IntArray) -> IntArray:
        """Whether images have each finding: (N, F) PRESENT, ABSENT, or below 0 where not known.

        Args:
            labels: (N,) class indices.
            marks: (N, F), as of Dataset.marks.
        """
        found = [finding.truth(labels, marks) for finding in self.findings]
        return np.stack(found, axis=1) if found else np.empty((len(labels), 0), dtype=np.int64)

    # ---- probabilities ---------------------------------------------------------------------

    def leaf_probs(self, decision_probs: Mapping[str, FloatArray]) -> FloatArray:
        """Class probabilities as products of the options' probabilities along each path.

        Args:
            decision_probs: For every decision by name (N, options), rows sum to 1.

        Returns:
            (N, C); rows sum to 1.
        """
        n = len(next(iter(decision_probs.values())))
        probs = np.ones((n, len(self.classes)), dtype=np.float64)
        for decision in self.decisions:
            options = np.asarray(decision_probs[decision.name], dtype=np.float64)
            for option, members in enumerate(decision.members):
                probs[:, members] *= options[:, option, None]
        return probs

    def finding_probs(self, probs: FloatArray, given: Mapping[str, FloatArray]) -> FloatArray:
        """The probability of each finding: that it is asked for, times that it is then present.

        Args:
            probs: (N, C) of the classes.
            given: Of each finding (N,), given that it is asked for.

        Returns:
            (N, F) in [0, 1], in the order of the findings.
        """
        found = np.ones((len(probs), len(self.findings)))
        for finding in self.findings:
            reached = probs[:, finding.classes].sum(axis=1)
            found[:, finding.index] = np.clip(reached, 0, 1) * given[finding.name]
        return found

    def decision_probs(self, leaf_probs: FloatArray) -> dict[str, FloatArray]:
        """The options' conditional probabilities that class probabilities imply.

        Args:
            leaf_probs: (N, C).

        Returns:
            (N, options) per decision. Where a decision is reached with probability 0 its options
            are given equal shares.
        """
        found: dict[str, FloatArray] = {}
        for decision in self.decisions:
            mass = np.stack([leaf_probs[:, m].sum(axis=1) for m in decision.members], axis=1)
            total = mass.sum(axis=1, keepdims=True)
            shares = np.full_like(mass, 1 / len(decision.options))
            found[decision.name] = np.divide(mass, total, out=shares, where=total > 0)
        return found

    def choose(self, decision_probs: Mapping[str, FloatArray], rule: Rule) -> IntArray:
        """Turn probabilities into classes. Ties go to the first.

        Args:
            decision_probs: (N, options) per decision.
            rule: 'route' takes the best option at each decision from the root down; 'argmax'
                takes the most probable leaf.

        Returns:
            (N,) class indices.

        Raises:
            LabelError: There is no such rule.
        """
        if rule == "argmax":
            return _first_largest(self.leaf_probs(decision_probs))
        if rule != "route":
            raise LabelError(f"There is no rule '{rule}'.{nearest(rule, get_args(Rule))}")
        best = {name: _first_largest(probs) for name, probs in decision_probs.items()}
        n = len(best[ROOT])
        alive = np.ones((n, len(self.classes)), dtype=bool)
        for decision in self.decisions:
            for option, members in enumerate(decision.members):
                alive[:, members] &= (best[decision.name] == option)[:, None]
        return _first_largest(alive)


def _first_largest(values: FloatArray | npt.NDArray[np.bool_]) -> IntArray:
    """The column of each row's largest value, the first of equals: (N, K) to (N,)."""
    columns: IntArray = np.asarray(values).argmax(axis=1).astype(np.int64)
    return columns


def says_nothing_found(name: str) -> bool:
    """Whether a label is a name for "nothing found", such as 'Normal' or 'No Finding'."""
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip() in NEGATIVE_NAMES


def parse_rule(text: str) -> Rule:
    """A rule by its name. Raises LabelError for another text."""
    if text not in ("route", "argmax"):
        raise LabelError(f"There is no rule '{text}': use 'route' or 'argmax'.")
    return text  # type: ignore[return-value]


def natural_order(name: str) -> tuple[bool, str, str]:
    """Sort key of labels: a name for "nothing found" first, then alphabetically."""
    return (not says_nothing_found(name), name.casefold(), name)
