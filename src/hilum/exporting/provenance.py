"""What a classifier says of where it came from, made fit to be given away."""

import re
from typing import Any

#: An absolute path of two or more parts, of Unix or Windows; not the path of a web address.
_PATH = re.compile(
    r"(?<![\w.:/\\])(?:/[^/\s'\"]+)+/([^/\s'\"]+)/?|\b[A-Za-z]:\\(?:[^\\\s]+\\)*([^\\\s]+)"
)


def shareable(value: Any) -> Any:
    """A JSON value without the places of files on the machine where it was made.

    Of an absolute path in a text only its last part is kept, and the key 'root' is left out.
    """
    if isinstance(value, dict):
        return {key: shareable(item) for key, item in value.items() if key != "root"}
    if isinstance(value, list | tuple):
        return [shareable(item) for item in value]
    if isinstance(value, str):
        return _PATH.sub(lambda found: found[1] or found[2], value)
    return value
