"""The validation capsule: a classifier goes to another hospital, and only aggregates come back.

`make` packs one, `run` measures it there, `signing` signs what came out, `read` shows it at home.
"""

__all__ = ["aggregate", "archive", "make", "ranges", "read", "result", "run", "signing"]
