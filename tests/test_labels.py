"""The label tree: properties over random trees of any depth, and every refusal."""

import itertools
import json
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.decisions import FLAT, ROOT, Decision
from hilum.errors import LabelError
from hilum.labels import NEGATIVE_NAMES, LabelTree, natural_order, says_nothing_found
from hilum.notation import Node
from hilum.records import FloatArray

LINE = "normal, infected(covid, non-covid)"
TREE = LabelTree.from_text(LINE)

# ---- random trees and probabilities ----------------------------------------------------------

NAMES = st.text(
    st.characters(exclude_characters="(){},/\\", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(
    lambda name: name == name.strip() and name not in (ROOT, FLAT) and not says_nothing_found(name)
)


@st.composite
def trees(draw: st.DrawFn, max_leaves: int = 9, findings: bool = True) -> LabelTree:
    """A tree of any shape: leaves are split into further leaves, at random places.

    findings: whether nodes may have some beside.
    """
    names = iter(draw(st.lists(NAMES, unique=True, min_size=20, max_size=20)))
    numbers = itertools.count(1)
    shape: list[Any] = [[], []]  # a leaf is an empty list
    leaves = shape[:]
    while leaves and len(leaves) < max_leaves and draw(st.booleans()):
        leaf = leaves.pop(draw(st.integers(0, len(leaves) - 1)))
        leaf.extend([] for _ in range(draw(st.integers(2, 3))))
        leaves.extend(leaf)

    def nodes(items: list[Any]) -> tuple[Node, ...]:
        return tuple(Node(next(names), nodes(item), beside()) for item in items)

    def beside() -> tuple[str, ...]:
        some = draw(st.integers(0, 2)) if findings and draw(st.booleans()) else 0
        return tuple(f"finding {next(numbers)}" for _ in range(some))

    return LabelTree(nodes(shape), beside())


@st.composite
def trees_with_probs(
    draw: st.DrawFn, smallest: float = 0.0
) -> tuple[LabelTree, dict[str, FloatArray]]:
    """A tree and, for 3 images, the options' probabilities of each decision."""
    tree = draw(trees())
    probs = {}
    for decision in tree.decisions:
        k = len(decision.options)
        weights = st.lists(st.floats(max(smallest, 0.001), 1), min_size=k, max_size=k)
        rows = np.array([draw(weights) for _ in range(3)])
        if smallest == 0 and draw(st.booleans()):
            rows[0] = np.eye(k)[draw(st.integers(0, k - 1))]  # certain: others exactly 0
        probs[decision.name] = rows / rows.sum(axis=1, keepdims=True)
    return tree, probs


@given(trees_with_probs())
def test_leaf_probabilities_sum_to_one(case: tuple[LabelTree, dict[str, FloatArray]]) -> None:
    tree, probs = case
    leaves = tree.leaf_probs(probs)
    assert leaves.shape == (3, len(tree.classes))
    assert (leaves >= 0).all()
    np.testing.assert_allclose(leaves.sum(axis=1), 1, atol=1e-12)


@given(trees_with_probs())
def test_a_leafs_probability_is_the_product_along_its_path(
    case: tuple[LabelTree, dict[str, FloatArray]],
) -> None:
    tree, probs = case
    options = {d.name: d.options for d in tree.decisions}
    leaves = tree.leaf_probs(probs)
    for index, path in enumerate(tree.paths):
        expected = np.ones(3)
        for decision, label in zip((ROOT, *path), path, strict=False):
            expected = expected * probs[decision][:, options[decision].index(label)]
        np.testing.assert_allclose(leaves[:, index], expected, rtol=1e-12)


@given(trees_with_probs(smallest=0.01))
def test_decision_probs_invert_leaf_probs(case: tuple[LabelTree, dict[str, FloatArray]]) -> None:
    tree, probs = case
    found = tree.decision_probs(tree.leaf_probs(probs))
    assert found.keys() == probs.keys()
    for name, expected in probs.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9)


@given(trees_with_probs())
def test_decision_probs_sum_to_one_even_where_nothing_arrives(
    case: tuple[LabelTree, dict[str, FloatArray]],
) -> None:
    tree, probs = case
    for shares in tree.decision_probs(tree.leaf_probs(probs)).values():
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)


@given(trees_with_probs())
def test_route_takes_the_best_option_at_each_decision(
    case: tuple[LabelTree, dict[str, FloatArray]],
) -> None:
    tree, probs = case
    expected = []
    for row in range(3):  # walk down as a person would
        name, nodes = ROOT, tree.children
        while nodes:
            best = nodes[int(np.argmax(probs[name][row]))]
            name, nodes = best.name, best.children
        expected.append(tree.class_index(name))
    assert tree.choose(probs, "route").tolist() == expected


@given(trees_with_probs())
def test_argmax_takes_the_most_probable_leaf(
    case: tuple[LabelTree, dict[str, FloatArray]],
) -> None:
    tree, probs = case
    leaves = tree.leaf_probs(probs)
    chosen = tree.choose(probs, "argmax")
    assert (leaves[np.arange(3), chosen] == leaves.max(axis=1)).all()


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=5))
def test_route_equals_argmax_on_a_tree_of_depth_one(rows: list[list[float]]) -> None:
    tree = LabelTree.from_text("a, b, c, d")
    probs = {ROOT: np.array(rows)}
    assert tree.choose(probs, "route").tolist() == tree.choose(probs, "argmax").tolist()


@given(trees())
def test_a_tree_survives_text_and_json(tree: LabelTree) -> None:
    assert LabelTree.from_text(tree.to_text()) == tree
    assert LabelTree.from_json(tree.to_json()) == tree
    assert LabelTree.from_json(json.loads(json.dumps(tree.to_json()))) == tree
    assert str(tree) == tree.to_text()


@given(trees(findings=False), st.randoms(use_true_random=False))
def test_folders_give_the_same_tree_in_any_order(tree: LabelTree, random: Random) -> None:
    paths = [*tree.paths, *tree.paths]
    random.shuffle(paths)
    found = LabelTree.from_paths(paths)
    assert set(found.paths) == set(tree.paths)
    assert LabelTree.from_paths(found.paths) == found

    def check(nodes: tuple[Node, ...]) -> None:
        assert list(nodes) == sorted(nodes, key=lambda n: natural_order(n.name))
        for node in nodes:
            check(node.children)

    check(found.children)


@given(trees())
def test_each_decision_divides_the_classes_that_reach_it(tree: LabelTree) -> None:
    every = np.arange(len(tree.classes))
    assert tree.decisions[0].name == ROOT
    for decision in tree.decisions:
        reached = [i for i, path in enumerate(tree.paths) if decision.name in (ROOT, *path)]
        assert sorted(i for members in decision.members for i in members) == reached
        targets = decision.targets(every)
        for index in every:
            if index in reached:
                assert decision.options[targets[index]] in tree.paths[index]
            else:
                assert targets[index] == -1


# ---- the tree of the published cascade, by hand ----------------------------------------------


def test_a_line_is_read() -> None:
    assert TREE.children == (
        Node("normal"),
        Node("infected", (Node("covid"), Node("non-covid"))),
    )
    assert TREE.classes == ("normal", "covid", "non-covid")
    assert TREE.paths == (("normal",), ("infected", "covid"), ("infected", "non-covid"))
    assert TREE.to_text() == LINE
    assert TREE.to_json() == ["normal", {"infected": ["covid", "non-covid"]}]
    assert LabelTree.from_text("normal,infected( covid ,non-covid )") == TREE


def test_decisions_and_strategies() -> None:
    root = Decision(ROOT, ("normal", "infected"), ((0,), (1, 2)))
    infected = Decision("infected", ("covid", "non-covid"), ((1,), (2,)))
    flat = Decision(FLAT, ("normal", "covid", "non-covid"), ((0,), (1,), (2,)))
    assert TREE.decisions == TREE.networks("cascade") == (root, infected)
    assert TREE.networks("flat") == (flat,)


def test_targets() -> None:
    root, infected = TREE.decisions
    labels = np.array([0, 1, 2, 1])
    assert root.targets(labels).tolist() == [0, 1, 1, 1]
    assert infected.targets(labels).tolist() == [-1, 0, 1, 0]
    assert TREE.flat.targets(labels).tolist() == [0, 1, 2, 1]
    assert root.targets(labels).dtype == np.int64
    assert root.targets(labels[:0]).shape == (0,)


# ---- findings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "classes", "cascade"),
    [
        ("{effusion, mass}", ("root",), {ROOT: ("effusion", "mass")}),
        (
            "normal, abnormal{effusion, mass}",
            ("normal", "abnormal"),
            {ROOT: ("normal", "abnormal"), "abnormal": ("effusion", "mass")},
        ),
        (
            "normal, infected(covid, non-covid){effusion}, {device}",
            ("normal", "covid", "non-covid"),
            {
                ROOT: ("normal", "infected", "device"),
                "infected": ("covid", "non-covid", "effusion"),
            },
        ),
    ],
)
def test_findings_stand_beside_a_choice_or_alone(
    line: str, classes: tuple[str, ...], cascade: dict[str, tuple[str, ...]]
) -> None:
    tree = LabelTree.from_text(line)
    assert tree.to_text() == line
    assert tree.classes == classes
    assert {d.name: d.answers for d in tree.networks("cascade")} == cascade
    (flat,) = tree.networks("flat")
    names = tuple(finding.name for finding in tree.findings)
    assert flat.answers == (*(classes if tree.decisions else ()), *names)
    assert flat.outputs == len(flat.answers)
    assert [tree.finding(name).index for name in names] == list(range(len(names)))
    with pytest.raises(LabelError, match="no finding 'efusion'"):
        tree.finding("efusion")


@given(trees())
def test_a_finding_is_asked_of_the_classes_below_its_label(tree: LabelTree) -> None:
    for k, finding in enumerate(tree.findings):
        assert finding.index == k
        reached = [i for i, path in enumerate(tree.paths) if finding.below in (ROOT, *path)]
        assert list(finding.classes) == reached


def test_what_is_not_asked_or_not_known_is_not_taught() -> None:
    tree = LabelTree.from_text("normal, abnormal{effusion, mass}")
    labels, marks = np.array([0, 1, 1]), np.array([[0, 0], [1, -1], [-2, 0]])
    nan = np.nan
    np.testing.assert_equal(
        tree.flat.shares(labels, marks), [[1, 0, nan, nan], [0, 1, 1, nan], [0, 1, nan, 0]]
    )
    _, abnormal = tree.networks("cascade")
    np.testing.assert_equal(abnormal.shares(labels, marks), [[nan, nan], [1, nan], [nan, 0]])


def test_a_findings_probability_is_multiplied_along_its_path() -> None:
    tree = LabelTree.from_text("normal, infected(covid, non-covid){effusion}, {device}")
    probs = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    given_asked = {"effusion": np.array([0.4, 0.4]), "device": np.array([0.1, 0.2])}
    found = tree.finding_probs(probs, given_asked)
    np.testing.assert_allclose(found, [[0.1, 0.2], [0.2, 0.4]])  # device first: it is the root's


def test_probabilities_by_hand() -> None:
    probs = {ROOT: np.array([[0.4, 0.6]]), "infected": np.array([[0.5, 0.5]])}
    leaves = TREE.leaf_probs(probs)
    np.testing.assert_allclose(leaves, [[0.4, 0.3, 0.3]])
    # The two rules differ here: infected is likelier, but normal is the likeliest single class.
    assert TREE.choose(probs, "route").tolist() == [1]
    assert TREE.choose(probs, "argmax").tolist() == [0]


def test_ties_go_to_the_first() -> None:
    probs = {ROOT: np.array([[0.5, 0.5]]), "infected": np.array([[0.5, 0.5]])}
    assert TREE.choose(probs, "route").tolist() == [0]


def test_a_decision_that_is_never_reached_gets_equal_shares() -> None:
    found = TREE.decision_probs(np.array([[1.0, 0.0, 0.0]]))
    assert found[ROOT].tolist() == [[1, 0]]
    assert found["infected"].tolist() == [[0.5, 0.5]]


def test_no_images_give_no_classes() -> None:
    probs = {ROOT: np.empty((0, 2)), "infected": np.empty((0, 2))}
    assert TREE.leaf_probs(probs).shape == (0, 3)
    assert TREE.choose(probs, "route").shape == (0,)
    assert TREE.choose(probs, "argmax").shape == (0,)


# ---- the order of folders --------------------------------------------------------------------


def test_nothing_found_comes_first_and_the_rest_alphabetically() -> None:
    paths = [
        ("Zoster",),
        ("infected", "non-covid"),
        ("infected", "covid"),
        ("Normal",),
        ("asthma",),
    ]
    tree = LabelTree.from_paths(paths)
    assert tree.to_text() == "Normal, asthma, infected(covid, non-covid), Zoster"


@pytest.mark.parametrize(
    "name", [*sorted(NEGATIVE_NAMES), "No Finding", "NO_FINDING", "no-findings"]
)
def test_names_for_nothing_found(name: str) -> None:
    assert LabelTree.from_paths([("abscess",), (name,)]).classes == (name, "abscess")


def test_nothing_found_comes_first_at_every_depth() -> None:
    tree = LabelTree.from_paths([("a", "x"), ("a", "healthy"), ("b",)])
    assert tree.to_text() == "a(healthy, x), b"


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expected a label but found the end"),
        ("normal,", "Expected a label but found the end in: normal,"),
        ("normal,, covid", "Expected a label but found , in"),
        (", normal", "Expected a label but found , in"),
        ("infected(), normal", r"Expected a label but found \) in"),
        ("(a, b), normal", r"Expected a label but found \( in"),
        ("normal, infected(covid, other", "Unbalanced or misplaced parentheses in"),
        ("normal, infected)", "Unbalanced or misplaced parentheses in"),
        (
            "normal, infected(covid, other) more",
            "Unbalanced .* Write for example: normal, infected",
        ),
        ("normal", "decision 'root' needs at least two labels; found only 'normal'"),
        ("normal, infected(covid)", "decision 'infected' needs at least two labels; .* 'covid'"),
        ("normal, normal", "'normal' stands twice"),
        ("normal, infected(normal, covid)", "'normal' stands twice"),
        ("normal, infected(infected, covid)", "'infected' stands twice"),
        ("normal, root", "No label may be called 'root'"),
        ("normal, lung/left", "'lung/left' may not hold"),
        ("normal, lung\\left", "may not hold"),
        ("{effusion, mass", "Unbalanced or misplaced parentheses in"),
        ("effusion, mass}", "Unbalanced or misplaced parentheses in"),
        ("a, b(" * 1000, "more than 32 deep"),
        ("{}", "Expected a label but found } in"),
        ("normal, {a}, {b}", "Findings of the root stand twice"),
        ("{effusion(left, right), mass}", "a choice cannot stand within findings"),
        ("normal{effusion}", "decision 'root' needs at least two labels; found only 'normal'"),
        ("normal, abnormal{normal}", "'normal' stands twice"),
        ("{No_Finding, mass}", "'No_Finding' is no finding"),
        ("{flat, mass}", "No finding may be called 'flat'"),
    ],
)
def test_a_line_that_is_no_tree_is_refused(text: str, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelTree.from_text(text)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "decision 'root' needs at least two labels; found none"),
        ((Node("a"), Node("")), "Empty label, or blanks around it, below 'root'"),
        ((Node("a"), Node(" b")), "blanks around it"),
        ((Node("a"), Node("b", (Node("c"), Node(" ")))), "Empty label.* below 'b'"),
        ((Node("a"), Node("b,c")), "'b,c' may not hold"),
        ((Node("a"), Node("b)")), "may not hold"),
    ],
)
def test_nodes_that_are_no_tree_are_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelTree(nodes)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "needs at least two labels; found none"),
        ([("normal",)], "needs at least two labels; found only 'normal'"),
        (
            [("normal",), ("infected",), ("infected", "covid")],
            "'infected' holds images of its own beside 'infected/covid'",
        ),
        ([("a", "left"), ("a", "right"), ("b", "left"), ("b", "top")], "'left' stands twice"),
    ],
)
def test_folders_that_are_no_tree_are_refused(paths: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelTree.from_paths(paths)


@pytest.mark.parametrize(
    "data",
    [
        "normal",
        None,
        {"normal": ["a", "b"]},
        ["normal", 3],
        ["normal", {"infected": []}],
        ["normal", {"infected": "covid"}],
        ["normal", {"infected": ["a", "b"], "other": ["c", "d"]}],
        ["normal", {3: ["a", "b"]}],
        ["normal", ["a", "b"]],
        [{"{}": ["a"]}, {"{}": ["b"]}],
        [{"{}": [3]}],
        [{"{}": []}],
    ],
)
def test_json_that_is_no_tree_is_refused(data: object) -> None:
    with pytest.raises(LabelError, match="Not a label tree"):
        LabelTree.from_json(data)


def test_json_that_is_nested_too_deep_is_refused() -> None:
    data: list[object] = ["a", "b"]
    for k in range(1000):
        data = [f"c{k}", {f"d{k}": data}]
    with pytest.raises(LabelError, match="more than 32 deep"):
        LabelTree.from_json(data)


def test_an_unknown_class_is_refused_with_the_nearest() -> None:
    assert TREE.class_index("covid") == 1
    with pytest.raises(LabelError, match=r"no class 'covud'\. Did you mean 'covid'"):
        TREE.class_index("covud")
    with pytest.raises(LabelError, match=r"no class 'infected'\. Known: normal, covid, non-covid"):
        TREE.class_index("infected")  # a decision is not a class


def test_an_unknown_rule_or_strategy_is_refused() -> None:
    probs = {ROOT: np.array([[0.4, 0.6]]), "infected": np.array([[0.5, 0.5]])}
    with pytest.raises(LabelError, match=r"no rule 'rout'\. Did you mean 'route'"):
        TREE.choose(probs, "rout")  # type: ignore[arg-type]
    with pytest.raises(LabelError, match=r"no strategy 'both'\. Known: flat, cascade"):
        TREE.networks("both")  # type: ignore[arg-type]
