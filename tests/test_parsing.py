"""JSON and TOML of strangers: read, or refused in a sentence and in bounded time."""

from pathlib import Path
from typing import Any

import pytest

from hilum.errors import RecipeError, StudyError
from hilum.parsing import DEEPEST_KEY, parse_toml, read_json, read_text, read_toml
from hilum.recipe import Recipe
from hilum.search.space import Space
from hilum.studies.study import Study


def test_what_is_sound_is_read_with_and_without_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(file, StudyError) == {"a": 1}
    file.write_bytes(b'\xef\xbb\xbfa.b = "x.y"\r\n')
    assert read_toml(file, StudyError) == {"a": {"b": "x.y"}}
    assert read_text(file, StudyError) == 'a.b = "x.y"\n'


@pytest.mark.parametrize("part", ["a", "a-b", '"a b"', "'.'", "1"])
def test_keys_have_a_bounded_number_of_parts(part: str) -> None:
    found: Any = parse_toml(f"{'.'.join([part] * DEEPEST_KEY)} = 1", "it", StudyError)
    for _ in range(DEEPEST_KEY):
        (found,) = found.values()
    assert found == 1
    for joint in (".", " . ", ".\t"):
        with pytest.raises(StudyError, match="more than 32 parts"):
            parse_toml(f"{joint.join([part] * (DEEPEST_KEY + 1))} = 1", "it", StudyError)


HOSTILE = (
    (b"a" + b".a" * 100_000 + b" = 1", "has a key of more than 32 parts"),
    (b"a = " + b"[" * 100_000, "nested too deep to be read as TOML"),
    (b"a = " + b"9" * 5000, "is not valid TOML: Exceeds the limit"),
    (b"\xff", "is not UTF-8: invalid start byte"),
    (b"#" * 2**19, "more than 256 KiB"),
)


@pytest.mark.parametrize(("content", "said"), HOSTILE)
@pytest.mark.parametrize("load", [Recipe.load, Study.load, Space.load])
def test_hostile_settings_are_refused(tmp_path: Path, load: Any, content: bytes, said: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises((RecipeError, StudyError), match=rf"settings\.toml.*{said}"):
        load(file)


def test_a_recipe_key_on_the_command_line_is_bounded_too() -> None:
    with pytest.raises(RecipeError, match="too many parts"):
        Recipe().override(["a" + ".a" * 100_000 + "=1"])
    with pytest.raises(RecipeError, match="nme is not a key"):
        Recipe().override(["nme=" + "[" * 100_000])
