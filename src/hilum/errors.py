"""What Hilum raises when it refuses.

Every message is one sentence (or a short list) for the person at the keyboard: it names the
file or the key, what was found, what was expected, and what to do. The command line prints it
without a traceback and exits with code 2.
"""

import difflib
import re
from collections.abc import Iterable, Sequence


class HilumError(Exception):
    """Base of everything that Hilum refuses to do. Its text is meant for people.

    told: whether another process of the same training says it already.
    """

    told = False


class LabelError(HilumError):
    """Labels that do not form a tree, or that are not in it."""


class DataError(HilumError):
    """Radiographs that are missing, cannot be read, or lie in folders that make no sense."""


class RecipeError(HilumError):
    """Settings that do not exist, are out of range, or do not fit the labels."""


class TrainingError(HilumError):
    """A training run that cannot start, go on or be resumed."""


class Interrupted(HilumError):  # noqa: N818 - it is not an error
    """Training was asked to stop, and did so with a checkpoint. Its text says how to go on."""


class Pruned(HilumError):  # noqa: N818 - it is not an error
    """Training was ended on purpose by whoever watches its epochs: it fell behind others."""


class ClassifierError(HilumError):
    """A classifier folder or a weights file that is damaged, foreign or does not fit."""


class EvaluationError(HilumError):
    """A measure that was asked of data it cannot be computed from."""


class ClusterError(HilumError):
    """A cluster that cannot be reached, has no room, or whose workers would do otherwise."""


class StudyError(HilumError):
    """A study whose variants make no comparison, or whose data changed on the way."""


#: A hint lists this many names; of more, as a package's networks are, a few.
_MOST_LISTED = 50


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint that ends a refusal: ' Did you mean X?' or ' Known: a, b, c.'

    name: what was given: misspelt, or short for one of them ('lr', 'batch', 'opt'), or no text.
    known: what would have been right; may be empty.
    """
    name, known = str(name), list(known)
    plain = {k.lower(): k for k in reversed(known)}
    close = difflib.get_close_matches(name.lower(), plain, n=1, cutoff=0.6)
    close = close or [k for k in plain if _is_short(name.lower(), k)]
    if len(close) == 1:
        return f" Did you mean '{plain[close[0]]}'?"
    listed = ", ".join(known) if len(known) <= _MOST_LISTED else examples(known)
    return f" Known: {listed}." if known else ""


def _is_short(name: str, word: str) -> bool:
    """Whether a name is a word's beginning, or the initials or one part of a compound."""
    parts = re.split(r"[_ .-]+", word)
    return len(name) > 1 and (
        word.startswith(name) or name in parts or name == "".join(part[:1] for part in parts)
    )


def plural(n: int, noun: str) -> str:
    """'1 image', '1,234 images'."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def in_short(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


#: How many things of a kind a message names; the rest it counts.
EXAMPLES = 5


def in_lines(lines: Iterable[str], most: int = EXAMPLES) -> str:
    """Lines that end a refusal, each on its own; of more than `most` the first ones."""
    lines = list(lines)
    more = [f"… and {len(lines) - most:,} more"] if len(lines) > most else []
    return "".join(f"\n  {line}" for line in [*lines[:most], *more])


def examples(names: Sequence[str]) -> str:
    """Names within a sentence, of many the first ones: 'a, b, c, d, e and 7 more'."""
    more = f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


class Problems:
    """What is wrong with a file or folder, gathered by kind, to be refused in one answer.

    where: what the refusal begins with.
    """

    def __init__(self, where: object) -> None:
        self._where = where
        self._found: dict[tuple[str, str, str], list[str]] = {}

    def add(self, what: str, advice: str, example: str, *, noun: str = "row") -> None:
        """Note one more of a kind: '3 rows WHAT; ADVICE:' and the examples below it."""
        self._found.setdefault((noun, what, advice), []).append(example)

    def check(self) -> None:
        """Raises DataError with all kinds, of each the number and a few examples."""
        if self._found:
            kinds = [
                f"{plural(len(found), noun)} {what}; {advice}:{in_lines(found)}"
                for (noun, what, advice), found in self._found.items()
            ]
            raise DataError(f"{self._where}: " + "\n".join(kinds))
