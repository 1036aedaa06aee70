"""Hilum: from a folder of chest radiographs to a classifier that says how far it can be trusted.

The public names are loaded when they are first used, so that ``import hilum`` stays light. Which
they are, and where they are defined, stands in ``__init__.pyi``, which type checkers read too.
"""

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_MODULES = {name: module for module, name in re.findall(r"^from (\S+) import (\w+)", _STUB, re.M)}

__version__ = version("hilum")
__all__ = [*sorted(_MODULES), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    from hilum.errors import nearest

    raise AttributeError(f"module 'hilum' has no attribute '{name}'.{nearest(name, _MODULES)}")


def __dir__() -> list[str]:
    return list(__all__)
