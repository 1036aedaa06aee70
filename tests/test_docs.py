"""What the documentation says is true: recipe keys, commands, targets, links and the tree."""

import ast
import itertools
import re
import shlex
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

import annotated_types
import pytest
import typer
from pydantic.fields import FieldInfo

from hilum.cli import app
from hilum.recipe import (
    Recipe,
    recipe_names,
)
from hilum.settings import (
    AUGMENTATIONS,
    Augmentation,
    PreprocessingSettings,
    Settings,
    key_meanings,
)
from scripts.check_release import STEPS

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")),
                 *sorted((ROOT / "benchmarks").glob("*.md"))]
}  # fmt: skip
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false"}


# ---- recipe keys --------------------------------------------------------------------------------


def shown_type(field: FieldInfo) -> str:
    """A field's type and range, as docs/recipes.md writes it."""
    kind = field.annotation
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f'`"{value}"`' for value in typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        known = {list[float]: "list of numbers", dict[str, float]: "table of numbers"}
        texts = [known.get(t) or shown_type(FieldInfo(annotation=t)) for t in typing.get_args(kind)]
        return ", ".join(texts[:-1]) + f", or {texts[-1]}"
    if kind is Augmentation:
        return ", ".join(f'`"{word}"`' for word in AUGMENTATIONS) + ", or table"
    if kind is PreprocessingSettings:
        return "table"
    if kind == tuple[int, int]:
        return "two whole numbers"
    if typing.get_origin(kind) is dict:
        return "tables"
    assert kind in PLAIN, f"say how the documentation writes {kind}"
    bounds = []
    for bound in field.metadata:
        for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            if isinstance(bound, annotated_types.BaseMetadata) and hasattr(bound, attribute):
                bounds.append(f"{sign} {getattr(bound, attribute)}")
    return " ".join([PLAIN[kind], ", ".join(bounds)]).strip()


def shown_default(field: FieldInfo) -> str:
    """A field's default as TOML."""
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Augmentation):
        default = default.model_dump()
    if isinstance(default, PreprocessingSettings):
        default = default.model_dump(exclude_defaults=True)
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str):
        return f'`"{default}"`'
    return f"`{list(default) if isinstance(default, tuple) else default}`"


def table(name: str) -> dict[str, list[str]]:
    """The rows of a table of docs/recipes.md by their first cell, without its backquotes."""
    text = PAGES["docs/recipes.md"].split(f"<!-- {name} -->\n")[1].split("\n\n")[0]
    rows = [[c.strip() for c in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]
    return {row[0].strip(" `"): row[1:] for row in rows}


@pytest.mark.parametrize("name", ["run", "preprocessing", "decision", "augmentation"])
def test_every_recipe_key_is_documented(name: str) -> None:
    common = Settings.model_fields
    fields = {
        "run": {k: f for k, f in Recipe.model_fields.items() if k not in common},
        "decision": common,
        "augmentation": Augmentation.model_fields,
        "preprocessing": PreprocessingSettings.model_fields,
    }[name]

    rows = table(f"keys: {name}")

    assert list(rows) == list(fields)
    meanings = key_meanings(Recipe) | key_meanings(Settings)
    if name in ("augmentation", "preprocessing"):
        meanings = key_meanings({"augmentation": Augmentation}.get(name, PreprocessingSettings))
    for key, (kind, default, meaning) in rows.items():
        assert kind == shown_type(fields[key]), key
        assert default == shown_default(fields[key]), key
        assert meaning.endswith("."), key
        assert re.sub(r"\[(.*?)\]\(.*?\)", r"\1", meaning) == meanings[key], key


def test_every_built_in_recipe_is_documented() -> None:
    listed = [n for names in table("recipes") for n in re.split(r"[`, ]+", names) if n]

    assert sorted(listed) == list(recipe_names())


def test_the_example_recipe_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGES["docs/recipes.md"], re.DOTALL)
    file = tmp_path / "small-steps.toml"
    file.write_text(example, encoding="utf-8")

    recipe = Recipe.load(file)

    assert recipe.settings("infected").epochs == 10
    assert recipe.settings("root").learning_rate == 0.0005


# ---- commands -----------------------------------------------------------------------------------


def commands() -> list[tuple[str, str]]:
    """Every `hilum VERB …` in blocks and in running text, with its page."""
    found = []
    for page, text in PAGES.items():
        lines = re.findall(r"^(?:\$ )?(hilum [a-z].*)$", text, re.MULTILINE)
        lines += re.findall(r"`(hilum [a-z][^`]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
        found += [(page, line) for line in lines]
    return found


@pytest.mark.parametrize(("page", "least"), [("README.md", 6), ("docs/tour.md", 18)])
def test_readme_and_tour_show_commands(page: str, least: int) -> None:
    assert len({line for found, line in commands() if found == page}) >= least


def test_the_readme_is_two_screens() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 120


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_exist_with_their_options(page: str, line: str) -> None:
    group: Any = typer.main.get_command(app)
    verb, *words = shlex.split(line.removesuffix("…"))[1:]

    assert verb in group.commands, f"{page}: there is no verb '{verb}'"
    command = group.commands[verb]
    if hasattr(command, "commands"):  # of several steps, of which one may be named
        command = command.commands[words.pop(0)] if words else command
    known = {o for parameter in command.params for o in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert word in known, f"{page}: {verb} has no option {word}"
    required = [p for p in command.params if p.required and p.opts[0].startswith("--")]
    alone = ["--help", *(p.opts[0] for p in command.params if p.is_eager)]
    if words and words not in [[option] for option in alone]:
        assert {p.opts[0] for p in required} <= set(words), f"{page}: {line} lacks an option"


@pytest.mark.parametrize("verb", sorted(typer.main.get_command(app).commands))  # type: ignore[attr-defined]
def test_every_verb_has_help_with_an_example_and_is_in_the_tour(verb: str) -> None:
    group: Any = typer.main.get_command(app)

    assert f"hilum {verb}" in group.commands[verb].epilog
    assert group.commands[verb].help
    assert any(page == "docs/tour.md" and line.split()[1] == verb for page, line in commands()), (
        f"docs/tour.md shows no command with {verb}"
    )


def test_recipes_named_in_commands_exist() -> None:
    for page, line in commands():
        words = shlex.split(line)
        for option, value in itertools.pairwise(words):
            if option == "--recipe" and not value.endswith(".toml"):
                assert value in recipe_names(), f"{page}: {line}"
            if option == "--set":
                Recipe().override([value])


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    listed = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]

    for page, text in PAGES.items():
        for target in re.findall(r"(?:^|`|& )make ([a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"{page}: make {target}"
    assert listed == targets


# ---- names and messages -------------------------------------------------------------------------


def test_the_reference_has_every_public_name() -> None:
    stub = (ROOT / "src/hilum/__init__.pyi").read_text(encoding="utf-8")
    public = re.findall(r"^from (\S+) import (\w+) as", stub, re.MULTILINE)

    shown = re.findall(r"^::: (\S+)$", PAGES["docs/reference.md"], re.MULTILINE)

    assert sorted(shown) == sorted(f"{module}.{name}" for module, name in public)


def written_in_code() -> str:
    """All texts of the package, a line each; … stands where a value is put in."""
    texts = []
    for path in (ROOT / "src/hilum").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            values = [p.value if isinstance(p, ast.Constant) else "…" for p in parts]
            texts.append("".join(map(str, values)))
    return "\n".join(texts)


def test_troubleshooting_names_messages_of_the_code() -> None:
    messages = re.findall(r"^## (.*)$", PAGES["docs/troubleshooting.md"], re.MULTILINE)
    written = written_in_code()

    assert len(messages) >= 10
    for message in messages:
        assert message in written, message


def test_the_steps_of_a_release_are_told() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGES["docs/releasing.md"], re.MULTILINE)

    assert rows == list(STEPS)


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")

    assert f"\nversion: {project['version']}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation


# ---- links and the tree -------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGES[page]):
        if link.startswith("http"):
            continue
        target = (ROOT / page).parent.joinpath(link).resolve() if link else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if heading:
            text = target.read_text(encoding="utf-8")
            assert heading in headings(text), f"{page}: {link}#{heading}"


def headings(text: str) -> set[str]:
    """What the headings of a page are linked by, as GitHub makes it."""
    lines = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_tree_of_rooms_is_there() -> None:
    """A line: some names in the folder above, and after two spaces what they are."""
    block = PAGES["docs/architecture.md"].split("## What is where\n\n```\n")[1].split("```")[0]
    parents: list[tuple[int, Path]] = []
    shown = []
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        names, meaning = re.split(r"  +", line.strip(), maxsplit=1)
        assert meaning, names
        while parents and parents[-1][0] >= indent:
            parents.pop()
        for name in names.split():
            path = (parents[-1][1] if parents else ROOT) / name
            assert path.is_dir() if name.endswith("/") else path.is_file(), name
            shown.append(path)
        parents.append((indent, shown[-1]))

    assert len(block.splitlines()) <= 20, "it fits one screen"
    assert len(set(shown)) == len(shown), "each once"
    package = ROOT / "src" / "hilum"
    there = {
        p for p in package.iterdir() if not p.name.startswith("__") and p.suffix in (".py", "")
    }
    assert {p for p in shown if p.parent == package} == there
