"""Judging: claims whose truth is known, the verdict, leaks, the report and the verb."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef, roc_auc_score

import hilum
from hilum.errors import EvaluationError
from hilum.judging.cases import Cases, read_cases
from hilum.judging.claims import parse_claim
from hilum.judging.images import look_at
from hilum.judging.judge import read_judgement
from hilum.judging.leaks import find_leak
from hilum.judging.verdict import tell_leak
from hilum.judging.weighing import judge_claims
from hilum.radiographs.dataset import Dataset
from tests.command import run_command


def write(
    file: Path, n: int = 400, skill: float = 2.0, *, seed: int = 0, only: range | None = None
) -> Path:
    """Two images of a patient, three classes, a site and a sex. skill: how well they are told."""
    random = np.random.default_rng(7)
    truth = random.integers(0, 3, n)
    logits = np.random.default_rng(seed).normal(size=(n, 3))
    logits[np.arange(n), truth] += skill
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = ("normal", "covid", "other")
    lines = ["image,patient,label,p_normal,p_covid,p_other,site,sex"]
    for i in only or range(n):
        cells = ",".join(f"{p:.6f}" for p in probs[i])
        lines.append(
            f"{i}.png,p{i // 2},{names[truth[i]]},{cells},{'AB'[i % 2]},{'FM'[i // 3 % 2]}"
        )
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tables")
    return {
        "good": write(folder / "good.csv", skill=3.0),
        "poor": write(folder / "poor.csv", skill=1.0, seed=1),
        "val": write(folder / "val.csv", 500, skill=3.0, seed=2, only=range(400, 500)),
    }


@pytest.fixture(scope="module")
def cases(tables: dict[str, Path]) -> tuple[Cases, Cases]:
    return read_cases(tables["good"]), read_cases(tables["poor"])


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        ("accuracy > 0.6", "shown"),
        ("accuracy > 99 %", "contradicted"),
        ("accuracy < 0.99", "shown"),
        ("balanced accuracy >= 0.6", "shown"),
        ("MCC > 0.99", "contradicted"),
        ("AUROC > 0.9", "shown"),
        ("recall of covid >= 0.5", "shown"),
        ("specificity(covid) > 0.5", "shown"),
        ("F1 of other > 0.5", "shown"),
        ("accuracy > commonest class", "shown"),
        ("accuracy > OTHER", "shown"),
        ("accuracy > OTHER + 0.02", "shown"),
        ("accuracy > OTHER + 0.5", "contradicted"),
        ("macro AUROC > OTHER", "shown"),
        ("balanced accuracy > OTHER", "shown"),
        ("AUROC of covid > OTHER + 0.3", "contradicted"),
        ("calibration error <= 0.3", "shown"),
        ("accuracy alike across site within 0.3", "shown"),
        ("accuracy alike across site within 0.001", "not shown"),
        ("recall of normal alike across sex", "not shown"),
    ],
)
def test_claims(cases: tuple[Cases, Cases], claim: str, status: str) -> None:
    one, other = cases
    (found,) = judge_claims([parse_claim(claim, one.tree)], one, other)
    assert found.status == status, found
    assert found.evidence.n


@pytest.mark.parametrize(
    ("claim", "refusal"),
    [
        ("it is good", "Cannot read the claim"),
        ("accuracy > much", "is no number"),
        ("accuracy > 7", "between 0 and 1"),
        ("recal of covid > 0.5", "There is no measure"),
        ("recall of flu > 0.5", "not in"),
        ("AUROC > commonest class", "the commonest class has an accuracy"),
        ("AUROC alike across site", "subgroups are compared by"),
        ("accuracy alike across clinic", "there are no subgroups 'clinic'"),
        ("calibration error > OTHER", "not compared by the calibration error"),
        ("accuracy > OTHER", "give --against"),
    ],
)
def test_claims_that_are_none(cases: tuple[Cases, Cases], claim: str, refusal: str) -> None:
    with pytest.raises(EvaluationError) as error:
        judge_claims([parse_claim(claim, cases[0].tree)], cases[0])
    assert refusal in str(error.value)


def test_many_claims_share_one_chance_of_error(cases: tuple[Cases, Cases]) -> None:
    alone = judge_claims([parse_claim("accuracy > 0.6", cases[0].tree)], cases[0])[0]
    claims = [parse_claim(f"accuracy > {bound}", cases[0].tree) for bound in (0.6, 0.95, 0.97)]
    beside = judge_claims(claims, cases[0])[0]
    assert beside.p == alone.p_adjusted
    assert beside.p_adjusted is not None
    assert beside.p is not None
    assert beside.p_adjusted >= 3 * beside.p


def test_false_claims_are_rarely_shown(cases: tuple[Cases, Cases]) -> None:
    """At the bound itself 2.5 % of tables may show a claim; benchmarks/bench_claims.py has more."""
    one, random, shown, of = cases[0], np.random.default_rng(11), 0, 1000
    claim = parse_claim("accuracy > 0.8", one.tree)
    for _ in range(of):
        right = np.repeat(random.random(len(one) // 2) < 0.8, 2)  # a patient's two are alike
        called = np.where(right, one.truth, (one.truth + 1) % 3)
        drawn = replace(one, predictions=replace(one.predictions, predicted=called))
        shown += judge_claims([claim], drawn)[0].status == "shown"
    assert 0 < shown / of <= 0.05


def test_the_judgement_and_its_report(
    tables: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "judged"
    asked = ["judge", str(tables["good"]), "--against", str(tables["poor"]), "--validation",
             str(tables["val"]), "--train", str(tables["val"]), "--operate",
             "covid: recall>=0.9", "--prevalence", "covid=0.02", "--out", str(out)]  # fmt: skip
    code, printed, _ = run_command(monkeypatch, capsys, *asked)
    assert code == 0
    judgement = read_judgement(out)
    assert judgement.n == 400
    assert judgement.patients == 200
    assert "400 cases of 200 patients" in printed
    assert "intervals draw patients" in printed
    assert "difference: paired t" in printed
    assert "recall of other >= 0.9 (0." in printed, "a class of this name is no other model"
    assert {claim.status for claim in judgement.claims} >= {"shown"}
    for sentence in judgement.verdict:
        assert sentence.text in printed
        assert sentence.numbers
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in ("What may be claimed", "accuracy &gt; OTHER", "For a review", "Operating points",
                 "How the model behind it was made", "Confusion matrix on these cases.",
                 "Of these 400 cases ", "were their patients an independent sample"):  # fmt: skip
        assert text in page
    assert "one training with one seed" not in page, "which is not known of it"
    assert "nothing here can tell" not in page, "its training table was given"
    evaluation = json.loads((out / "evaluation/cases/evaluation.json").read_text())
    assert evaluation["intervals"]["patients"] == 200
    cases = read_cases(tables["good"])
    truth, said = cases.truth, cases.predictions
    agreed = {
        "balanced_accuracy": balanced_accuracy_score(truth, said.predicted),
        "macro_auroc": roc_auc_score(truth, said.probs, multi_class="ovr"),
        "matthews_correlation": matthews_corrcoef(truth, said.predicted),
    }
    for name, value in agreed.items():
        assert evaluation[name]["value"] == pytest.approx(value)
        assert evaluation[name]["method"] == "cluster bootstrap"
    assert hilum.compare(out, out)[0].differences[0].difference.value == 0


def test_what_was_trained_on_is_told_and_left_out(
    cases: tuple[Cases, Cases], tmp_path: Path
) -> None:
    train = tmp_path / "train.csv"
    train.write_text("image,patient\n0.png,p0\nelse.png,p5\n")
    leak = find_leak(cases[0], train, {})
    assert (leak.cases, leak.patients, leak.n) == (1, 2, 396)
    assert "without these the accuracy" in tell_leak(leak).text
    train.write_text("image\nelse.png\n")
    clean = find_leak(cases[0], train, {})
    assert "No case of train.csv is among them" in tell_leak(clean).text
    with pytest.raises(EvaluationError, match="do not both name cases"):
        find_leak(replace(cases[0], named=False), train, {})
    train.write_text("name of nothing\n1\n")
    with pytest.raises(EvaluationError, match="names neither cases nor patients"):
        find_leak(cases[0], train, {})


def test_images_tell_of_copies_and_looks(spots: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "films"
    shutil.copytree(spots.root, root)
    (root / "val/normal/0.png").write_bytes((root / "train/normal/0.png").read_bytes())
    data = hilum.open_dataset(root)
    table, lines = tmp_path / "t.csv", ["file,truth,predicted"]
    for row in data.indices("val").tolist():
        record = data.records[row]
        lines.append(f"{record.name},{data.tree.classes[data.labels[row]]},covid")
    table.write_text("\n".join(lines))
    found = look_at(read_cases(table), data)
    assert found.leak is not None
    assert found.leak.cases >= 1
    assert found.leak.n == 12 - found.leak.cases
    assert {"brightness", "contrast", "image size"} <= set(found.bands)
    assert "compared by name" not in tell_leak(found.leak).text
    table.write_text(table.read_text().replace("val/normal/1.png", "val/normal/99.png"))
    with pytest.raises(EvaluationError, match="1 case of t.csv have no image"):
        look_at(read_cases(table), data)


TWO = "truth,score\n" + "1,.9\n0,.1\n" * 20


@pytest.mark.parametrize(
    ("text", "beside", "said"),
    [
        ("truth,score\n" + "1,.1\n0,.9\n" * 20, {}, "Scores of '1' are lower where it is"),
        ("truth,score\n" + "1,.1\n0,.9\n" * 3, {}, None),
        ("label,p_a,p_b\n" + "a,.5,.5\nb,.2,.8\n" * 5, {}, "Of 5 cases no class is more probable"),
        ("truth,predicted,score\n" + "1,0,.9\n0,0,.1\n" * 5, {}, "two columns exchanged"),
        (TWO, {"against": TWO.replace("9", "8")}, "Cases are not named: a row"),
        (TWO, {"against": TWO.replace(".9", ".0")}, "against.csv: Scores of '1' are lower"),
        (TWO, {}, "about 36 cases of 1 would be needed"),
        (TWO, {"validation": TWO.replace("9", "8")}, "whether some of validation.csv"),
        ("patient," + TWO.replace("\n1", "\np,1").replace("\n0", "\np,0"), {}, "one patient"),
        ("label,pred\n" + "".join(f"c{i},c{i}\n" for i in range(30)), {}, "30 classes, 1 to 1 of"),
    ],
)
def test_what_looks_wrong_is_said(
    tmp_path: Path, text: str, beside: dict[str, str], said: str | None
) -> None:
    for name, table in {"cases": text, **beside}.items():
        (tmp_path / f"{name}.csv").write_text(table)
    tables = {name: tmp_path / f"{name}.csv" for name in beside}
    judgement = hilum.judge(tmp_path / "cases.csv", **tables).judgement  # type: ignore[arg-type]
    text = " ".join((*judgement.notes, *(s.text for s in judgement.verdict)))
    assert (said or "") in text
    assert ("are lower" in text) == ("are lower" in (said or ""))
    assert len(judgement.claims) < 9


@pytest.mark.parametrize(
    ("first", "second", "asked", "refusal"),
    [
        (TWO, TWO, "validation", "holds the same as"),
        ("site," + TWO.replace("\n", "\nA,")[:-2], "site," + TWO.replace("\n", "\nB,")[:-2],
         "against", "site differs, of row 2"),
        ("image,truth,score\na,1,.9\nb,0,.8\n", "truth,score\n1,.9\n0,.8\n", "against",
         "second.csv does not name its cases"),
    ],
)  # fmt: skip
def test_rows_that_are_not_the_same_cases(
    tmp_path: Path, first: str, second: str, asked: str, refusal: str
) -> None:
    (tmp_path / "first.csv").write_text(first)
    (tmp_path / "second.csv").write_text(second)
    with pytest.raises(EvaluationError, match=refusal):
        hilum.judge(tmp_path / "first.csv", **{asked: tmp_path / "second.csv"})  # type: ignore[arg-type]


def test_a_matrix_alone_and_figures_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*asked: str) -> str:
        return run_command(monkeypatch, capsys, "judge", *asked)[1]

    printed = said("--confusion", "7,1,0;0,8,0;0,4,4")
    assert "0.792 (0.595 to 0.908)" in printed
    assert "no scores, only classes" in printed
    published = ("--accuracy", "0.79", "--n", "24")
    compared = said(*published, "--against-accuracy", "0.75")
    assert "not the better one has a probability of 37%" in compared
    assert json.loads(said(*published, "--json"))["value"] == pytest.approx(19 / 24)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ([], "Give a table of predictions, or figures alone"),
        (["--accuracy", "0.5"], "Say of how many cases"),
        (["--confusion", "1,2;3"], "Cannot read the confusion matrix"),
        (["GOOD", "--operate", "covid: recall>=0.9"], "give --validation"),
        (["GOOD", "--validation", "GOOD"], "cannot be measured on it"),
        (["GOOD", "--against", "VAL"], "are of other cases"),
    ],
)
def test_what_is_asked_wrongly(
    tables: dict[str, Path],
    asked: list[str],
    refusal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    names = {"GOOD": str(tables["good"]), "VAL": str(tables["val"])}
    out = ["--out", str(tmp_path / "out")] if "GOOD" in asked else []
    words = [names.get(word, word) for word in asked]
    code, _, refused = run_command(monkeypatch, capsys, "judge", *words, *out)
    assert code == 2
    assert refusal in " ".join(refused.split())
