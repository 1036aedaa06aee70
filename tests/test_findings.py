"""Findings from a table to an ONNX file, over trees with a choice, findings, or both."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, hamming_loss, roc_auc_score

from hilum.classifier.classifier import Classifier
from hilum.classifier.risk_control import fit_risk_control, measure_risk_control
from hilum.classifier.threshold import best_f1_threshold
from hilum.decisions import FLAT
from hilum.errors import DataError, LabelError, RecipeError
from hilum.evaluation.assess import assess, read_assessment
from hilum.evaluation.compare import compare
from hilum.evaluation.evaluate import run_split
from hilum.evaluation.files import read_evaluation
from hilum.evaluation.predictions_file import read_told
from hilum.evaluation.shift import measure_shift
from hilum.evaluation.stress import measure_stress
from hilum.exporting.onnx import export_onnx
from hilum.labels import LabelTree
from hilum.prediction.table import Table
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.recipe import Recipe
from hilum.records import ABSENT, MISSING, PRESENT, UNCERTAIN
from hilum.settings import Settings
from hilum.statistics.curves import average_precisions
from hilum.statistics.two_by_two import predictive_values
from hilum.studies.folds import divide
from hilum.training.loss import count_right, make_loss
from hilum.training.order import kinds_of
from hilum.training.run import train
from hilum.wording import NARROW
from tests.command import run_command

ROOT_ONLY, BELOW = "{left, right}", "normal, abnormal{left, right}"
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")

RECIPE = Recipe.load("covinet-flat").override(
    network="naive", image_size=32, epochs=6, learning_rate=3e-3, batch_size=16
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films with a bright spot at the left, at the right, at both sides or at none, in a table."""
    root = tmp_path_factory.mktemp("findings")
    rng = np.random.default_rng(0)
    with (root / "manifest.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["path", "left", "right", "patient_id", "split"])
        for i in range(160):
            film = rng.normal(90, 12, (32, 32))
            left, right = rng.random(2) < (0.5, 0.35)
            film[10:20, 4:12] += 90 * left
            film[12:22, 20:28] += 90 * right
            Image.fromarray(np.clip(film, 0, 255).astype(np.uint8)).save(root / f"{i}.png")
            told: list[object] = [int(left), int(right)]
            if i % 10 == 3:  # who labelled it could not tell, or did not say
                told[1] = ("-1", "")[i % 20 // 10]
            split = "train" if i < 80 else "val" if i < 120 else "test"
            table.writerow([f"{i}.png", *told, f"p{i // 2}", split])
    return root


@pytest.fixture(scope="module", params=[(ROOT_ONLY, "flat"), (BELOW, "flat"), (BELOW, "cascade")])
def run(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Dataset, Path]:
    """A data set under a tree, and a run that learnt it."""
    labels, strategy = request.param
    dataset = open_dataset(folder, tree=labels)
    out = tmp_path_factory.mktemp("run") / "run"
    train(dataset, RECIPE.override(strategy=strategy), out)
    return dataset, out


def test_columns_of_marks_are_read(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert dataset.tree == LabelTree.from_text(ROOT_ONLY)
    assert dataset.records[0].label == 0
    assert dataset.tree.classes == ("root",)
    counts = dataset.finding_counts()["train"]
    assert counts["left"]["present"] + counts["left"]["absent"] == 80
    assert counts["right"]["uncertain"] == counts["right"]["missing"] == 4
    below = open_dataset(folder, tree=BELOW)
    for record in below.records:
        assert below.tree.classes[record.label] == ("abnormal" if 1 in record.marks else "normal")
    exclusive = open_dataset(folder, tree="left, right")  # those that have one of them alone
    assert 0 < len(exclusive.records) < 160
    assert any("left out: one class is learned" in note for note in exclusive.notes)


def test_what_cannot_be_read_as_findings_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its findings are left, right; there is no heart"):
        open_dataset(folder, tree="{left, heart}")
    with pytest.raises(LabelError, match="'heart' is not a class of"):
        open_dataset(folder, tree=ROOT_ONLY, rename={"left": "heart"})
    image = Image.fromarray(np.full((32, 32), 80, np.uint8))
    for k in range(4):
        image.save(tmp_path / f"{k}.png")
    for rows, message in (
        (["0.png,a|none", "1.png,a|b", "2.png,b", "3.png,a"], r"beside a name for 'nothing found'"),
        (["0.png,a|b", "1.png,a|b", "2.png,a", "3.png,a"], "'a' is absent in no image of 'train'"),
        (["0.png,Mass|edema", "1.png,mass", "2.png,edema", "3.png,"], "look like one label with a"),
    ):
        (tmp_path / "manifest.csv").write_text("\n".join(["path,label", *rows]) + "\n")
        with pytest.raises(DataError, match=message):
            open_dataset(tmp_path)
    (tmp_path / "manifest.csv").write_text("path,label\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n")
    with pytest.raises(DataError, match="has one label, which excludes the others"):
        open_dataset(tmp_path, tree="{a, b}")


def test_findings_are_learnt_kept_and_evaluated(run: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, out = run
    classifier = Classifier.load(out, device="cpu")
    done = run_split(classifier, dataset, "test")
    found = done.evaluation
    assert found.over_findings["macro_auroc"].in_words() > "0.9"
    assert found.chooses == bool(dataset.tree.decisions)
    assert found.overall["accuracy"].value is None or found.chooses
    done.write(tmp_path)
    assert read_evaluation(tmp_path / "evaluation.json") == found
    told = read_told(tmp_path / "predictions.csv", dataset.tree)
    np.testing.assert_array_equal(told.predictions.probs, done.predictions.probs)
    np.testing.assert_array_equal(told.predictions.finding_probs, done.predictions.finding_probs)
    np.testing.assert_array_equal(told.predictions.present, done.predictions.present)
    # against scikit-learn, on what is known
    for finding in dataset.tree.findings:
        truth = finding.truth(done.truth, done.marks)
        np.testing.assert_array_equal(told.marks[:, finding.index] == 1, truth == 1)
        known, scores = truth >= 0, done.predictions.finding_probs[:, finding.index]
        own = found.findings[finding.name]
        assert own.n == known.sum()
        measured = own.per_class[finding.name]
        assert measured.auroc.value == pytest.approx(roc_auc_score(truth[known], scores[known]))
        called = done.predictions.present[known, finding.index]
        assert measured.f1.value == pytest.approx(f1_score(truth[known], called))
        assert "patients" in measured.recall.method or measured.recall.method.startswith("cluster")


def test_every_part_of_an_assessment_is_there_for_each_finding(
    run: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, out = run
    classifier = Classifier.load(out, device="cpu")
    _, found = assess(
        classifier, dataset, "test", operate="left: recall>=0.9", prevalence={"left": 0.02},
        out=tmp_path,
    )  # fmt: skip
    assert read_assessment(tmp_path / "assessment.json") == found
    assert list(found.findings) == ["left", "right"]
    assert found.missed is not None
    for own in found.findings.values():
        assert own.operating is not None
        assert own.conformal is not None
        assert own.calibration.n == own.n
    points = found.findings["left"].operating
    assert points is not None
    assert [str(row.point) for row in points.rows][-1] == "left: sensitivity>=0.9"
    row = next(row for row in points.rows if row.result and row.at_prevalence)
    measured = row.result.measured
    told = predictive_values(measured.sensitivity, measured.specificity, 0.02)
    assert (row.at_prevalence.ppv, row.at_prevalence.npv) == told
    assert found.findings["left"].decision_curves[-1].prevalence == 0.02
    assert found.findings["right"].operating.prevalence == {}
    with pytest.raises(LabelError, match="no label or finding 'heart'"):
        assess(classifier, dataset, "test", prevalence={"heart": 0.1})


def test_predictive_values_are_printed_at_a_given_prevalence(
    run: tuple[Dataset, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset, out = run
    asked = ("--split", "test", "--prevalence", "left=0.02", "--out", tmp_path, "--device", "cpu")
    code, said, _ = run_command(monkeypatch, capsys, "evaluate", out, dataset.root, *asked)
    assert code == 0
    (line,) = [row for row in said.splitlines() if row.startswith("left: clinic") and "0.02" in row]
    found = read_assessment(tmp_path / "assessment.json").findings["left"].operating
    assert found is not None
    (row,) = [row for row in found.rows if str(row.point) == "left: clinic"]
    assert row.at_prevalence is not None
    assert NARROW.words(row.at_prevalence.ppv) in line
    assert not any(row.startswith("right: ") for row in said.splitlines())
    for wrong in (("--coverage", "2"), ("--internal", tmp_path / "nowhere")):
        code, _, err = run_command(monkeypatch, capsys, "evaluate", out, dataset.root, *wrong)
        assert code == 2
        assert re.search("A coverage lies between 0 and 1|nowhere: holds no evaluation", err)


def test_they_are_predicted_in_words_and_as_onnx(run: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, out = run
    classifier = Classifier.load(out, device="cpu")
    chooses = bool(dataset.tree.decisions)
    rows = [int(row) for row in dataset.indices("test")]
    predictions = classifier.predict([dataset.records[row].path for row in rows])
    one = predictions[0]
    assert set(one.findings) == {"left", "right"}
    assert bool(one.predicted) == bool(one.probs) == chooses
    assert predictions.take(slice(0, 3)).finding_probs.shape == (3, 2)
    joined = Predictions.join([predictions[:5], predictions[5:]])
    np.testing.assert_array_equal(joined.present, predictions.present)
    table = Table.of(classifier, ["right: recall>=0.8"])
    assert ("predicted" in table.columns) == ("p(normal)" in table.columns) == chooses
    assert {"present", "p(left)", "p(right)", "possible"} <= set(table.columns)
    assert "right: sensitivity>=0.8" in table.columns
    if classifier.strategy == "cascade" or not chooses:  # the third is between them
        agreement = export_onnx(classifier, tmp_path / "findings.onnx")
        assert agreement.largest_difference < 1e-5


def test_stress_shift_and_comparison_know_findings(
    run: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, out = run
    classifier = Classifier.load(out, device="cpu")
    run_split(classifier, dataset, "test").write(tmp_path / "evaluation" / "test")
    worse = replace(classifier, thresholds={"left": 1.1, "right": 1.1})
    run_split(worse, dataset, "test").write(tmp_path / "worse")
    (pair,) = compare(tmp_path, tmp_path / "worse")
    named = {d.name: d for d in pair.differences}
    assert named["AUROC of left"].difference.value == 0
    assert named["F1, mean over findings"].difference.in_words().startswith("-")
    assert pair.every_finding == (not dataset.tree.decisions)
    if pair.every_finding:
        assert "has every finding of more images right than worse" in pair.sentence
    rows = dataset.indices("test")[::3]
    stress = measure_stress(classifier, dataset, rows, strengths=(1,))
    shift = measure_shift(classifier, dataset, rows, draws=1)
    for clean in (stress.clean, shift.clean):
        assert clean.accuracy.value is not None
        assert (clean.balanced_accuracy.value is None) == (not dataset.tree.decisions)


# ---- pieces by hand ---------------------------------------------------------------------------


def test_the_loss_of_findings_by_hand() -> None:
    tree = LabelTree.from_text(ROOT_ONLY)
    nan = float("nan")
    targets = torch.tensor([[1.0, 0.0], [1.0, nan], [0.0, 1.0]])
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0], [-1.0, -2.0]], dtype=torch.float32)
    loss = make_loss(tree.flat, Settings(), tree, targets.numpy(), torch.device("cpu"))
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets.nan_to_num(), reduction="none"
    )
    each[1, 1] = 0  # not known
    torch.testing.assert_close(loss(logits, targets), each.mean(dim=1).mean())
    assert loss.weight_of(targets) == 3
    # of the first both are right, of the second what is known, of the third the first
    assert count_right(logits, targets, 0) == 2.5
    balanced = make_loss(
        tree.flat, Settings(class_weights="balanced"), tree, targets.numpy(), torch.device("cpu")
    )
    each[0, 0], each[1, 0] = each[0, 0] / 2, each[1, 0] / 2  # present in 2, absent in 1
    torch.testing.assert_close(balanced(logits, targets), each.mean(dim=1).mean())
    for kind in ("focal", "asymmetric"):
        own = make_loss(
            tree.flat, Settings(findings_loss=kind), tree, targets.numpy(), torch.device("cpu")
        )
        assert 0 < own(logits, targets) < loss(logits, targets)
    with pytest.raises(RecipeError, match="has findings alone: use 'none' or 'balanced'"):
        make_loss(tree.flat, Settings(class_weights=[1.0, 2.0]), tree, targets.numpy(),
                  torch.device("cpu"))  # fmt: skip


def test_the_loss_of_a_choice_beside_findings_is_the_sum() -> None:
    tree = LabelTree.from_text(BELOW)
    nan = float("nan")
    targets = torch.tensor([[1, 0, nan, nan], [0, 1, 1.0, 0.0]])
    logits = torch.tensor([[1.0, 0.0, 5.0, 5.0], [0.2, 0.1, 1.0, 1.0]])
    loss = make_loss(tree.flat, Settings(), tree, targets.numpy(), torch.device("cpu"))
    choice = torch.nn.functional.cross_entropy(logits[:, :2], torch.tensor([0, 1]))
    both = torch.nn.functional.binary_cross_entropy_with_logits(logits[1, 2:], targets[1, 2:])
    torch.testing.assert_close(loss(logits, targets), choice + both / 2)
    assert tree.flat.name == FLAT


def test_balanced_sampling_counts_the_rarest_finding() -> None:
    nan = np.nan
    targets = np.array([[1, 1], [1, 0], [0, 0], [1, nan]])
    assert kinds_of(targets, 0).tolist() == [1, 0, 2, 0]
    assert kinds_of(np.array([0, 2]), 3).tolist() == [0, 2]


@pytest.mark.parametrize("seed", range(3))
def test_measures_over_findings_agree_with_scikit_learn(seed: int) -> None:
    from hilum.evaluation.findings import called_together, measure_findings

    rng = np.random.default_rng(seed)
    tree = LabelTree.from_text("{a, b, c}")
    n = 60
    marks = (rng.random((n, 3)) < (0.5, 0.3, 0.2)).astype(np.int64)
    scores = np.clip(marks * 0.3 + rng.random((n, 3)) * 0.7, 0, 1).round(2)
    said = Predictions(
        tuple(map(str, range(n))), np.ones((n, 1)), {}, np.zeros(n, dtype=np.int64),
        findings=("a", "b", "c"), finding_probs=scores, present=scores >= 0.5,
    )  # fmt: skip
    truth = np.zeros(n, dtype=np.int64)
    found = measure_findings(tree, truth, marks, said, groups=None, seed=0)
    expected = {
        "macro_auroc": roc_auc_score(marks, scores),
        "macro_average_precision": average_precision_score(marks, scores),
        "macro_f1": f1_score(marks, said.present, average="macro"),
        "micro_f1": f1_score(marks, said.present, average="micro"),
        "right_findings": 1 - hamming_loss(marks, said.present),
        "exact_match": (marks == said.present).all(axis=1).mean(),
    }
    assert {key: e.value for key, e in found.items()} == pytest.approx(expected)
    assert called_together(tree, truth, marks, said)[1][1] == ((marks & said.present)[:, 1]).sum()
    once = np.ones((1, n), dtype=np.int64)
    weights = rng.integers(0, 3, n)[None]
    for counts in (once, weights):
        own = average_precisions(marks[:, 0] == 1, scores[:, 0], counts)[0]
        assert own == pytest.approx(
            average_precision_score(marks[:, 0], scores[:, 0], sample_weight=counts[0])
        )


def test_risk_control_keeps_what_it_promises() -> None:
    """Over many validation sets the mean share that is missed on new images is at most 0.1."""
    rng = np.random.default_rng(1)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        present = rng.random((n, 4)) < 0.3
        return np.clip(present * 0.35 + rng.random((n, 4)) * 0.65, 0, 1), present

    probs, present = draw(2000)
    nothing = np.zeros_like(present)
    having = present.any(axis=1)
    missed = []
    for _ in range(60):
        control = fit_risk_control(*draw(80))
        ruled_out = present & ~control.possible(probs, nothing)
        missed.append((ruled_out.sum(axis=1)[having] / present.sum(axis=1)[having]).mean())
    measured = measure_risk_control(control, probs, nothing, present).missed
    assert measured.value == pytest.approx(missed[-1])
    assert 0.06 < np.mean(missed) < 0.1 + 3 * np.std(missed) / np.sqrt(len(missed))
    few = fit_risk_control(*draw(6))
    assert few.threshold == 0  # nothing is ruled out


def test_the_threshold_of_the_best_f1() -> None:
    present = np.array([True] * 12 + [False] * 20)
    scores = np.linspace(1, 0, 32)
    scores[11], scores[12] = 0.61, 0.6
    threshold = best_f1_threshold(scores, present)
    assert threshold is not None
    assert 0.6 < threshold < 0.61
    assert best_f1_threshold(scores[:14], present[:14]) is None  # two without it


def test_marks_are_four_values() -> None:
    assert sorted({PRESENT, ABSENT, UNCERTAIN, MISSING}) == [-2, -1, 0, 1]


def test_a_study_may_take_one_finding(folder: Path) -> None:
    dataset = open_dataset(folder)
    folds = divide(dataset, 2, 1, "right")
    assert folds.tree.classes == ("negative", "right")
    known = [r for r in dataset.records if r.split == "train" and r.marks[1] >= 0]
    assert len(folds.part(0).records) == len(known)
