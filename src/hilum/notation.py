"""How a label tree is written: in one line, and as nested lists for JSON.

``normal, infected(covid, non-covid){effusion}``: parentheses hold what excludes each other, braces
the findings beside it. Braces that stand alone are the findings of the root.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from hilum.errors import LabelError

_BRACKETS = re.compile(r"([(){},])")
#: So deep may choices stand within each other.
DEEPEST = 32

_BRACES = "{}"  # the key of findings in JSON; no label is called so

EXAMPLE = "Write for example: normal, infected(covid, non-covid)"


@dataclass(frozen=True, slots=True)
class Node:
    """A label, in composed form (NFC), and what is below it; a leaf has nothing.

    children: the options of its choice, of which exactly one holds. findings: what may be present
    beside, any number of them.
    """

    name: str
    children: tuple["Node", ...] = ()
    findings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", unicodedata.normalize("NFC", self.name))
        composed = tuple(unicodedata.normalize("NFC", name) for name in self.findings)
        object.__setattr__(self, "findings", composed)


def parse_line(text: str) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The options and the findings of the root, from one line. Raises LabelError."""
    tokens = [token for part in _BRACKETS.split(text) if (token := part.strip())]
    position = 0

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1] if position <= len(tokens) else ""

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def label() -> str:
        found = take()
        if not found or _BRACKETS.fullmatch(found):
            raise LabelError(f"Expected a label but found {found or 'the end'} in: {text}")
        return found

    def findings() -> tuple[str, ...]:
        """What stands behind an opening brace."""
        names = [label()]
        while (end := take()) == ",":
            names.append(label())
        if end == "(":
            raise LabelError(
                f"The finding '{names[-1]}' is divided further in: {text}. A finding is present or "
                "absent; a choice cannot stand within findings."
            )
        if end != "}":
            raise _unbalanced(text)
        return tuple(names)

    def items(closing: str, depth: int = 1) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        if depth > DEEPEST:
            raise _too_deep()
        nodes: list[Node] = []
        beside: tuple[str, ...] = ()
        while True:
            if not closing and peek() == "{":
                take()
                if beside:
                    raise LabelError(f"Findings of the root stand twice in: {text}")
                beside = findings()
            else:
                name = label()
                below: tuple[Node, ...] = ()
                of: tuple[str, ...] = ()
                if peek() == "(":
                    take()
                    below, _ = items(")", depth + 1)
                if peek() == "{":
                    take()
                    of = findings()
                nodes.append(Node(name, below, of))
            end = take()
            if end == closing:
                return tuple(nodes), beside
            if end != ",":
                raise _unbalanced(text)

    return items("")


def write_line(children: tuple[Node, ...], findings: tuple[str, ...]) -> str:
    """One line that parse_line reads back."""

    def braces(names: tuple[str, ...]) -> str:
        return "{" + ", ".join(names) + "}" if names else ""

    def text(nodes: tuple[Node, ...]) -> str:
        return ", ".join(
            n.name + (f"({text(n.children)})" if n.children else "") + braces(n.findings)
            for n in nodes
        )

    return ", ".join(part for part in (text(children), braces(findings)) if part)


def parse_lists(data: Any, depth: int = 1) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The inverse of write_lists. Raises LabelError."""
    if not isinstance(data, list):
        raise LabelError(f"Not a label tree: {data!r}")
    if depth > DEEPEST:
        raise _too_deep()
    nodes: list[Node] = []
    findings: tuple[str, ...] = ()
    for item in data:
        if isinstance(item, str):
            nodes.append(Node(item))
            continue
        name, below = next(iter(item.items())) if isinstance(item, dict) and item else ("", None)
        if not (isinstance(name, str) and isinstance(below, list) and below and len(item) == 1):
            raise LabelError(f"Not a label tree: {item!r}")
        if name != _BRACES:
            nodes.append(Node(name, *parse_lists(below, depth + 1)))
        elif findings or not all(isinstance(b, str) for b in below):
            raise LabelError(f"Not a label tree: {item!r}")
        else:
            findings = tuple(below)
    return tuple(nodes), findings


def write_lists(children: tuple[Node, ...], findings: tuple[str, ...]) -> list[Any]:
    """Nested lists: ["normal", {"infected": ["covid", "non-covid", {"{}": ["effusion"]}]}]."""

    def item(node: Node) -> Any:
        below = write_lists(node.children, node.findings)
        return {node.name: below} if below else node.name

    return [*map(item, children), *([{_BRACES: list(findings)}] if findings else [])]


def _too_deep() -> LabelError:
    return LabelError(f"Labels stand within each other more than {DEEPEST} deep. {EXAMPLE}")


def _unbalanced(text: str) -> LabelError:
    return LabelError(f"Unbalanced or misplaced parentheses in: {text}. {EXAMPLE}")
