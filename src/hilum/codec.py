"""Results as plain values, as JSON has them, and back: one way for every dataclass of Hilum.

A dataclass is written as an object of its fields, in their order. What a class may add:

- ``FORMAT: ClassVar[int]``: the number of its file format, which is written in front as "format"
  and asked for on reading;
- ``DERIVED: ClassVar[tuple[str, ...]]``: properties, and methods without arguments, that are
  written after the fields, for those who read the file without Hilum;
- a method ``to_plain``, where it is written otherwise, and a class method ``from_plain``, which
  makes of that form the object of the fields, or the value itself.

On reading nothing is converted: "1", 1.0 and true are no whole numbers. Keys that are no fields are
passed over, because derived values are among them. A field with a default may be missing.
"""

import base64
import json
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path, PurePath
from types import MethodType
from typing import Any, TypeVar, cast

import numpy as np
from pydantic import TypeAdapter
from pydantic_core import (
    ErrorDetails,
    PydanticCustomError,
    SchemaValidator,
    ValidationError,
    core_schema,
)

from hilum.errors import HilumError
from hilum.files import write_atomically
from hilum.parsing import read_json

T = TypeVar("T")

_AS_IT_IS = frozenset((type(None), bool, int, float, str))


def to_plain(value: Any) -> Any:
    """A value as dicts, lists, text, numbers, booleans and None; bytes become Base64.

    Raises TypeError for what has no such form.
    """
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if hasattr(kind, "to_plain"):
        return to_plain(value.to_plain())
    if is_dataclass(kind):
        return {key: to_plain(_get(value, name)) for key, name in _keys(kind)}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, PurePath | str):
        return str(value)
    raise TypeError(f"{kind.__name__} has no plain form.")


def from_plain(kind: type[T], data: Any, *, what: str, error: type[HilumError]) -> T:
    """The inverse of to_plain.

    kind: a dataclass, or a type such as one of its fields may have. what: the thing with its
    article, as in 'an evaluation'. Raises error, with the place and what was expected there.
    """
    try:
        value: T = _validator(cast(Any, kind)).validate_python(data)
    except ValidationError as damage:
        raise error(f"Not {what}{_in_words(damage.errors(include_url=False)[0])}.") from None
    except HilumError as refusal:  # of a class that checks its own values
        raise error(f"Not {what}: {refusal}") from None
    return value


def write_plain(
    path: Path,
    value: Any,
    *,
    error: type[HilumError],
    indent: int | None = None,
    errors: str = "strict",
) -> None:
    """Write a value as JSON. errors: what becomes of text that UTF-8 cannot hold.

    Raises error where the file cannot be written.
    """
    text = json.dumps(to_plain(value), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_atomically(path, text.encode("utf-8", errors))
    except OSError as failure:
        raise error(f"Cannot write {path}: {failure.strerror}.") from None


def read_plain(
    path: Path, kind: type[T], *, what: str, error: type[HilumError], errors: str = "strict"
) -> T:
    """Read what write_plain wrote. Raises error if it is missing, damaged or foreign."""
    data = read_json(path, error, errors=errors)
    try:
        return from_plain(kind, data, what=what, error=error)
    except error as refusal:
        raise error(f"Cannot read {path}: {refusal}") from None


@cache
def _keys(kind: type[Any]) -> tuple[tuple[str, str], ...]:
    """The keys of a dataclass as an object, each with the attribute that holds its value."""
    names = [*(field.name for field in fields(kind)), *getattr(kind, "DERIVED", ())]
    head = [("format", "FORMAT")] if hasattr(kind, "FORMAT") else []
    return (*head, *((name, name) for name in names))


def _get(value: Any, name: str) -> Any:
    found = getattr(value, name)
    return found() if isinstance(found, MethodType) else found


@cache
def _validator(kind: Any) -> SchemaValidator:
    return SchemaValidator(_strict(TypeAdapter(kind).core_schema))


def _strict(node: Any) -> Any:
    """A schema of pydantic in which a list may stand for a tuple, but no text for a number.

    Its own strict mode takes no lists for tuples, unless it reads the JSON itself, and then it
    takes no file names that are not UTF-8.
    """
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _strict(item) for key, item in node.items()}
    kind, cls = node.get("type"), node.get("cls")
    if kind in ("int", "str", "bool"):
        node["strict"] = True
    elif kind == "float":
        node |= {"strict": True, "allow_inf_nan": False}
    elif kind == "bytes":
        text = core_schema.str_schema(strict=True)
        return core_schema.no_info_after_validator_function(_from_base64, text)
    elif kind == "dataclass" and (hasattr(cls, "FORMAT") or hasattr(cls, "from_plain")):
        ref = node.pop("ref", None)
        return core_schema.no_info_before_validator_function(_opener(cls), node, ref=ref)
    return node


def _opener(kind: Any) -> Callable[[Any], Any]:
    """What is done with the data of a dataclass before its fields are read."""
    number = getattr(kind, "FORMAT", None)
    convert = getattr(kind, "from_plain", lambda data: data)

    def open_data(data: Any) -> Any:
        if number is not None and not (isinstance(data, dict) and data.get("format") == number):
            raise PydanticCustomError("format", "format", {"number": number})
        try:
            return convert(data)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise PydanticCustomError("form", "form") from None

    return open_data


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("bytes in Base64") from None


def _in_words(found: ErrorDetails) -> str:
    """What is wrong and where, as the end of a sentence."""
    place = ".".join(str(step) for step in found["loc"] if step != "[key]")
    context = found.get("ctx", {})
    if found["type"] == "missing":
        return f": it lacks the key '{place}'"
    if found["type"] == "format":
        return (f": '{place}' is not" if place else "") + f" in format {context['number']}"
    if found["type"] == "recursion_depth_exceeded":
        return ": it is nested too deep"
    expected = _EXPECTED.get(found["type"], "of another form").format_map(context)
    value = found["input"]
    shown = reprlib.repr(value)
    if isinstance(value, dict | list):
        shown = "an object" if isinstance(value, dict) else "a list"
    elif value is None or isinstance(value, bool):
        shown = json.dumps(value)
    if not place:
        return f": it should be {expected}, but is {shown}"
    return f": it holds a value of the wrong kind: '{place}' should be {expected}, but is {shown}"


#: What should have stood there, by pydantic's name for the error.
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "none_required": "null",
    "literal_error": "{expected}",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "too_long": "a list of {max_length}",
    "dict_type": "an object",
    "dataclass_type": "an object",
    "value_error": "{error}",
}
