"""The space of a search: what it may hold, and what the recipe would refuse."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hilum.errors import HilumError, RecipeError, StudyError
from hilum.recipe import Recipe
from hilum.search.space import Space
from hilum.studies.folds import divide
from tests.studies.small import RECIPE, small_data

TOML = """
[learning_rate]
low = 1e-5
high = 1e-2
log = true

[decision.root]
epochs = { low = 2, high = 10, step = 4, int = true }

["augmentation.gamma"]
low = 0.0
high = 0.5

[image_size]
choices = [32, [48, 32]]
"""


@pytest.fixture
def base(tmp_path):
    (tmp_path / "small.toml").write_text(RECIPE)
    return Recipe.load(tmp_path / "small.toml")


def test_a_file(tmp_path):
    (tmp_path / "space.toml").write_text(TOML)
    space = Space.load(tmp_path / "space.toml")
    found = {p.name: p.distribution for p in space.parameters}
    assert found == {
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "decision.root.epochs": IntDistribution(2, 10, step=4),
        "augmentation.gamma": FloatDistribution(0.0, 0.5),
        "image_size": CategoricalDistribution(["32", "[48, 32]"]),
    }
    assert [p.is_log for p in space.parameters] == [True, False, False, False]
    assert Space.from_dict(space.tables()) == Space(space.parameters, "space")


def test_applying_draws_changes_those_keys_alone(base):
    space = Space.from_dict(
        {
            "image_size": {"choices": [32, [48, 32]]},
            "augmentation": {"gamma": {"low": 0, "high": 0.5}},
            "decision": {"flat": {"augmentation": {"blur": {"low": 0, "high": 1}}}},
            "class_weights": {"choices": ["none", {"normal": 2.0, "covid": 1.0, "non-covid": 1}]},
        }
    )
    base = base.override(["augmentation=mirror"])
    weights = {"normal": 2.0, "covid": 1.0, "non-covid": 1}
    values = {"image_size": [48, 32], "augmentation.gamma": 0.25, "class_weights": weights}
    drawn = space.drawn(values)
    assert space.values(drawn) == values
    recipe = space.apply(base, {**drawn, "decision.flat.augmentation.blur": 0.5})
    assert recipe.image_size == (48, 32)
    assert (recipe.augmentation.gamma, recipe.augmentation.mirror) == (0.25, True)
    # what one decision overrides begins with the common table, it does not replace it
    own = recipe.settings("flat").augmentation
    assert (own.blur, own.gamma, own.mirror) == (0.5, 0.25, True)
    assert recipe.class_weights == weights
    assert recipe.learning_rate == base.learning_rate
    assert base.image_size == (32, 32)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "names no key to search"),
        ({"lerning_rate": {"low": 1, "high": 2}}, "Did you mean 'learning_rate'"),
        ({"learning_rate": 3}, "expected a table"),
        ({"learning_rate": {"low": 1}}, "learning_rate: high is missing"),
        ({"learning_rate": {"low": 1, "hihg": 2, "high": 2}}, "Did you mean 'high'"),
        ({"learning_rate": {"low": 0.1, "high": 0.1}}, "low = 0.1 is not below high = 0.1"),
        ({"learning_rate": {"low": 0, "high": 1, "log": True}}, "needs a low above 0"),
        ({"learning_rate": {"low": 1, "high": 2, "log": True, "step": 1}}, "exclude each other"),
        ({"learning_rate": {"low": 0.1, "high": 0.5, "step": 0.15}}, "plus a multiple of step"),
        ({"epochs": {"low": 1.5, "high": 3, "int": True}}, "needs whole numbers"),
        ({"learning_rate": {"low": "a", "high": 2}}, "learning_rate: low: .*found 'a'"),
        ({"network": {"choices": ["naive"]}}, "at least 2 items"),
        ({"network": {"choices": ["naive", "naive"]}}, "the choice naive is given twice"),
        ({"network": {"choices": ["a", "b"], "low": 1}}, "low does not belong here"),
        ({"seed": {"low": 0, "high": 9, "int": True}}, "luckiest seed"),
        ({"monitor": {"choices": ["val", "blocks"]}}, "pruning compares"),
        (
            {"augmentation.gamma": {"low": 0, "high": 1},
             "augmentation": {"gamma": {"low": 0, "high": 1}}},
            "'augmentation.gamma' is given twice",
        ),
        (
            {"augmentation.gamma": {"low": 0, "high": 1},
             "augmentation": {"choices": ["none", "full"]}},
            "lies inside 'augmentation'",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_space(tables, message):
    with pytest.raises(StudyError, match=message):
        Space.from_dict(tables, "space.toml")


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"label_smoothing": {"low": 0, "high": 1}}, "label_smoothing = 1.0: .*less than 1"),
        ({"epochs": {"low": 2, "high": 8}}, r"epochs = 4.292: .*integer.*Add int = true\?"),
        ({"augmentation": {"gama": {"low": 0, "high": 1}}}, "Did you mean 'gamma'"),
        ({"decision": {"flat": {"lr": {"low": 0.1, "high": 1}}}}, "flat.lr is not a training"),
        ({"decision": {"root": {"epochs": {"choices": [1, 2]}}}}, "settings for the decision"),
        ({"network": {"choices": ["naive", "resnet"]}}, "network = .*resnet"),
        ({"class_weights": {"choices": ["none", [1.0, 2.0]]}}, "class_weights has 2 numbers"),
        ({"class_weights": {"normal": {"low": 1, "high": 2}}}, "reaches into 'class_weights'"),
        ({"select": {"choices": ["last", "best"]}}, "would choose the epoch on the images"),
    ],
)
def test_what_the_recipe_refuses_is_told_before_a_trial(tmp_path, base, tables, message):
    part = divide(small_data(tmp_path / "spots"), 2, 1).part(0)
    space = Space.from_dict(tables, "space.toml")
    with pytest.raises(HilumError, match=message) as refused:
        space.check(base, part)
    assert str(refused.value).startswith("space.toml: ")


def test_a_monitored_test_split_is_refused(tmp_path, base):
    part = divide(small_data(tmp_path / "spots"), 2, 1).part(0)
    space = Space.from_dict({"learning_rate": {"low": 1e-4, "high": 1e-2}})
    space.check(base, part)
    with pytest.raises(StudyError, match="never look at the test split"):
        space.check(base.override(["monitor=test"]), part)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(StudyError, match=r"^Cannot read .*none\.toml: No such file"):
        Space.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("low =")
    with pytest.raises(StudyError, match="not valid TOML"):
        Space.load(tmp_path / "bad.toml")


@given(
    st.lists(
        st.one_of(st.text(), st.lists(st.integers()), st.integers()),
        min_size=2,
        unique_by=lambda v: v if isinstance(v, str) else json.dumps(v),
    )
)
def test_every_choice_comes_back_as_it_was_given(values):
    (parameter,) = Space.from_dict({"network": {"choices": values}}).parameters
    drawn = [parameter.draw_of(v) for v in values]
    assert isinstance(parameter.distribution, CategoricalDistribution)
    assert list(parameter.distribution.choices) == drawn
    assert [parameter.value(d) for d in drawn] == values


def test_errors_keep_their_kind(base, tmp_path):
    part = divide(small_data(tmp_path / "spots"), 2, 1).part(0)
    with pytest.raises(RecipeError):
        Space.from_dict({"batch_size": {"choices": [0, 8]}}).check(base, part)


def test_searched_epochs_hold_over_the_passes_of_the_recipe():
    space = Space.from_dict({"epochs": {"low": 2, "high": 6}})
    assert space.apply(Recipe.load("default"), {"epochs": 4}).settings("flat").epochs_for(9) == 4
