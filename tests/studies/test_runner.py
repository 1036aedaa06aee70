"""Running studies: what is trained, shared, resumed, refused and reported."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from hilum.codec import to_plain
from hilum.errors import EvaluationError, HilumError, Interrupted, RecipeError, StudyError
from hilum.evaluation.files import read_evaluation
from hilum.evaluation.predictions_file import read_predictions, read_told
from hilum.radiographs.dataset import open_dataset
from hilum.reporting.study.page import write_study_page
from hilum.studies.folds import divide
from hilum.studies.results import StudyResult, read_study
from hilum.studies.runner import run_study
from hilum.studies.study_run import do_run, plan_study
from hilum.training.run import train
from tests.marked import write_marked
from tests.studies.small import small_data, small_study
from tests.training.test_resume import outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    return small_data(tmp_path / "spots")


def facts(result: StudyResult) -> Any:
    """A result without what a clock measured."""

    def plain(value):
        if isinstance(value, dict):
            clock = ("seconds", "compute_seconds", "images_per_second")
            return {k: plain(v) for k, v in value.items() if k not in clock}
        return [plain(v) for v in value] if isinstance(value, list) else value

    return plain(to_plain(result))


def test_a_study(tmp_path, data):
    reports: list[Any] = []
    result = run_study(small_study(tmp_path), data, tmp_path / "out", on_run=reports.append)

    assert [(r.run.variant, r.run.recipe.seed, r.done, r.total) for r in reports] == [
        ("slow", 0, 1, 4), ("quick", 0, 2, 4), ("slow", 1, 3, 4), ("quick", 1, 4, 4),
    ]  # fmt: skip
    assert reports[0].seconds_left > 0
    assert reports[-1].seconds_left == 0
    for variant in result.variants.values():
        first, second = variant.runs
        assert (first.seed, first.fold, second.seed, second.fold) == (0, 0, 1, 1)
        assert first.n + second.n == variant.pooled.n == first.n_train + first.n == 24
        assert [row["epoch"] for row in first.history] == [1, 2]
        assert variant.mean.value == pytest.approx((first.value + second.value) / 2)
        assert variant.mean.n == 2
        assert first.own_val.n == sum(sum(row) for row in first.own_val_matrix or ()) == 6
        assert variant.own_val_mean.value == pytest.approx(
            (first.own_val.value + second.own_val.value) / 2
        )
        table = tmp_path / "out/rates" / variant.predictions
        truth, predictions = read_predictions(table)
        assert set(predictions.names) == {r.name for r in data.records if r.split == "train"}
        assert variant.pooled.accuracy.value == pytest.approx(
            np.mean(truth == predictions.predicted)
        )
        # of each run, what was pooled is what it says of its held-out fold
        for run in variant.runs:
            own = read_evaluation(
                tmp_path / "out/runs" / run.run / "evaluation/held-out/evaluation.json"
            )
            assert own.accuracy.value == run.value
    (comparison,) = result.comparisons
    assert {comparison.a, comparison.b} == {"slow", "quick"}
    assert len(result.sentences) == 1
    assert result.data["groups"] == 24
    assert result.compute_seconds > 0
    assert result.failures == result.published == ()

    assert read_study(tmp_path / "out/rates") == result
    written = json.loads((tmp_path / "out/rates/study.json").read_text())
    assert to_plain(read_study(tmp_path / "out/rates")) == written

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/runs").rglob("*.*") if p.is_file()}
    again = run_study(small_study(tmp_path), data, tmp_path / "out")
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/runs").rglob("*.*") if p.is_file()}
    assert again == result
    assert {p: t for p, t in after.items() if p.suffix != ".lock"} == {
        p: t for p, t in before.items() if p.suffix != ".lock"
    }


def test_one_seed_gives_no_interval_and_says_so(tmp_path, data):
    result = run_study(small_study(tmp_path, seeds=1), data, tmp_path / "out")
    mean = result.variants["quick"].mean
    assert mean.value is not None
    assert (mean.low, mean.high) == (None, None)
    assert "With one seed no interval can be given" in result.notes[0]
    assert "1 of 2 folds" not in result.notes[0]


def test_a_failed_run_leaves_the_others_going(tmp_path, data):
    variants = {"bad": {"epochs": 3}, "good": {}, "slow": {"epochs": 1}}
    study = small_study(tmp_path, variants=variants)
    for run in plan_study(study, data).runs:
        if run.variant == "bad":
            (tmp_path / "out/runs" / run.key).mkdir(parents=True)
            (tmp_path / "out/runs" / run.key / "stranger.txt").write_text("")
    result = run_study(study, data, tmp_path / "out")
    assert [(f.variant, f.seed, f.fold) for f in result.failures] == [("bad", 0, 0), ("bad", 1, 1)]
    assert "holds other files (stranger.txt)" in result.failures[0].error
    assert result.variants["bad"].mean.reason == "no run of it finished"
    assert result.variants["bad"].pooled is None
    assert len(result.variants["good"].runs) == 2
    assert [(c.a, c.b) for c in result.comparisons] == [("good", "slow")]
    assert read_study(tmp_path / "out/rates/study.json") == result


def test_what_nobody_foresaw_is_a_failure_too(tmp_path, data, monkeypatch):
    def broken(*args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr("hilum.studies.study_run.train", broken)
    result = run_study(small_study(tmp_path), data, tmp_path / "out")
    assert len(result.failures) == 4
    assert result.failures[0].error.startswith("MemoryError: no room (test_runner.py, line ")
    assert result.comparisons == ()


def test_studies_share_the_runs_they_have_in_common(tmp_path, data):
    out = tmp_path / "out"
    first = run_study(small_study(tmp_path), data, out)
    shared = {"other": {"batch_size": 4}, "same": {"learning_rate": 0.003}}
    second = run_study(small_study(tmp_path, name="sizes", variants=shared), data, out)
    keys = [r.run for r in first.variants["quick"].runs]
    assert [r.run for r in second.variants["same"].runs] == keys
    assert len([p for p in (out / "runs").iterdir() if p.is_dir()]) == 6
    assert second.variants["same"].mean == first.variants["quick"].mean


def test_variants_that_compute_the_same_are_one_training(tmp_path, data):
    out = tmp_path / "out"
    reports: list[Any] = []
    variants = {"adam": {"optimizer": "adam"}, "adamw": {"optimizer": "adamw"}}
    study = small_study(tmp_path, variants=variants)
    result = run_study(study, data, out, on_run=reports.append)
    assert [(r.run.variant, r.done, r.total) for r in reports] == [("adam", 1, 2), ("adam", 2, 2)]
    assert len([p for p in (out / "runs").iterdir() if p.is_dir()]) == 2
    adam, adamw = result.variants.values()
    assert adam.mean == adamw.mean
    assert adam.recipe["optimizer"] != adamw.recipe["optimizer"]
    assert result.compute_seconds == pytest.approx(adam.seconds)
    assert result.sentences == (
        "The data cannot tell `adam` from `adamw`: their accuracy is the same in every run.",
    )
    assert any("'adam' and 'adamw' are one training" in note for note in result.notes)
    assert json.loads((out / "rates/plan.json").read_text())["runs"] == [r.run for r in adam.runs]

    decayed = {name: {**keys, "weight_decay": 0.01} for name, keys in variants.items()}
    plan = plan_study(small_study(tmp_path, variants=decayed), data)
    assert len(plan.trainings) == len(plan.runs) == 4


def test_a_training_begun_for_a_variant_that_computes_the_same_goes_on(tmp_path, data):
    variants = {"slow": {"learning_rate": 1e-5}, "adam": {"optimizer": "adam"}}
    runs = plan_study(small_study(tmp_path, variants=variants), data)
    (run,) = (r for r in runs.runs if (r.variant, r.number) == ("adam", 0))

    def stop(row):
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        do_run(run, runs.folds, tmp_path / "out/runs", stop)
    variants = {"adamw": {"optimizer": "adamw"}, "quicker": {"learning_rate": 0.01}}
    result = run_study(small_study(tmp_path, variants=variants), data, tmp_path / "out")
    assert result.failures == ()
    assert result.variants["adamw"].runs[0].run == run.key


def test_a_failure_counts_for_all_variants_of_a_training(tmp_path, data, monkeypatch):
    def broken(*args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr("hilum.studies.study_run.train", broken)
    variants = {"adam": {"optimizer": "adam"}, "adamw": {"optimizer": "adamw"}}
    result = run_study(small_study(tmp_path, variants=variants), data, tmp_path / "out")
    told = [(f.variant, f.seed) for f in result.failures]
    assert told == [("adam", 0), ("adamw", 0), ("adam", 1), ("adamw", 1)]


def test_a_run_that_another_study_holds_is_waited_for(tmp_path, data, monkeypatch):
    out = tmp_path / "out"
    study = small_study(tmp_path)
    key = plan_study(study, data).runs[0].key
    (out / "runs").mkdir(parents=True)
    held = filelock.FileLock(out / "runs" / f".{key}.lock")
    held.acquire()
    waits = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        held.release()

    monkeypatch.setattr("hilum.studies.workers.time.sleep", let_go)
    order = []
    run_study(study, data, out, on_run=lambda r: order.append(r.run.key))
    assert waits
    assert order[-1] == key


def test_a_run_that_was_trained_elsewhere_is_used_under_its_key(tmp_path, data):
    study = small_study(tmp_path)
    own = {"name": "mine", "description": "of mine"}
    recipe = study.recipe_of("quick", 1).model_copy(update=own)
    moved = tmp_path / "out/runs" / plan_study(study, data).runs[3].key
    train(divide(data, 2, block_size=1).part(1), recipe, moved)
    before = outcome(moved)
    result = run_study(study, data, tmp_path / "out")
    assert not result.failures
    assert outcome(moved) == before
    whole = run_study(study, data, tmp_path / "whole")
    assert facts(whole) == facts(result)


def test_a_run_under_a_false_key_is_not_used(tmp_path, data):
    study = small_study(tmp_path)
    result = run_study(study, data, tmp_path / "out")
    slow, quick = (result.variants[name].runs[0].run for name in ("slow", "quick"))
    runs = tmp_path / "out/runs"
    (runs / slow).rename(runs / "aside")
    (runs / quick).rename(runs / slow)
    (runs / "aside").rename(runs / quick)
    again = run_study(study, data, tmp_path / "out")
    assert len(again.failures) == 2
    assert "holds another training than its name says" in again.failures[0].error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_study_that_then_goes_on(tmp_path, data, number):
    def interrupt(what, done, total):
        if done == 3:
            signal.raise_signal(number)

    study = small_study(tmp_path)
    with pytest.raises(Interrupted, match="stopped with 1 of 4 runs done.*the same command"):
        run_study(study, data, tmp_path / "stopped", progress=interrupt)
    resumed = run_study(study, data, tmp_path / "stopped")
    assert facts(resumed) == facts(run_study(study, data, tmp_path / "whole"))


def test_a_run_that_was_killed_before_it_began_is_begun(tmp_path, data):
    study = small_study(tmp_path)
    for run in plan_study(study, data).runs:
        folder = tmp_path / "out/runs" / run.key
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text("half of")
        (folder / ".run.json.x1.partial").write_text("{")
    assert not run_study(study, data, tmp_path / "out").failures


def test_workers_train_the_same_and_stop_at_ctrl_c(tmp_path, data, warm_workers):
    told = []

    def interrupt(what, done, total):
        told.append((done, total))
        if done == 5:  # of 2 epochs each, so one run at least is done
            signal.raise_signal(signal.SIGINT)

    study = small_study(tmp_path)
    with pytest.raises(Interrupted, match="of 4 runs done"):
        run_study(study, data, tmp_path / "stopped", jobs=2, progress=interrupt)
    assert told[0] == (1, 8)
    resumed = run_study(study, data, tmp_path / "stopped")
    assert facts(resumed) == facts(run_study(study, data, tmp_path / "whole"))


def test_a_killed_study_leaves_no_workers_and_goes_on(tmp_path, data, python):
    command = [python, "-m", "tests.studies.killed_study", str(tmp_path), str(tmp_path / "killed")]
    done = subprocess.run(command, check=False, capture_output=True, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    runs = tmp_path / "killed/runs"
    locks = list(runs.glob(".*.lock"))
    assert locks
    for lock in locks:  # 10,000 epochs would take longer: a free lock says that its worker ended
        with filelock.FileLock(lock, timeout=90):
            pass
    endless = [p for p in runs.glob("*/recipe.toml") if "epochs = 10000" in p.read_text()]
    assert len(endless) <= 1
    assert not any((p.parent / "classifier").exists() for p in endless)

    study = small_study(tmp_path)
    resumed = run_study(study, data, tmp_path / "killed")
    whole = run_study(study, data, tmp_path / "whole")
    assert facts(resumed) == facts(whole)
    for run in whole.variants["slow"].runs:
        assert outcome(runs / run.run) == outcome(tmp_path / "whole/runs" / run.run)


def test_changed_data_are_refused_unless_restarted(tmp_path, data):
    study = small_study(tmp_path)
    run_study(study, data, tmp_path / "out")
    (data.root / "train/normal/3.png").write_bytes(
        (data.root / "val/infected/covid/1.png").read_bytes()
    )
    (data.root / "val/infected/covid/1.png").unlink()
    changed = open_dataset(data.root)
    with pytest.raises(StudyError, match=r"the data changed since 4 of its runs.*--restart"):
        run_study(study, changed, tmp_path / "out")
    assert (tmp_path / "out/rates/study.json").exists()
    result = run_study(study, changed, tmp_path / "out", restart=True)
    assert result.data["fingerprint"] == changed.fingerprint
    assert run_study(study, changed, tmp_path / "out") == result


def test_a_damaged_plan_is_refused_unless_restarted(tmp_path, data):
    (tmp_path / "out/rates").mkdir(parents=True)
    (tmp_path / "out/rates/plan.json").write_text('{"format": 1, "study": {}, "runs": []}')
    with pytest.raises(StudyError, match=r"lacks the key 'data'. Remove it, or add --restart"):
        run_study(small_study(tmp_path), data, tmp_path / "out")


def test_the_data_s_own_split(tmp_path, data):
    result = run_study(small_study(tmp_path, folds=0), data, tmp_path / "out")
    runs = result.variants["quick"].runs
    assert [(r.fold, r.n, r.n_train, r.own_val) for r in runs] == [(0, 6, 24, None)] * 2
    assert result.variants["quick"].pooled.n == 6
    assert result.variants["quick"].own_val_mean is None
    assert "speak of the seeds" in result.notes[0]


@pytest.mark.parametrize(
    ("labels", "changes", "label"),
    [
        ("{bar, dot}", {"stress": 4}, "mean AUROC over findings"),
        ("normal, abnormal{bar, dot}", {"measure": "exact match"}, "exact match over findings"),
        ("{bar, dot}", {"measure": "recall of dot"}, "recall of dot"),
    ],
)
def test_a_study_of_findings(tmp_path, labels, changes, label):
    write_marked(tmp_path / "marked", {"train": 24, "val": 8}, size=32)
    dataset = open_dataset(tmp_path / "marked", tree=labels)
    study = small_study(tmp_path, **changes)
    result = run_study(study, dataset, tmp_path / "out")
    assert result.failures == ()
    assert result.measure["label"] == label
    (comparison,) = result.comparisons
    assert comparison.n_groups == result.data["groups"] == 12  # two images of each patient
    assert set(comparison.delong) == ({"bar", "dot"} if "AUROC" in label else set())
    assert result.data["findings"]["train"]["bar"]["present"] == 12
    for variant in result.variants.values():
        path = tmp_path / "out/rates" / variant.predictions
        told = read_told(path, dataset.tree)
        rows = {r.name: r for r in dataset.records if r.split == "train"}
        assert set(told.predictions.names) == set(rows)
        marks = np.array([rows[name].marks for name in told.predictions.names])
        np.testing.assert_array_equal(told.marks, marks)
        # no threshold was fitted on what is held out
        np.testing.assert_array_equal(
            told.predictions.present, told.predictions.finding_probs >= 0.5
        )
        for run in variant.runs:
            folder = tmp_path / "out/runs" / run.run / "evaluation/held-out"
            own = read_evaluation(folder / "evaluation.json")
            expected = {
                "mean AUROC over findings": own.over_findings["macro_auroc"],
                "exact match over findings": own.over_findings["exact_match"],
                "recall of dot": own.findings["dot"].per_class["dot"].recall,
            }
            assert run.value == pytest.approx(expected[label].value)
            assert run.own_val.n == 8
            assert (run.own_val_matrix is None) == (not dataset.tree.decisions)
        assert variant.pooled.n == 24
        assert set(variant.pooled.findings) == {"bar", "dot"}
        assert bool(variant.stressed) == ("stress" in changes)
    assert read_study(tmp_path / "out/rates") == result

    page = write_study_page(result, tmp_path / "study.html").read_text(encoding="utf-8")
    assert "Pooled measures over findings" in page
    assert ("Confusion matrix, pooled" in page) == bool(dataset.tree.decisions)
    assert ("Paired differences of the mean AUROC under stress" in page) == ("stress" in changes)
    assert f"{result.headline}, own val" in page


def test_one_decision(tmp_path, data):
    study = small_study(
        tmp_path, decision="infected", measure="recall of covid", seeds=1,
        variants={"a": {"strategy": "cascade"}, "b": {}},
    )  # fmt: skip
    result = run_study(study, data, tmp_path / "out")
    assert result.measure["label"] == "recall of covid"
    assert result.variants["a"].pooled.classes == ("covid", "non-covid")
    assert {r["decision"] for r in result.variants["a"].runs[0].history} == {"root"}


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"measure": "acuracy"}, EvaluationError, "Did you mean 'accuracy'"),
        ({"measure": "recall of covdi"}, EvaluationError, "Did you mean 'covid'"),
        ({"decision": "lungs"}, StudyError, "no decision 'lungs'"),
        (
            {"variants": {"a": {}, "b": {"decision": {"root": {"epochs": 3}}}}},
            RecipeError,
            "settings for the decision 'root'",
        ),
        (
            {
                "variants": {
                    "a": {"decision": {"flat": {"epochs": 3}}},
                    "b": {"epochs": 9, "decision": {"flat": {"epochs": 3}}},
                }
            },
            StudyError,
            "'a' and 'b' train the same on these labels",
        ),
        ({"block_size": 50}, HilumError, "Try blocks of"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_anything_is_written(
    tmp_path, data, changes, kind, said
):
    with pytest.raises(kind, match=said):
        run_study(small_study(tmp_path, **changes), data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_copies_of_training_images_in_the_data_s_own_val_are_told(tmp_path, data):
    copy = data.root / "train/normal/3.png"
    (data.root / "val/normal/0.png").write_bytes(copy.read_bytes())
    data = open_dataset(data.root)
    result = run_study(small_study(tmp_path), data, tmp_path / "out")
    assert result.notes == (
        "1 of the 6 images of the data's own val are also in train: figures on it are too good.",
    )


def test_jobs_below_one_are_refused(tmp_path, data):
    with pytest.raises(StudyError, match="at least 1 job"):
        run_study(small_study(tmp_path), data, tmp_path / "out", jobs=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "Not a study's result"),
        ('{"format": 2}', "Not a study's result in format 1"),
        ('{"format": 1}', "lacks the key 'study'"),
    ],
)
def test_a_result_that_is_none(tmp_path, content, said):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(StudyError, match=said):
        read_study(tmp_path)
    with pytest.raises(StudyError, match="Cannot read"):
        read_study(tmp_path / "nothing.json")
