"""Recipes: what is built in, what is refused, and that nothing is lost in writing."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from hilum.decisions import Decision
from hilum.device import choose_device
from hilum.errors import HilumError, RecipeError
from hilum.labels import LabelTree
from hilum.recipe import (
    Recipe,
    differences,
    recipe_names,
)
from hilum.settings import AUGMENTATIONS, Augmentation, Settings

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
ROOT, INFECTED = TREE.decisions

# ---- built in --------------------------------------------------------------------------------


def test_what_is_built_in() -> None:
    assert recipe_names() == (
        "best", "covinet-cascade", "covinet-flat", "default", "naive-cascade", "naive-flat",
        "quick", "resnet-block-cascade", "resnet-block-flat",
    )  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_every_built_in_recipe_fits_its_name_and_the_tree(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert recipe.description
    network, _, strategy = name.rpartition("-")
    if network:  # the others are named after what they are for
        assert recipe.strategy == strategy
    for decision in recipe.networks(TREE):
        settings = recipe.settings(decision.name)
        assert settings.network == (network or settings.network)
        settings.weights_for(decision, [100] * len(decision.options))


def test_the_published_settings() -> None:
    recipe = Recipe.load("covinet-cascade")
    root, infected = recipe.settings("root"), recipe.settings("infected")
    assert recipe.image_size == (150, 150)
    assert recipe.rule == "route"
    assert recipe.monitor == "val"
    assert (root.epochs, infected.epochs) == (5, 10)
    assert (root.weight_decay, infected.weight_decay) == (0, 1e-5)
    for settings in (root, infected):
        assert settings.optimizer == "adamw"
        assert settings.learning_rate == 0.001
        assert settings.batch_size == 32
        assert settings.scheduler == "none"
        assert settings.label_smoothing == 0
        assert settings.augmentation == AUGMENTATIONS["none"]
        assert settings.select == "last"
    assert root.weights_for(ROOT, [1, 1]) == [2.83, 1]
    assert infected.weights_for(INFECTED, [1, 1]) == [1.9, 1]


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("naive-cascade", [3, 4]), ("naive-flat", [5]),
        ("resnet-block-cascade", [3, 6]), ("resnet-block-flat", [6]), ("covinet-flat", [10]),
    ],
)  # fmt: skip
def test_epochs_of_the_other_built_in_recipes(name: str, epochs: list[int]) -> None:
    recipe = Recipe.load(name)
    assert [recipe.settings(d.name).epochs for d in recipe.networks(TREE)] == epochs


# ---- reading files ---------------------------------------------------------------------------


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 'm\xc3\xaane'\nimage_size = 64\nepochs = 3\n")
    recipe = Recipe.load(path)
    assert (recipe.name, recipe.image_size, recipe.epochs) == ("mêne", (64, 64), 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"epochs = ", "not valid TOML"),
        (b"epochs = 1\nepochs = 2", "not valid TOML"),
        (b"name = '\xff\xfe'", "not UTF-8"),
        (b"epoch = 3", "epoch is not a key of a recipe. Did you mean 'epochs'?"),
    ],
)
def test_files_that_are_no_recipe_are_refused_by_name(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as error:
        Recipe.load(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["covinet-casacde", "gone.toml", "", ".", "a\0b", "../covinet"])
def test_what_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="There is no recipe '"):
        Recipe.load(name)


def test_the_nearest_built_in_recipe_is_named() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'covinet-cascade'"):
        Recipe.load("covinet-casacde")


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0), ("epochs", 3.5), ("epochs", "many"), ("epochs", True), ("epochs", [3]),
        ("batch_size", 0), ("learning_rate", -0.001), ("learning_rate", 0),
        ("learning_rate", "fast"), ("learning_rate", float("nan")), ("learning_rate", False),
        ("learning_rate", float("inf")), ("weight_decay", -1), ("momentum", 1),
        ("optimizer", "adamax"), ("scheduler", "StepLR"), ("step_size", 0), ("gamma", 0),
        ("gamma", 1.5), ("label_smoothing", 1), ("label_smoothing", -0.1),
        ("augmentation", "rotate"), ("augmentation", 3), ("augmentation", True),
        ("augmentation", {"rotate": 181}), ("augmentation", {"rotate": "far"}),
        ("augmentation", {"rotate": True}), ("augmentation", {"rotate": -1}),
        ("augmentation", {"mirror": 1}), ("augmentation", {"mirror": "yes"}),
        ("augmentation", {"erase": 0.6}), ("augmentation", {"noise": float("nan")}),
        ("augmentation", {"rotat": 5}), ("select", "first"), ("network", 3),
        ("class_weights", "balance"), ("class_weights", [1, -1]), ("class_weights", [1, 0]),
        ("class_weights", [1, "x"]), ("class_weights", {"covid": -2}), ("class_weights", 3),
        ("class_weights", [float("nan"), 1]), ("class_weights", True),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.from_dict({key: value})
    assert str(error.value).startswith(key)
    assert "\n" not in str(error.value)
    with pytest.raises(RecipeError) as error:  # and so for one decision
        Recipe.from_dict({"decision": {"root": {key: value}}}, "mine.toml")
    assert str(error.value).startswith(f"mine.toml: decision.root.{key}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "tree"), ("rule", "best"), ("image_size", [150]), ("image_size", 15),
        ("image_size", [150, 4096]), ("image_size", [1, 2, 3]), ("image_size", "large"),
        ("monitor", "train"), ("holdout", 0), ("holdout", 0.9), ("keep_checkpoints", "some"),
        ("device", "gpu"), ("device", "cuda:x"), ("precision", "float16"), ("seed", -1),
        ("seed", 2**32), ("name", 3), ("decision", 3), ("decision", {"root": 3}),
    ],
)  # fmt: skip
def test_settings_of_the_run_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"^{key}"):
        Recipe.from_dict({key: value})


def test_a_refusal_names_the_key_what_was_found_and_what_is_right() -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.from_dict({"learning_rate": -1})
    assert str(error.value) == "learning_rate: Input should be greater than 0 (found -1)."
    with pytest.raises(RecipeError) as error:
        Recipe.from_dict({"device": "gpu"})
    expected = "device: expected auto, cpu, cuda, cuda:1 (any number) or mps (found 'gpu')."
    assert str(error.value) == expected
    with pytest.raises(HilumError, match=f"^{re.escape(expected)}$"):  # what other verbs say
        choose_device("gpu")
    with pytest.raises(RecipeError) as error:
        Recipe.from_dict({"class_weights": "balance"})
    assert str(error.value) == (
        "class_weights: expected 'none', 'balanced', or a positive number for each option "
        "(found 'balance')."
    )


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("learning_rat", "learning_rate"), ("lerning_rate", "learning_rate"),
        ("Epochs", "epochs"), ("optimiser", "optimizer"), ("class_weight", "class_weights"),
        ("imagesize", "image_size"), ("decisions", "decision"),
    ],
)  # fmt: skip
def test_a_wrong_key_names_the_nearest_right_one(key: str, right: str) -> None:
    with pytest.raises(
        RecipeError, match=f"{key} is not a key of a recipe. Did you mean '{right}'"
    ):
        Recipe.from_dict({key: 1})


def test_every_wrong_key_is_named_at_once() -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.from_dict({"epoch": 1, "learning_rate": -1, "sed": 3})
    assert len(str(error.value).splitlines()) == 3


def test_what_holds_for_the_run_is_not_set_for_a_decision() -> None:
    with pytest.raises(RecipeError, match=r"decision\.root\.seed is not a training setting"):
        Recipe.from_dict({"decision": {"root": {"seed": 1}}})
    with pytest.raises(RecipeError, match=r"decision\.root\.epoch is not .* Did you mean 'epochs'"):
        Recipe.from_dict({"decision": {"root": {"epoch": 1}}})


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().epochs = 3  # type: ignore[misc]


# ---- settings by decision --------------------------------------------------------------------


def test_a_decision_overrides_what_is_common() -> None:
    recipe = Recipe.from_dict(
        {"epochs": 7, "learning_rate": 0.1, "decision": {"infected": {"epochs": 2}}}
    )
    assert (recipe.settings("root").epochs, recipe.settings("infected").epochs) == (7, 2)
    assert recipe.settings("infected").learning_rate == 0.1
    assert type(recipe.settings("root")) is Settings


def test_settings_for_a_decision_that_the_tree_lacks_are_refused() -> None:
    recipe = Recipe.from_dict({"name": "mine", "decision": {"infectd": {"epochs": 2}}})
    with pytest.raises(RecipeError, match="recipe 'mine' has settings for the decision 'infectd'"):
        recipe.networks(TREE)
    flat = Recipe.load("covinet-cascade").override(["strategy=flat"])
    with pytest.raises(RecipeError, match="under strategy 'flat' have the one decision 'flat'"):
        flat.networks(TREE)
    with pytest.raises(RecipeError, match=r"have root\.$"):
        Recipe.load("covinet-cascade").networks(LabelTree.from_text("a, b"))


def test_networks_of_either_strategy() -> None:
    assert [d.name for d in Recipe(strategy="cascade").networks(TREE)] == ["root", "infected"]
    assert [d.name for d in Recipe(strategy="flat").networks(TREE)] == ["flat"]


# ---- class weights ---------------------------------------------------------------------------


def weights(value: Any, decision: Decision = TREE.flat, counts: tuple[int, ...] = (1, 1, 1)) -> Any:
    return Settings(class_weights=value).weights_for(decision, counts)


def test_balanced_weights_are_inverse_to_the_counts() -> None:
    # n / (k · count) with n = 12 and k = 3
    assert weights("balanced", counts=(1, 3, 8)) == [4.0, pytest.approx(4 / 3), 0.5]
    assert weights("balanced", counts=(5, 5, 5)) == [1, 1, 1]
    labels = [0] * 1341 + [1] * 1345 + [2] * 2530
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert weights("balanced", counts=(1341, 1345, 2530)) == pytest.approx(expected)


def test_balanced_weights_take_any_iterable() -> None:
    assert Settings(class_weights="balanced").weights_for(ROOT, iter([1, 3])) == [2, 2 / 3]


def test_given_weights() -> None:
    assert weights("none") is None
    assert weights([1, 2, 3]) == [1, 2, 3]
    assert weights({"non-covid": 3, "normal": 1, "covid": 2}) == [1, 2, 3]


def test_weights_that_do_not_fit_the_options_are_refused() -> None:
    with pytest.raises(RecipeError, match="has 2 numbers, but the decision 'flat' chooses between"):
        weights([1, 2])
    with pytest.raises(RecipeError, match="names 'covit', but .* Did you mean 'covid'"):
        weights({"covit": 1})
    with pytest.raises(RecipeError, match="lacks normal, non-covid: the decision 'flat'"):
        weights({"covid": 1})
    with pytest.raises(RecipeError, match="has 0 numbers"):
        weights([])


# ---- overriding ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("epochs=3", "epochs", 3), (" epochs = 3 ", "epochs", 3),
        ("learning_rate=1e-4", "learning_rate", 1e-4), ("learning_rate=.5", "learning_rate", 0.5),
        ("optimizer=sgd", "optimizer", "sgd"), ('optimizer="sgd"', "optimizer", "sgd"),
        ("image_size=224", "image_size", (224, 224)),
        ("image_size=[64, 96]", "image_size", (64, 96)),
        ("class_weights=[1, 2]", "class_weights", [1, 2]),
        ("class_weights={covid = 2}", "class_weights", {"covid": 2}),
        ("device=cuda:1", "device", "cuda:1"), ("description=a=b", "description", "a=b"),
        ("description=", "description", ""),
    ],
)  # fmt: skip
def test_keys_are_overridden(assignment: str, key: str, value: object) -> None:
    before = Recipe.load("covinet-flat")
    after = before.override([assignment])
    assert getattr(after, key) == value
    assert after.model_copy(update={key: getattr(before, key)}) == before
    assert before == Recipe.load("covinet-flat")


def test_decisions_are_overridden() -> None:
    recipe = Recipe.load("covinet-cascade").override(
        ["decision.root.epochs=1", "decision.root.class_weights.normal=5", "seed=4", "seed=5"]
    )
    assert recipe.settings("root").epochs == 1
    assert recipe.settings("root").class_weights == {"normal": 5, "infected": 1}
    assert recipe.settings("infected").epochs == 10
    assert recipe.seed == 5
    assert Recipe().override(["decision.root.epochs=1"]).settings("root").epochs == 1


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("epochs", "'epochs' is not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("seed.x=3", "'seed.x' reaches into 'seed', which is not a table"),
        ("learning_rte=3", "Did you mean 'learning_rate'"),
        ("learning_rate=-1", "learning_rate: Input should be greater than 0"),
        ("learning_rate=fast", "learning_rate: Input should be a valid number"),
        ("epochs=true", "epochs: neither true nor false"),
        ("decision.root.epoch=3", "Did you mean 'epochs'"),
        ("decision.root=3", "decision: "),
        ("decision=3", "decision: "),
        (".=3", "is not a key"),
    ],
)
def test_wrong_overrides_are_refused(assignment: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.load("covinet-cascade").override([assignment])
    assert said in str(error.value)


# ---- augmentation ----------------------------------------------------------------------------


def test_words_stand_for_doses() -> None:
    assert Recipe.from_dict({"augmentation": "none"}).augmentation == Augmentation()
    assert Recipe.from_dict({"augmentation": "mirror"}).augmentation == Augmentation(mirror=True)
    full = Recipe.from_dict({"augmentation": "full"}).augmentation
    assert full.mirror
    assert all(dose > 0 for name, dose in full if name != "mirror")


def test_augmentation_is_dosed_for_the_run_and_for_a_decision(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "[augmentation]\nrotate = 10\nblur = 0.5\n"
        "[decision.infected]\naugmentation = { mirror = true, mixup = 0.2 }\n",
        encoding="utf-8",
    )
    recipe = Recipe.load(path)
    assert recipe.settings("root").augmentation == Augmentation(rotate=10, blur=0.5)
    assert recipe.settings("infected").augmentation == Augmentation(mirror=True, mixup=0.2)
    changed = recipe.override(
        ["augmentation.rotate=0", "augmentation.noise=0.02", "decision.infected.augmentation=none"]
    )
    assert changed.settings("root").augmentation == Augmentation(blur=0.5, noise=0.02)
    assert changed.settings("infected").augmentation == Augmentation()


def test_a_written_recipe_says_every_dose_or_a_word_that_cannot_change_its_meaning() -> None:
    assert Recipe().to_dict()["augmentation"] == "none"
    assert Recipe.from_dict({"augmentation": "mirror"}).to_dict()["augmentation"] == "mirror"
    full = Recipe.from_dict({"augmentation": "full"}).to_dict()["augmentation"]
    assert full == dict(AUGMENTATIONS["full"])


def test_a_dose_with_a_typo_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(RecipeError) as error:
        Recipe().override(["augmentation.rotat=5"])
    assert str(error.value) == (
        "augmentation.rotat is not a key of a recipe. Did you mean 'rotate'?"
    )
    with pytest.raises(RecipeError) as error:
        Recipe().override(["augmentation=rotate"])
    assert str(error.value) == (
        "augmentation: expected 'none', 'mirror', 'full', or a table of doses (found 'rotate')."
    )


# ---- writing and comparing -------------------------------------------------------------------

POSITIVE = st.floats(1e-12, 10, allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SETTINGS = {
    "network": TEXT,
    "epochs": st.integers(1, 10_000),
    "passes": st.integers(0, 10**9),
    "batch_size": st.integers(1, 65_536),
    "optimizer": st.sampled_from(["sgd", "adam", "adamw"]),
    "learning_rate": POSITIVE,
    "weight_decay": st.floats(0, 10),
    "sampling": st.sampled_from(["all", "balanced"]),
    "momentum": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "nesterov": st.booleans(),
    "clip_norm": st.floats(0, 1e6),
    "warmup": st.floats(0, 1, exclude_max=True),
    "scheduler": st.sampled_from(["none", "step", "cosine", "one-cycle"]),
    "step_size": st.integers(1, 99),
    "gamma": st.floats(0, 1, exclude_min=True),
    "class_weights": st.sampled_from(["none", "balanced"])
    | st.lists(POSITIVE, max_size=4)
    | st.dictionaries(TEXT, POSITIVE, max_size=3),
    "loss": st.sampled_from(["classes", "decisions"]),
    "label_smoothing": st.floats(0, 1, exclude_max=True),
    "augmentation": st.sampled_from(["none", "mirror", "full"])
    | st.fixed_dictionaries(
        {}, optional={"mirror": st.booleans(), "rotate": st.floats(0, 180), "mixup": POSITIVE}
    ),
    "ema": st.floats(0, 1, exclude_max=True),
    "mirror_test": st.booleans(),
    "members": st.integers(1, 100),
    "select": st.sampled_from(["last", "best"]),
}
RUN = {
    "name": TEXT,
    "description": TEXT,
    "strategy": st.sampled_from(["flat", "cascade"]),
    "rule": st.sampled_from(["route", "argmax"]),
    "image_size": st.integers(16, 2048) | st.tuples(st.integers(16, 2048), st.integers(16, 2048)),
    "monitor": st.sampled_from(["val", "blocks", "test"]),
    "device": st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:3"]),
    "seed": st.integers(0, 2**32 - 1),
    "decision": st.dictionaries(TEXT, st.fixed_dictionaries({}, optional=SETTINGS), max_size=2),
}
RECIPES = st.fixed_dictionaries({}, optional={**SETTINGS, **RUN}).map(Recipe.from_dict)


@given(RECIPES)
def test_a_recipe_survives_toml(recipe: Recipe) -> None:
    assert Recipe.from_dict(tomllib.loads(recipe.to_toml())) == recipe
    assert differences(recipe, Recipe.from_dict(recipe.to_dict())) == []


@given(RECIPES)
def test_a_written_recipe_says_everything(recipe: Recipe) -> None:
    written = tomllib.loads(recipe.to_toml())
    assert set(Recipe.model_fields) - {"decision"} <= set(written)


def test_a_written_recipe_is_a_recipe_file(tmp_path: Path) -> None:
    recipe = Recipe.load("covinet-cascade")
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert Recipe.load(tmp_path / "recipe.toml") == recipe


def test_differences_are_named() -> None:
    old = Recipe.load("covinet-cascade")
    new = old.override(["seed=3", "decision.root.epochs=6", "decision.infected.momentum=0.5"])
    assert differences(old, new) == [
        "decision.infected.momentum: not set → 0.5",
        "decision.root.epochs: 5 → 6",
        "seed: 0 → 3",
    ]
    assert differences(old, old) == []

    augmented = old.override(["augmentation={mirror=true, gamma=0.3}"])
    assert differences(augmented, old.override(["augmentation=none"])) == [
        "augmentation: mirror True, gamma 0.3 → none"
    ]
    assert differences(augmented, augmented.override(["augmentation.gamma=0.2"])) == [
        "augmentation.gamma: 0.3 → 0.2"
    ]


def test_epochs_that_are_given_hold() -> None:
    recipe = Recipe.load("default")
    assert recipe.settings("flat").epochs_for(10_000) == round(recipe.passes / 10_000)
    assert recipe.override(["epochs=7"]).settings("flat").epochs_for(10_000) == 7
    assert recipe.override(["decision.flat.epochs=8"]).settings("flat").epochs_for(10_000) == 8
    both = recipe.override(["epochs=7", "passes=50000"])
    assert both.settings("flat").epochs_for(10_000) == 5
    assert recipe.override(["learning_rate=0.1"]).passes == recipe.passes


def test_hilums_own_recipes() -> None:
    quick, default, best = (Recipe.load(name) for name in ("quick", "default", "best"))
    for recipe in (quick, best):
        same = {"name": "", "description": ""}
        differs = {line.split(":")[0] for line in differences(
            default.model_copy(update=same), recipe.model_copy(update=same)
        )}  # fmt: skip
        doses = {key for key in differs if key.startswith("augmentation.")}
        assert differs - doses <= {"network", "image_size", "passes", "members", "batch_size"}
        assert (recipe is quick) == bool(doses)
    assert quick.passes * 3 < default.passes
    assert best.members > 1
