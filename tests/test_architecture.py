"""The plan of the house, enforced: imports go downward, and only to what a room shows."""

import ast
import json
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
    "process",
    "cluster",
    "parsing",
    "stores",
    "files",
    "wording",
    "table",
    "display",
    "records",
    "predictions",
    "codec",
    "decisions",
    "notation",
    "labels",
    "settings",
    "recipe",
    "statistics",
    "phantoms",
    "radiographs",
    "auditing",
    "fetching",
    "transforms",
    "networks",
    "device",
    "classifier",
    "given",
    "exporting",
    "prediction",
    "training",
    "evaluation",
    "watching",
    "capsule",
    "explanation",
    "studies",
    "search",
    "judging",
    "reporting",
    "serving",
    "api",
    "pipeline",
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
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}
#: The packages below hilum, whose own face are the public names.
PACKAGES = tuple(m for m, path in FILES.items() if path.name == "__init__.py" and m != "hilum")
#: What stands outside the package, uses it, and ships with it.
AROUND = {
    path.name: ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("benchmarks", "scripts")
    for path in sorted((ROOT / folder).glob("*.py"))
}
for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    AROUND[notebook.name] = ast.parse("\n".join(code))


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
    for statement in statements(TREES[module]):
        assert not getattr(statement, "level", 0), f"{module}: relative import; write the full name"
        found |= {name if name in FILES else name.rpartition(".")[0] for name in names(statement)}
    return found


def names(statement: ast.AST) -> list[str]:
    """What an import statement imports of Hilum: modules, and names as MODULE.name."""
    if isinstance(statement, ast.Import):
        found = [alias.name for alias in statement.names]
    elif isinstance(statement, ast.ImportFrom):
        found = [f"{statement.module}.{alias.name}" for alias in statement.names]
    else:
        found = []
    return [name for name in found if name == "hilum" or name.startswith("hilum.")]


def private_names(tree: ast.AST) -> Iterator[str]:
    """The private names of modules of Hilum that a file imports or reaches into."""

    def is_private(name: str) -> bool:
        return name.startswith("_") and not name.endswith("__")

    modules = set()
    for node in ast.walk(tree):
        for name in names(node):
            yield from [name] if any(is_private(part) for part in name.split(".")) else []
        if isinstance(node, ast.Import | ast.ImportFrom):
            short = [a.asname or a.name.split(".")[-1] for a in node.names]
            modules |= {s for s, name in zip(short, names(node), strict=False) if name in FILES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            if owner in modules or owner in FILES:
                yield f"{owner}.{node.attr}"


def face(package: str) -> list[str]:
    """What a package shows: its __all__, written out."""
    for node in TREES[package].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            shown: list[str] = ast.literal_eval(node.value)
            return shown
    pytest.fail(f"{FILES[package]} has no __all__")


def hidden(user: str, tree: ast.AST) -> Iterator[str]:
    """What a file imports past the face of a package that it does not belong to."""
    for node in ast.walk(tree):
        for name in names(node):
            for package in PACKAGES:
                below = name.removeprefix(f"{package}.")
                outside = below != name and not f"{user}.".startswith(f"{package}.")
                if outside and below.split(".")[0] not in face(package):
                    yield name


def test_every_module_has_a_layer() -> None:
    found = {layer(module) for module in FILES if module != "hilum"}

    assert found == set(LAYERS)


@pytest.mark.parametrize("module", [m for m in FILES if m != "hilum"])
def test_imports_go_downward(module: str) -> None:
    mine = LAYERS.index(layer(module))

    # hilum itself imports nothing until a public name is asked for
    others = imports(module, deferred=True) - {"hilum"}
    upward = sorted(m for m in others if LAYERS.index(layer(m)) > mine)

    assert not upward, f"{module} imports upward: {', '.join(upward)}"


def test_nothing_goes_round_in_circles() -> None:
    """Imports inside functions and for types count, too; only hilum itself defers all it shows."""
    graph = {module: imports(module, deferred=True) for module in FILES}
    graph["hilum"] = imports("hilum", deferred=False)

    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {' → '.join(error.args[1])}")

    assert set(FILES) <= set(order)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_what_it_is_for_and_shows(package: str) -> None:
    tree = TREES[package]
    own = {m.rpartition(".")[2] for m in FILES if m.rpartition(".")[0] == package}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            own |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name | ast.FunctionDef | ast.ClassDef):
            own.add(node.id if isinstance(node, ast.Name) else node.name)

    shown = face(package)

    assert ast.get_docstring(tree)
    assert shown
    assert shown == sorted(set(shown), key=str.lower)
    assert set(shown) <= own, "no such module or name"


def test_imports_keep_to_what_a_package_shows() -> None:
    past = {user: sorted(hidden(user, tree)) for user, tree in {**TREES, **AROUND}.items()}

    assert {user: names for user, names in past.items() if names} == {}


def test_no_module_uses_the_private_names_of_another() -> None:
    used = {user: sorted(private_names(tree)) for user, tree in {**TREES, **AROUND}.items()}

    assert {user: names for user, names in used.items() if names} == {}


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
        _ = hilum.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", FILES)
def test_files_stay_short(module: str) -> None:
    lines = len(FILES[module].read_text(encoding="utf-8").splitlines())

    assert lines <= 400, f"{FILES[module].name} has {lines} lines: divide it by duty"


@pytest.mark.parametrize("module", [m for m in FILES if m != "hilum.console"])
def test_only_the_console_prints(module: str) -> None:
    calls = [ast.unparse(n.func) for n in ast.walk(TREES[module]) if isinstance(n, ast.Call)]

    assert not {"print", "sys.stdout.write", "sys.stderr.write"} & set(calls)


@pytest.mark.parametrize("module", FILES)
def test_nothing_silences_warnings_or_seeds_globally(module: str) -> None:
    calls = {ast.unparse(n.func) for n in ast.walk(TREES[module]) if isinstance(n, ast.Call)}
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


def test_no_test_sleeps_or_times_itself() -> None:
    """A test waits for what it waits for: how long that takes is not its own to say."""
    clocks = ("sleep", "perf_counter", "perf_counter_ns", "monotonic", "time", "process_time")
    forbidden = {f"{owner}{clock}" for clock in clocks for owner in ("time.", "asyncio.", "")}
    forbidden -= {"time"}
    found = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        found[path.name] = {ast.unparse(call.func) for call in calls} & forbidden

    assert not {name: calls for name, calls in found.items() if calls}
