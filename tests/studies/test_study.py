"""Reading a study: what makes one, and what does not."""

import pytest

from hilum.errors import HilumError, RecipeError, StudyError
from hilum.studies.study import Study, study_names
from tests.studies.small import small_study


def test_variants_are_recipes(tmp_path):
    study = small_study(
        tmp_path,
        variants={
            "base": {},
            "weighted": {"decision": {"flat": {"class_weights": {"a": 2.0, "b": 1.0}}}},
            "mirrored": {"augmentation": {"mirror": True}, "preprocessing": {"crop": "body"}},
            "other": {"recipe": "covinet-cascade", "batch_size": 7},
        },
    )
    assert study.variants["base"] == study.base
    assert study.variants["weighted"].settings("flat").class_weights == {"a": 2.0, "b": 1.0}
    assert study.variants["mirrored"].augmentation.mirror
    assert study.variants["mirrored"].preprocessing.crop == "body"
    other = study.variants["other"]
    assert (other.strategy, other.batch_size, other.settings("infected").epochs) == (
        "cascade",
        7,
        10,
    )
    assert study.differences("base") == []
    assert study.differences("mirrored") == [
        "augmentation: none → mirror",
        "preprocessing.crop: none → body",
    ]


def test_class_weights_are_replaced_whole(tmp_path):
    (tmp_path / "weighted.toml").write_text("class_weights = { a = 2.0, b = 1.0 }")
    study = small_study(
        tmp_path,
        recipe="weighted.toml",
        variants={"both": {}, "one": {"class_weights": {"c": 3.0}}},
    )
    assert study.variants["one"].class_weights == {"c": 3.0}


def test_run_i_has_seed_i_whatever_the_variant(tmp_path):
    study = small_study(tmp_path, variants={"a": {}, "b": {"recipe": "naive-flat"}})
    assert [study.recipe_of("b", i).seed for i in range(3)] == [0, 1, 2]
    assert study.recipe_of("a", 0).name == "naive-flat"


def test_up_to_four_variants_are_compared_pair_by_pair(tmp_path):
    variants = {str(n): {"batch_size": n} for n in (1, 2, 3)}
    assert small_study(tmp_path, variants=variants).pairs == (("1", "2"), ("1", "3"), ("2", "3"))
    variants |= {str(n): {"batch_size": n} for n in (4, 5)}
    assert small_study(tmp_path, variants=variants).pairs == (
        ("1", "2"), ("1", "3"), ("1", "4"), ("1", "5"),
    )  # fmt: skip
    chosen = small_study(tmp_path, variants=variants, comparisons=[["5", "4"]])
    assert chosen.pairs == (("5", "4"),)


TWO = {"a": {}, "b": {"epochs": 3}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variants": {"a": {}}}, "at least 2 variants, found 1"),
        ({"variants": {"a": {}, "b": {"epochs": 2}}}, "'a' and 'b' are identical"),
        ({"variants": {"a": {}, "b": {"device": "auto"}}}, "'a' and 'b' are identical"),
        ({"variants": {"a": {}, "b": {"seed": 3}}}, "variants.b: 'seed' is set by the study"),
        ({"variants": {"a": {}, "b": {"monitor": "test"}}}, "never look at the test split"),
        ({"variants": {"a": {}, "b": {"select": "best"}}}, "set monitor = 'blocks'"),
        (
            {"variants": {"a": {}, "b": {"decision": {"flat": {"select": "best"}}}}},
            "choose the epoch on the images that score the run",
        ),
        ({"seed": 3}, "rates.toml: seed is not a key of a study. Did you mean 'seeds'?"),
        ({"seeds": 0}, "seeds: "),
        ({"folds": 1}, "folds = 1 leaves nothing to train on"),
        ({"name": "a/b"}, "it becomes a folder's name"),
        ({"name": "runs"}, "cannot be called 'runs'"),
        ({"variants": TWO, "comparisons": [["a", "c"]]}, "name 'c', which is no variant"),
        ({"variants": TWO, "comparisons": [["a", "b"], ["b", "a"]]}, "a pair twice"),
        ({"published": "batch-sizes"}, "Did you mean 'batch-size'?"),
    ],
)
def test_what_makes_no_study(tmp_path, changes, said):
    with pytest.raises(StudyError) as refused:
        small_study(tmp_path, **changes)
    assert said in str(refused.value)


def test_a_choice_on_blocks_of_its_own_is_fine(tmp_path):
    best = {"select": "best", "monitor": "blocks"}
    assert small_study(tmp_path, variants={"a": {}, "b": best}).variants["b"].select == "best"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"epoch": 3}, "variants.b: epoch is not a key of a recipe. Did you mean 'epochs'?"),
        ({"decision": {"root": {"epoch": 3}}}, "decision.root.epoch is not a training setting"),
        ({"epochs": 0}, "variants.b: epochs: "),
        ({"recipe": "naive-flatt"}, "Did you mean 'naive-flat'?"),
        ({"recipe": "9" * 5000}, "variants.b: There is no recipe"),
    ],
)
def test_a_variant_that_is_no_recipe(tmp_path, overrides, said):
    with pytest.raises(RecipeError) as refused:
        small_study(tmp_path, variants={"a": {}, "b": overrides})
    assert said in str(refused.value)


def test_reading_files(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nrecipe = "naive-flat"\n[variants.16]\nbatch_size = 16\n[variants.32]\n'
    )
    study = Study.load(tmp_path / "mine.toml")
    assert list(study.variants) == ["16", "32"]
    assert study.settings.seeds == study.settings.folds == 5
    changed = study.with_settings(seeds=2, measure="recall of covid", device="cpu")
    assert (changed.settings.seeds, changed.settings.measure) == (2, "recall of covid")
    assert changed.recipe_of("16", 1).device == "cpu"
    with pytest.raises(StudyError, match="seeds"):
        study.with_settings(seeds=0)

    (tmp_path / "broken.toml").write_text("name =")
    for name, said in [
        (tmp_path / "broken.toml", "not valid TOML"),
        ("batchsize", "Did you mean 'batch-size'"),
        (tmp_path, "There is no study"),
    ]:
        with pytest.raises(HilumError, match=said):
            Study.load(name)


@pytest.mark.parametrize("name", study_names())
def test_built_in_studies_are_whole(name):
    from hilum.studies.published import published_names, read_experiment

    study = Study.load(name)
    assert study.name == name
    if name not in published_names():
        assert study.settings.published is None
        return
    assert study.settings.published == name
    experiment = read_experiment(name)
    assert set(experiment.variants) == set(study.variants)
    compared = {frozenset(pair) for pair in study.pairs}
    assert {frozenset((c.better, c.than)) for c in experiment.conclusions} <= compared
