"""Values written as JSON and read again."""

import json

from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError


def again(value):
    """What is read of a value that was written."""
    plain = json.loads(json.dumps(to_plain(value), allow_nan=False))
    return from_plain(type(value), plain, what="it", error=EvaluationError)
