import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.studies.measures import Measure
from tests.studies.held_out import TREE, predictions

ALL = [
    "accuracy",
    "balanced accuracy",
    "macro auroc",
    *(f"{kind} of covid" for kind in ("recall", "precision", "specificity", "f1", "auroc")),
    *(f"{kind} of infected" for kind in ("recall", "precision", "specificity", "f1", "auroc")),
    "recall of infected/covid",
    "auroc of infected/non-covid",
]

#: The published matrix [[7, 1, 0], [0, 8, 0], [0, 4, 4]].
TRUTH = np.repeat([0, 1, 2], 8)
PUBLISHED = predictions(TREE, [0] * 7 + [1] * 13 + [2] * 4, [f"{i}.png" for i in range(24)])


def published(text):
    return Measure.parse(text, TREE).of(TREE, TRUTH, PUBLISHED)


@st.composite
def classified(draw):
    """Truth and predictions of up to 20 images, with probabilities of their own."""
    n = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probs = {d.name: rng.dirichlet([1.0] * len(d.options), n).round(1) for d in TREE.decisions}
    for values in probs.values():
        values[:, -1] = 1 - values[:, :-1].sum(axis=1)
    names = tuple(f"{i}.png" for i in range(n))
    said = Predictions(names, TREE.leaf_probs(probs), probs, TREE.choose(probs, "route"))
    return rng.integers(0, draw(st.integers(1, 3)), n), said


def rows_of(said, rows):
    return Predictions(
        names=tuple(str(i) for i in range(len(rows))),
        probs=said.probs[rows],
        decision_probs={k: v[rows] for k, v in said.decision_probs.items()},
        predicted=said.predicted[rows],
    )


def test_published_figures_by_hand():
    assert published("accuracy") == pytest.approx(19 / 24)
    assert published("balanced accuracy") == pytest.approx((7 / 8 + 1 + 4 / 8) / 3)
    assert published("recall of covid") == 1
    assert published("precision of covid") == pytest.approx(8 / 13)
    assert published("specificity(covid)") == pytest.approx(11 / 16)
    assert published("f1(covid)") == pytest.approx(16 / 21)
    # Infected is covid or non-covid: all 16 were called infected, and one normal image.
    assert published("recall of infected") == 1
    assert published("precision of infected") == pytest.approx(16 / 17)
    # Of the 16 infected images alone, covid against non-covid.
    assert published("precision of infected/covid") == pytest.approx(8 / 12)
    assert published("specificity of infected/covid") == pytest.approx(4 / 8)
    # 7 of 8 normal images below all 16 infected ones; the eighth is level with them.
    assert published("auroc(root/infected)") == pytest.approx((7 + 0.5) / 8)


def test_agrees_with_an_evaluation():
    rng = np.random.default_rng(0)
    probs = {d.name: rng.dirichlet([1.0, 1.0], 60) for d in TREE.decisions}
    names = tuple(f"{i}.png" for i in range(60))
    said = Predictions(names, TREE.leaf_probs(probs), probs, TREE.choose(probs, "route"))
    truth = rng.integers(0, 3, 60)
    whole = evaluate_predictions(
        TREE, truth, said, rule="route", strategy="cascade", split="held-out"
    )

    def of(text):
        return Measure.parse(text, TREE).of(TREE, truth, said)

    assert of("accuracy") == whole.accuracy.value
    assert of("balanced accuracy") == pytest.approx(whole.overall["balanced_accuracy"].value)
    assert of("macro AUROC") == pytest.approx(whole.overall["macro_auroc"].value)
    for kind in ("precision", "recall", "specificity", "f1", "auroc"):
        for name, measures in whole.per_class.items():
            assert of(f"{kind} of {name}") == pytest.approx(getattr(measures, kind).value)
        for decision, found in whole.decisions.items():
            for option, measures in found.per_option.items():
                expected = pytest.approx(getattr(measures, kind).value)
                assert of(f"{kind}({decision}/{option})") == expected
    infected = said.probs[:, 1:].sum(axis=1)
    assert of("auroc of infected") == pytest.approx(oracle.roc_auc_score(truth > 0, infected))
    assert of("recall of infected") == oracle.recall_score(truth > 0, said.predicted > 0)


@given(classified(), st.data())
def test_a_resample_is_measured_like_the_images_it_repeats(data, more):
    truth, said = data
    measure = Measure.parse(more.draw(st.sampled_from(ALL)), TREE)
    drawn = more.draw(st.lists(st.integers(0, len(truth) - 1), min_size=1, max_size=20))
    counts = np.bincount(drawn, minlength=len(truth))[None]
    expected = measure.of(TREE, truth[drawn], rows_of(said, np.array(drawn)))
    found = measure.replicates(TREE, truth, said, counts)
    assert found.shape == (1,)
    if expected is not None:
        assert found[0] == pytest.approx(expected)
    elif measure.kind == "f1" and not np.isnan(found[0]):
        assert found[0] == 0  # a resample without predictions of the label
    else:
        assert np.isnan(found[0])


def test_what_the_data_do_not_define_is_none():
    said = predictions(TREE, [0, 0], ["a", "b"])
    normal = np.array([0, 0])

    def of(text, truth=normal):
        return Measure.parse(text, TREE).of(TREE, truth, said)

    assert of("accuracy") == 1
    for text in ALL[1:]:
        # With normal images only, specificity and precision of what is called normal remain.
        expected = 1 if text.startswith("specificity") else None
        assert of(text) == expected, text
    assert of("f1 of covid", np.array([0, 1])) is None  # never predicted: not 0
    assert of("recall of covid", np.array([0, 1])) == 0


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("accuracy", "accuracy", "accuracy"),
        ("Balanced-Accuracy", "balanced accuracy", "balanced accuracy"),
        ("macro_auc", "macro auroc", "macro AUROC"),
        ("recall(covid)", "recall of covid", "recall of covid"),
        (" Sensitivity of  covid ", "recall of covid", "recall of covid"),
        ("F1 of non-covid", "f1 of non-covid", "F1 of non-covid"),
        ("AUROC ( root/infected )", "auroc of root/infected", "AUROC of root/infected"),
    ],
)
def test_parse_reads_what_people_write(text, name, label):
    measure = Measure.parse(text, TREE)
    assert (measure.name, measure.label) == (name, label)
    assert Measure.parse(measure.name, TREE) == measure


def test_a_label_may_hold_of():
    tree = LabelTree.from_text("normal, collapse of a lobe")
    assert Measure.parse("recall of collapse of a lobe", tree).target == "collapse of a lobe"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acuracy", "no measure 'acuracy'. Did you mean 'accuracy'?"),
        ("kappa", "no measure 'kappa'. Known: accuracy, .*, recall of LABEL"),
        ("", "no measure ''. Known"),
        ("recall", "write for example 'recall of non-covid'"),
        ("recall()", "write for example"),
        ("recall of covd", "'covd', which is not in .* Did you mean 'covid'?"),
        ("auroc(root/infectd)", "Did you mean 'root/infected'?"),
        ("auroc of root/covid", "'root/covid', which is not in"),
        ("accuracy of covid", "accuracy is over all classes"),
        ("recall(covid", "no measure"),
    ],
)
def test_parse_refuses_with_the_nearest(text, message):
    with pytest.raises(EvaluationError, match=message):
        Measure.parse(text, TREE)
