"""The plan of the house, enforced: imports go downward, and heavy libraries wait until needed."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "hilum"

#: Lowest first. A module imports from its own layer and from those before it, never after.
#: docs/architecture.md shows the same list.
LAYERS = (
    "errors",
    "memory",
    "files",
    "wording",
    "table",
    "records",
    "codec",
    "labels",
    "image_settings",
    "recipe",
    "statistics",
    "phantoms",
    "radiographs",
    "audit",
    "fetching",
    "transforms",
    "networks",
    "device",
    "classifier",
    "exporting",
    "prediction",
    "training",
    "evaluation",
    "explanation",
    "studies",
    "search",
    "reporting",
    "serving",
    "demo",
    "console",
    "cli",
    "__main__",
)
HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "cv2", "jinja2", "pydantic")

FILES = {
    ".".join(("hilum", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(SRC.rglob("*.py"))
}


def layer(module: str) -> str:
    """The layer of a module: 'training' of hilum.training.fit."""
    return module.split(".")[1]


def imports(module: str, *, deferred: bool) -> set[str]:
    """The modules of Hilum that a module imports.

    deferred: also those inside functions and under TYPE_CHECKING, which wait or never run.
    """

    def statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child
            elif deferred or not (
                isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            ):
                yield from statements(child)

    found: set[str] = set()
    for statement in statements(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        else:
            assert statement.level == 0, f"{module}: a relative import; write the full name"
            base = statement.module or ""
            below = {f"{base}.{alias.name}" for alias in statement.names}
            found |= {m if m in FILES else base for m in below}
    return {m for m in found if m == "hilum" or m.startswith("hilum.")}


def test_every_module_has_a_layer() -> None:
    found = {layer(module) for module in FILES if module != "hilum"}

    assert found == set(LAYERS)


@pytest.mark.parametrize("module", [m for m in FILES if m != "hilum"])
def test_imports_go_downward(module: str) -> None:
    mine = LAYERS.index(layer(module))

    # `from hilum import __version__` reads the package itself, which imports nothing of it
    others = imports(module, deferred=True) - {"hilum"}
    upward = sorted(m for m in others if LAYERS.index(layer(m)) > mine)

    assert not upward, f"{module} imports upward: {', '.join(upward)}"


def test_nothing_goes_round_in_circles_when_imported() -> None:
    graph = {module: imports(module, deferred=False) for module in FILES}

    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {' → '.join(error.args[1])}")

    assert set(FILES) <= set(order)


@pytest.mark.parametrize(
    "statement", ["import hilum", "import hilum.cli", "dir(__import__('hilum'))"]
)
def test_importing_stays_light(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_help_answers_without_heavy_libraries() -> None:
    code = (
        "import sys, hilum.cli\n"
        "sys.argv = ['hilum', '--help']\n"
        "try:\n    hilum.cli.main()\n"
        "finally:\n"
        f"    sys.stderr.write(' '.join(set({HEAVY!r}) & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "demo" in done.stdout
    assert done.stderr == ""


def test_public_names_are_there() -> None:
    import hilum

    for name in hilum.__all__:
        assert getattr(hilum, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = hilum.nonsense


@pytest.mark.parametrize("module", FILES)
def test_files_stay_short(module: str) -> None:
    lines = len(FILES[module].read_text(encoding="utf-8").splitlines())

    assert lines <= 400, f"{FILES[module].name} has {lines} lines: divide it by duty"


@pytest.mark.parametrize("module", [m for m in FILES if m != "hilum.console"])
def test_only_the_console_prints(module: str) -> None:
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    calls = [ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)]

    assert not {"print", "sys.stdout.write", "sys.stderr.write"} & set(calls)


@pytest.mark.parametrize("module", FILES)
def test_nothing_silences_warnings_or_seeds_globally(module: str) -> None:
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    forbidden = {
        "warnings.filterwarnings",
        "warnings.simplefilter",
        "np.random.seed",
        "random.seed",
        "torch.use_deterministic_algorithms",
    }

    assert not forbidden & calls
    # training seeds PyTorch's generators inside a fork that puts them back
    assert "torch.manual_seed" not in calls or "torch.random.fork_rng" in calls


def test_the_documentation_shows_the_same_layers() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- layers -->\n```\n(.*?)```", text, re.DOTALL)
    assert block, "docs/architecture.md has no block of layers"

    shown = [line.split()[0] for line in block[1].splitlines() if line.strip()]

    assert shown == [*reversed(LAYERS)], "highest first"
