"""Published figures, and whether their conclusions hold."""

import json
from types import SimpleNamespace

import pytest

from hilum.errors import StudyError
from hilum.studies.published import judge, published_names, read_experiment, read_published

CASCADE = read_experiment("architecture-selection").conclusions[0]


def compared(a, b, better):
    return SimpleNamespace(a=a, b=b, better=better)


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (compared("flat", "cascade", "cascade"), "supported"),
        (compared("cascade", "flat", "cascade"), "supported"),
        (compared("flat", "cascade", "flat"), "contradicted"),
        (compared("flat", "cascade", None), "not distinguishable"),
        (compared("flat", "other", "flat"), "not tested"),
    ],
)
def test_verdicts(comparison, verdict):
    assert (CASCADE.better, CASCADE.than) == ("cascade", "flat")
    assert judge(CASCADE, [compared("x", "y", "x"), comparison]) == verdict


def test_accuracy_follows_from_the_numbers_correct():
    flat = read_experiment("architecture-selection").variants["flat"].accuracy(8)
    assert (flat.value, flat.n) == (14 / 24, 24)  # 7 + 3 + 4
    assert flat.low < 15 / 24 < flat.high  # of the cascade: these figures tell nothing apart
    assert read_experiment("root-tuning").variants["adam"].accuracy(8) is None


def test_names():
    assert published_names() == (
        "architecture-selection",
        "network-selection",
        "batch-size",
        "class-weights",
        "root-tuning",
        "infected-tuning",
    )
    with pytest.raises(StudyError, match="Did you mean 'batch-size'"):
        read_experiment("batch-sizes")


@pytest.mark.shared
def test_figures_are_those_published(shared_data):
    file = json.loads((shared_data / "published-results.json").read_text())
    published = read_published()
    assert set(published.experiments) == set(file["experiments"])
    for name, experiment in file["experiments"].items():
        ours = published.experiments[name]
        assert ours.question == experiment["question"]
        assert list(ours.variants) == list(experiment["variants"])
        for variant, figures in experiment["variants"].items():
            mine = ours.variants[variant]
            assert mine.correct == figures.get("correct", {})
            assert mine.test_accuracy == figures.get("test_accuracy")
            if mine.correct:
                accuracy = mine.accuracy(published.of)
                assert accuracy.value == pytest.approx(figures["accuracy"])
            for option, values in figures.get("val", {}).items():
                assert mine.val[option] == pytest.approx(values, abs=1e-4)


@pytest.mark.shared
def test_built_in_studies_train_what_was_published(shared_data):
    from hilum.labels import LabelTree
    from hilum.studies.study import Study

    file = json.loads((shared_data / "published-results.json").read_text())["experiments"]
    whole = LabelTree.from_text("normal, infected(covid, non-covid)")
    for name, experiment in file.items():
        study = Study.load(name)
        for variant, figures in experiment["variants"].items():
            recipe = study.variants[variant]
            tree = LabelTree.from_text("a, b") if study.settings.decision else whole
            settings = [recipe.settings(d.name) for d in recipe.networks(tree)]
            epochs = figures.get("epochs", [experiment.get("epochs")])
            assert [s.epochs for s in settings] == epochs
            network = figures.get("network", experiment.get("network", variant))
            batch_size = int(variant) if variant.isdigit() else experiment["batch_size"]
            for s in settings:
                assert (s.network, s.batch_size) == (network, batch_size)
                if "lr" in figures:
                    assert (s.optimizer, s.learning_rate, s.weight_decay) == (
                        figures["optimizer"], figures["lr"], figures["weight_decay"],
                    )  # fmt: skip
                    falls = s.gamma if s.scheduler == "step" else 1
                    assert falls == figures["gamma"]
                    assert falls == 1 or s.step_size == figures["step_size"]
            weights = [figures.get(d.name) for d in recipe.networks(tree)]
            found = [
                list(s.class_weights.values()) if s.class_weights != "none" else None
                for s in settings
            ]
            assert found == weights
