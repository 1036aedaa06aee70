"""Which views of a table are read: frontal ones, of which a classifier of radiographs is made."""

import re
from collections import Counter

from hilum.errors import plural
from hilum.radiographs.layouts.listing import LeftOut

#: 'PA', 'AP Supine', 'AP_horizontal', 'Frontal'; not 'APL' or 'L'.
_FRONTAL = re.compile(r"(pa|ap|aps|frontal)(?![a-z])", re.IGNORECASE)


class Views:
    """Takes frontal views, and those that are not told, and keeps account of the others.

    untold: whether views that are not told are taken.
    """

    def __init__(self, *, untold: bool = True) -> None:
        self._untold = untold
        self._others: list[tuple[str, str]] = []

    def takes(self, view: str, name: str) -> bool:
        """Whether an image of this view is read; name: what it is called if it is not."""
        taken = _FRONTAL.match(view) is not None if view else self._untold
        if not taken:
            self._others.append((view, name))
        return taken

    def left_out(self) -> tuple[LeftOut, ...]:
        """The others, in one note that counts them by view."""
        if not self._others:
            return ()
        kinds = Counter(view or "not told" for view, _ in self._others)
        shown = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
        note = (
            f"{plural(len(self._others), 'other view')} left out ({shown}): frontal ones are read."
        )
        return (LeftOut(note, tuple(name for _, name in self._others)),)
