"""The label tree: nested labels, and the decisions that lead to a class.

``normal, infected(covid, non-covid)`` has three leaves, the *classes*, and two inner nodes, the
*decisions*: ``root`` (normal | infected) and ``infected`` (covid | non-covid). Two strategies
follow from any tree: ``flat`` (one network over all classes) and ``cascade`` (one network per
decision). Two rules turn probabilities into a class: ``route`` (the best option at each decision,
from the root down) and ``argmax`` (the most probable leaf).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from hilum.errors import LabelError, nearest
from hilum.records import FloatArray, IntArray

Strategy = Literal["flat", "cascade"]
Rule = Literal["route", "argmax"]

ROOT = "root"
FLAT = "flat"

#: Names for "nothing found", which come first unless the user orders the labels.
NEGATIVE_NAMES = frozenset(
    {"normal", "negative", "healthy", "none", "control", "controls", "clear", "no finding",
     "no findings", "nofinding", "nofindings"}
)  # fmt: skip

_SPECIAL = re.compile(r"[(),]")


@dataclass(frozen=True, slots=True)
class Node:
    """A label, in composed form (NFC), and the labels below it; a leaf has none."""

    name: str
    children: tuple["Node", ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", unicodedata.normalize("NFC", self.name))


@dataclass(frozen=True, slots=True)
class Decision:
    """A choice between options, made by one network.

    name: 'root', the label that it divides, or 'flat' for the one decision over all classes.
    options: what it chooses between. members: for each option the class indices below it.
    """

    name: str
    options: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    def targets(self, labels: IntArray) -> IntArray:
        """Which option each class index belongs to: (N,) indices, -1 where it belongs to none."""
        table = {c: i for i, classes in enumerate(self.members) for c in classes}
        return np.array([table.get(int(label), -1) for label in labels], dtype=np.int64)


@dataclass(frozen=True)
class LabelTree:
    """An ordered tree of labels. Immutable; equal trees have equal names in equal order.

    Args:
        children: The options at the root, at least two.

    Raises:
        LabelError: A name is empty or repeated, or holds a comma, a parenthesis or a slash; or a
            decision has one option.
    """

    children: tuple[Node, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()

        def check(parent: str, nodes: tuple[Node, ...]) -> None:
            if len(nodes) < 2:
                found = f"only '{nodes[0].name}'" if nodes else "none"
                raise LabelError(
                    f"The decision '{parent}' needs at least two labels; found {found}."
                )
            for node in nodes:
                if not node.name.strip() or node.name != node.name.strip():
                    raise LabelError(f"Empty label, or blanks around it, below '{parent}'.")
                if _SPECIAL.search(node.name) or "/" in node.name or "\\" in node.name:
                    raise LabelError(f"The label '{node.name}' may not hold ( ) , / or \\.")
                if node.name == ROOT:
                    raise LabelError("No label may be called 'root': the first decision is.")
                if node.name in seen:
                    raise LabelError(f"The label '{node.name}' stands twice in the tree.")
                seen.add(node.name)
                if node.children:
                    check(node.name, node.children)

        check(ROOT, self.children)

    # ---- making one ------------------------------------------------------------------------

    @classmethod
    def from_text(cls, text: str) -> "LabelTree":
        """Parse a line; the order is kept.

        Args:
            text: Such as ``normal, infected(covid, non-covid)``.

        Raises:
            LabelError: The line is no tree.
        """
        tokens = [t.strip() for t in re.split(r"([(),])", text)]
        tokens = [t for t in tokens if t]
        position = 0

        def parse(depth: int) -> tuple[Node, ...]:
            nonlocal position
            nodes: list[Node] = []
            while True:
                if position >= len(tokens) or tokens[position] in "(),":
                    got = tokens[position] if position < len(tokens) else "the end"
                    raise LabelError(f"Expected a label but found {got} in: {text}")
                name = tokens[position]
                position += 1
                below: tuple[Node, ...] = ()
                if position < len(tokens) and tokens[position] == "(":
                    position += 1
                    below = parse(depth + 1)
                nodes.append(Node(name, below))
                end = tokens[position] if position < len(tokens) else ""
                position += 1
                if end == ",":
                    continue
                if end == ")" and depth > 0:
                    return tuple(nodes)
                if end == "" and depth == 0:
                    return tuple(nodes)
                raise LabelError(
                    f"Unbalanced or misplaced parentheses in: {text}. "
                    "Write for example: normal, infected(covid, non-covid)"
                )

        return cls(parse(0))

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

        def node(item: Any) -> Node:
            if isinstance(item, str):
                return Node(item)
            if isinstance(item, dict) and len(item) == 1:
                ((name, below),) = item.items()
                if isinstance(name, str) and isinstance(below, list) and below:
                    return Node(name, tuple(node(b) for b in below))
            raise LabelError(f"Not a label tree: {item!r}")

        if not isinstance(data, list):
            raise LabelError(f"Not a label tree: {data!r}")
        return cls(tuple(node(item) for item in data))

    # ---- writing it down -------------------------------------------------------------------

    def to_text(self) -> str:
        """One line that from_text reads back to an equal tree."""

        def text(nodes: tuple[Node, ...]) -> str:
            return ", ".join(
                n.name + (f"({text(n.children)})" if n.children else "") for n in nodes
            )

        return text(self.children)

    def to_json(self) -> list[Any]:
        """Nested lists: ["normal", {"infected": ["covid", "non-covid"]}]."""

        def item(node: Node) -> Any:
            return {node.name: [item(c) for c in node.children]} if node.children else node.name

        return [item(n) for n in self.children]

    def __str__(self) -> str:
        return self.to_text()

    # ---- reading it ------------------------------------------------------------------------

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """For each class, in order, the labels that lead to it: ("infected", "covid")."""

        def walk(prefix: tuple[str, ...], nodes: tuple[Node, ...]) -> list[tuple[str, ...]]:
            found: list[tuple[str, ...]] = []
            for node in nodes:
                path = (*prefix, node.name)
                found += walk(path, node.children) if node.children else [path]
            return found

        return tuple(walk((), self.children))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The leaves, in order."""
        return tuple(path[-1] for path in self.paths)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The inner nodes, parents before children: what a cascade has one network each for."""
        found: list[Decision] = []

        def walk(name: str, prefix: tuple[str, ...], nodes: tuple[Node, ...]) -> None:
            members = tuple(
                tuple(
                    i for i, p in enumerate(self.paths) if p[: len(prefix) + 1] == (*prefix, n.name)
                )
                for n in nodes
            )
            found.append(Decision(name, tuple(n.name for n in nodes), members))
            for node in nodes:
                if node.children:
                    walk(node.name, (*prefix, node.name), node.children)

        walk(ROOT, (), self.children)
        return tuple(found)

    @cached_property
    def options(self) -> dict[str, tuple[str, ...]]:
        """The options of each decision, by its name."""
        return {decision.name: decision.options for decision in self.decisions}

    @cached_property
    def flat(self) -> Decision:
        """The one decision of the flat strategy, over all classes."""
        return Decision(FLAT, self.classes, tuple((i,) for i in range(len(self.classes))))

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
        return (self.flat,) if strategy == "flat" else self.decisions

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


def parse_rule(text: str) -> Rule:
    """A rule by its name. Raises LabelError for another text."""
    if text not in ("route", "argmax"):
        raise LabelError(f"There is no rule '{text}': use 'route' or 'argmax'.")
    return text  # type: ignore[return-value]


def natural_order(name: str) -> tuple[bool, str, str]:
    """Sort key of labels: a name for "nothing found" first, then alphabetically."""
    plain = re.sub(r"[\s_-]+", " ", name.casefold()).strip()
    return (plain not in NEGATIVE_NAMES, name.casefold(), name)
