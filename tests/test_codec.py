"""Results as plain values and back, and what is said of those that are damaged."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from hilum.codec import from_plain, read_plain, to_plain, write_plain
from hilum.errors import EvaluationError, LabelError, StudyError
from hilum.records import (
    NO_ATTRIBUTES,
    Attributes,
    BoolArray,
    Estimate,
    FloatArray,
    IntArray,
    PixelArray,
    Record,
)


@dataclass(frozen=True, slots=True)
class Part:
    n: int
    share: float | None = None
    rows: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    FORMAT: ClassVar[int] = 3
    DERIVED: ClassVar[tuple[str, ...]] = ("sentence", "total")

    name: str
    kind: Literal["proba", "label"]
    part: Part | None
    parts: Mapping[str, Part]
    found: Estimate
    folder: Path = Path("x")
    png: bytes = b""
    sure: bool = True
    about: dict[str, Any] = field(default_factory=dict)
    pair: tuple[int, str] = (0, "")

    def sentence(self) -> str:
        return f"{self.name}: {self.total.in_words()}."

    @property
    def total(self) -> Estimate:
        return Estimate.undefined("none", len(self.parts))


@dataclass(frozen=True, slots=True)
class Swapped:
    """Written as {"rows": [[name, n], …]}."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    def to_plain(self) -> dict[str, Any]:
        return {"rows": list(zip(self.names, self.counts, strict=True))}

    @classmethod
    def from_plain(cls, data: Any) -> Any:
        names, counts = zip(*data["rows"], strict=True)
        return {"names": names, "counts": counts}


@dataclass(frozen=True, slots=True)
class Holder:
    wholes: tuple[Whole, ...] = ()
    swapped: Swapped | None = None
    below: tuple["Holder", ...] = ()


@dataclass(frozen=True)
class Checked:
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise LabelError("n is below 0.")


WHOLE = Whole("a", "label", None, MappingProxyType({"k": Part(2, 0.5, ((1, 2), ()))}), Estimate(1))
PLAIN = {
    "format": 3,
    "name": "a",
    "kind": "label",
    "part": None,
    "parts": {"k": {"n": 2, "share": 0.5, "rows": [[1, 2], []]}},
    "found": {"value": 1, "low": None, "high": None, "n": 0, "method": ""},
    "folder": "x",
    "png": "",
    "sure": True,
    "about": {},
    "pair": [0, ""],
    "sentence": "a: undefined (none).",
    "total": {"value": None, "reason": "none", "n": 1},
}


def read(kind: Any, data: Any, what: str = "a whole") -> Any:
    return from_plain(kind, data, what=what, error=EvaluationError)


def test_a_dataclass_is_written_in_the_order_of_its_fields() -> None:
    plain = to_plain(WHOLE)

    assert plain == PLAIN
    assert list(plain) == list(PLAIN)
    assert json.loads(json.dumps(plain)) == plain


def test_what_was_written_is_read_back() -> None:
    assert read(Whole, PLAIN) == WHOLE
    assert read(dict[str, Whole], to_plain({"a": WHOLE})) == {"a": WHOLE}


@pytest.mark.parametrize(
    "value",
    [
        Estimate(0.5, 0.25, 0.75, 8, "wilson"),
        Estimate(0.5, n=8, reason="no interval"),
        Estimate.undefined("no image", 3),
        Estimate(None),
    ],
)
def test_estimates_come_back(value: Estimate) -> None:
    assert read(Estimate, to_plain(value)) == value


@pytest.mark.parametrize(
    ("estimate", "plain"),
    [
        (Estimate.undefined("no image", 3), {"value": None, "reason": "no image", "n": 3}),
        (
            Estimate(0.5, 0.25, 0.75, 8, "wilson"),
            {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8, "method": "wilson"},
        ),
        (
            Estimate(0.5, n=8, reason="why"),
            {"value": 0.5, "low": None, "high": None, "n": 8, "method": "", "reason": "why"},
        ),
    ],
)
def test_estimates_are_short(estimate: Estimate, plain: dict[str, Any]) -> None:
    assert to_plain({"deep": [estimate]}) == {"deep": [plain]}


def test_a_record_comes_back() -> None:
    record = Record(
        Path("/a/b.png"), "b\udce9.png", "test", 1, attributes=Attributes({"view": "PA"})
    )

    plain = to_plain(record)

    assert plain["path"] == "/a/b.png"
    assert plain["attributes"] == {"view": "PA"}
    assert read(Record, plain) == record
    assert read(Record, {**plain, "attributes": {}}).attributes == NO_ATTRIBUTES


@dataclass(frozen=True)
class Arrays:
    f: FloatArray
    i: IntArray
    p: PixelArray
    b: BoolArray


def test_arrays_come_back_with_their_kind() -> None:
    arrays = Arrays(
        np.array([[0.5, 1.0]]), np.array([3, -4]), np.array([255], np.uint8), np.array([True])
    )

    plain = to_plain(arrays)
    back = read(Arrays, plain)

    assert plain == {"f": [[0.5, 1.0]], "i": [3, -4], "p": [255], "b": [True]}
    for name in ("f", "i", "p", "b"):
        np.testing.assert_array_equal(getattr(back, name), getattr(arrays, name), strict=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"f": [[1.0], [1.0, 2.0]]}, "'f' should be an array of finite numbers"),
        ({"f": ["1"]}, "'f' should be an array of finite numbers"),
        ({"f": [math.nan]}, "'f' should be an array of finite numbers"),
        ({"f": 1.0}, "'f' should be an array of finite numbers"),
        ({"f": [10**400]}, "'f' should be an array of finite numbers"),
        ({"i": [1.0]}, "'i' should be an array of whole numbers"),
        ({"i": [True]}, "'i' should be an array of whole numbers"),
        ({"i": [2**63]}, "'i' should be an array of whole numbers"),
        ({"p": [256]}, "'p' should be an array of whole numbers from 0 to 255"),
        ({"b": [1]}, "'b' should be an array of true and false"),
    ],
)
def test_arrays_of_another_kind_are_refused(change: dict[str, Any], expected: str) -> None:
    plain = {"f": [0.5], "i": [1], "p": [1], "b": [True], **change}

    with pytest.raises(EvaluationError, match=expected):
        read(Arrays, plain)


def test_numbers_of_numpy_are_plain() -> None:
    plain = to_plain([np.float64(0.5), np.int64(3), np.bool_(True), np.float32(0.5), np.str_("a")])

    assert json.dumps(plain) == '[0.5, 3, true, 0.5, "a"]'


@pytest.mark.parametrize("value", [{1: 2}, {"a": {3}}, object(), 1j])
def test_what_has_no_plain_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no plain form"):
        to_plain(value)


def test_a_class_may_have_a_form_of_its_own() -> None:
    holder = Holder(swapped=Swapped(("a", "b"), (1, 2)))

    plain = to_plain(holder)

    assert plain["swapped"] == {"rows": [["a", 1], ["b", 2]]}
    assert read(Holder, plain) == holder


@pytest.mark.parametrize(
    ("swapped", "sentence"),
    [
        ({"rows": [[1, 2]]}, "'swapped.names.0' should be text, but is 1."),
        ({"rows": 3}, "'swapped' should be of another form, but is an object."),
        ({}, "'swapped' should be of another form, but is an object."),
        ([], "'swapped' should be of another form, but is a list."),
    ],
)
def test_a_form_of_its_own_is_refused_like_others(swapped: Any, sentence: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        read(Holder, {"swapped": swapped})

    assert str(refusal.value) == f"Not a whole: it holds a value of the wrong kind: {sentence}"


def test_keys_that_are_no_fields_are_passed_over() -> None:
    assert read(Part, {"n": 1, "later": []}) == Part(1)


def test_a_field_with_a_default_may_be_missing() -> None:
    assert read(Part, {"n": 1}) == Part(1, None, ())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": 1}, "'name' should be text, but is 1"),
        ({"name": None}, "'name' should be text, but is null"),
        ({"kind": "prob"}, "'kind' should be 'proba' or 'label', but is 'prob'"),
        ({"kind": []}, "'kind' should be 'proba' or 'label', but is a list"),
        ({"part": 3}, "'part' should be an object, but is 3"),
        ({"part": {"n": "1"}}, "'part.n' should be a whole number, but is '1'"),
        ({"part": {"n": 1.0}}, "'part.n' should be a whole number, but is 1.0"),
        ({"part": {"n": 1.5}}, "'part.n' should be a whole number, but is 1.5"),
        ({"part": {"n": True}}, "'part.n' should be a whole number, but is true"),
        ({"part": {"n": 1, "share": "1"}}, "'part.share' should be a number, but is '1'"),
        ({"part": {"n": 1, "share": True}}, "'part.share' should be a number, but is true"),
        (
            {"part": {"n": 1, "share": math.nan}},
            "'part.share' should be a finite number, but is nan",
        ),
        (
            {"part": {"n": 1, "share": math.inf}},
            "'part.share' should be a finite number, but is inf",
        ),
        ({"part": {"n": 1, "rows": [[1], 2]}}, "'part.rows.1' should be a list, but is 2"),
        ({"part": {"n": 1, "rows": {}}}, "'part.rows' should be a list, but is an object"),
        (
            {"part": {"n": 1, "rows": [["a"]]}},
            "'part.rows.0.0' should be a whole number, but is 'a'",
        ),
        ({"parts": []}, "'parts' should be an object, but is a list"),
        ({"parts": {"k": {"n": []}}}, "'parts.k.n' should be a whole number, but is a list"),
        ({"parts": {3: {"n": 1}}}, "'parts.3' should be text, but is 3"),
        ({"found": 0.8}, "'found' should be an object, but is 0.8"),
        ({"folder": 3}, "'folder' should be a path, but is 3"),
        ({"png": "é"}, "'png' should be bytes in Base64, but is 'é'"),
        ({"png": 3}, "'png' should be text, but is 3"),
        ({"sure": 1}, "'sure' should be true or false, but is 1"),
        ({"about": "x"}, "'about' should be an object, but is 'x'"),
        ({"pair": [1, "a", 2]}, "'pair' should be a list of 2, but is a list"),
    ],
)
def test_nothing_is_converted(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        read(Whole, {**PLAIN, **change})

    assert str(refusal.value) == f"Not a whole: it holds a value of the wrong kind: {sentence}."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"format": 3, "name": "a"}, "Not a whole: it lacks the key 'kind'."),
        ({**PLAIN, "found": {}}, "Not a whole: it lacks the key 'found.value'."),
        ({**PLAIN, "pair": [1]}, "Not a whole: it lacks the key 'pair.1'."),
        ({"name": "a"}, "Not a whole in format 3."),
        ({**PLAIN, "format": 4}, "Not a whole in format 3."),
        ([], "Not a whole in format 3."),
        (None, "Not a whole in format 3."),
    ],
)
def test_what_is_missing_or_foreign_is_named(data: Any, sentence: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        read(Whole, data)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "Not a holder: it should be an object, but is a list."),
        (
            "x" * 1000,
            "Not a holder: it should be an object, but is 'xxxxxxxxxxxx...xxxxxxxxxxxxx'.",
        ),
        ({"wholes": [PLAIN, {}]}, "Not a holder: 'wholes.1' is not in format 3."),
    ],
)
def test_a_wrong_beginning_is_named(data: Any, sentence: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        read(Holder, data, "a holder")

    assert str(refusal.value) == sentence


def test_values_nested_too_deep_are_refused() -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"below": [data]}

    with pytest.raises(EvaluationError, match=r"^Not a holder: it is nested too deep\.$"):
        read(Holder, data, "a holder")


def test_a_class_that_refuses_its_values_is_heard() -> None:
    with pytest.raises(StudyError, match=r"^Not a count: n is below 0\.$"):
        from_plain(Checked, {"n": -1}, what="a count", error=StudyError)


def test_a_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "whole.json"

    write_plain(path, WHOLE, error=EvaluationError, indent=2)

    assert path.read_text() == json.dumps(PLAIN, indent=2) + "\n"
    assert read_plain(path, Whole, what="a whole", error=EvaluationError) == WHOLE


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "part.json"
    path.write_bytes(b'\xef\xbb\xbf{"n": 1}')

    assert read_plain(path, Part, what="a part", error=EvaluationError) == Part(1)


def test_names_that_are_not_utf8_come_back(tmp_path: Path) -> None:
    path = tmp_path / "names.json"

    write_plain(path, ["\udce9"], error=EvaluationError, errors="surrogateescape")

    assert path.read_bytes() == b'["\xe9"]\n'
    names = read_plain(
        path, tuple[str, ...], what="a list", error=EvaluationError, errors="surrogateescape"
    )
    assert names == ("\udce9",)
    with pytest.raises(EvaluationError, match="is not UTF-8: "):
        read_plain(path, tuple[str, ...], what="a list", error=EvaluationError)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "{} is not valid JSON: Expecting value"),
        (b"{", "{} is not valid JSON: "),
        (b"\xff\xfe{\0}\0", "{} is not UTF-8: "),
        (b"[" * 100_000, "{} is nested too deep to be read as JSON."),
        (b'{"n": 1' + b"0" * 5000 + b"}", "{} is not valid JSON: Exceeds the limit"),
        (b'{"n": NaN}', "Cannot read {}: Not a part: it holds a value of the wrong kind: 'n'"),
        (b'{"n": 1, "share": 1e999}', "Cannot read {}: Not a part: it holds a value of the wrong"),
        (b"[]", "Cannot read {}: Not a part: it should be an object, but is a list."),
        (b'{"m": 1}', "Cannot read {}: Not a part: it lacks the key 'n'."),
    ],
)
def test_damaged_files_are_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "part.json"
    path.write_bytes(content)

    with pytest.raises(StudyError) as refusal:
        read_plain(path, Part, what="a part", error=StudyError)

    assert str(refusal.value).startswith(sentence.format(path))


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"^Cannot read .*none\.json: No such file"):
        read_plain(tmp_path / "none.json", Part, what="a part", error=StudyError)
    with pytest.raises(StudyError, match=r"^Cannot read .*: Is a directory\.$"):
        read_plain(tmp_path, Part, what="a part", error=StudyError)
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"^Cannot write .*part\.json: "):
        write_plain(tmp_path / "file" / "part.json", Part(1), error=StudyError)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.json"
    with path.open("wb") as file:
        file.truncate(2**30 + 1)  # a hole, which takes no room on the disk

    with pytest.raises(StudyError, match=r"part\.json: it has more than 1 GiB\.$"):
        read_plain(path, Part, what="a part", error=StudyError)


def test_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_plain(tmp_path / "part.json", Part(1, math.nan), error=StudyError)

    assert list(tmp_path.iterdir()) == []


def test_the_records_do_not_load_pydantic() -> None:
    code = "import sys, hilum.records\nprint([m for m in sys.modules if 'pydantic' in m])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
