"""What tables may say of an image besides its label, to see where a classifier fails.

Only these columns are read. So what identifies a patient (names, dates of birth, addresses) never
gets into a data set, whatever a table holds.
"""

from collections.abc import Mapping

from hilum.records import NO_ATTRIBUTES, Attributes

#: The names of attributes, and what their columns may be called (as tables.Roles).
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "view": ("view", "view position", "projection"),
    "age": ("age", "patient age"),
    "sex": ("sex", "gender", "patient sex", "patient gender"),
    "site": ("site", "hospital", "institution"),
    "manufacturer": ("manufacturer",),
}


def attributes_of(row: Mapping[str, str]) -> Attributes:
    """The attributes that a row of a table gives; an empty cell gives none."""
    cells = {name: row[name] for name in COLUMNS if row.get(name)}
    return Attributes(cells) if cells else NO_ATTRIBUTES
