"""Anybody's table: what its columns mean, and what its scores are."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from hilum.errors import EvaluationError
from hilum.judging.cases import read_cases
from hilum.judging.roles import parse_columns
from hilum.labels import LabelTree
from hilum.records import MISSING

#: name, text, tree, kind, predicted classes, and what else must be said.
TABLES = [
    ("torch.csv", "image,label,p_covid,p_normal\na,covid,.9,.1\nb,normal,.2,.8\n",
     "normal, covid", "probabilities", [1, 0], ""),
    ("sklearn.csv", "y_true,y_prob\n1,.9\n0,.2\n1,.3\n", "0, 1", "probabilities", [1, 0, 0],
     "high ones are taken to mean '1'"),
    ("excel.csv", "id;truth;prob_0;prob_1;prob_2\nx1;0;0,7;0,2;0,1\nx2;2;0,1;0,2;0,7\nx3;1;0;1;0\n",
     "0, 1, 2", "probabilities", [0, 2, 1], ""),
    ("long.csv", "case,class,score,truth\na,x,1.5,x\na,y,-2,x\nb,x,.1,y\nb,y,2,y\n", "x, y",
     "logits", [0, 1], ""),
    ("logits.tsv", "file\ttarget\tlogit_ill\tlogit_well\na\till\t2\t-1\nb\twell\t-3\t4\n",
     "ill, well", "logits", [0, 1], ""),
    ("classes.csv", "truth,predicted\ncovid,covid\nnormal,covid\n", "normal, covid", "labels",
     [1, 1], ""),
    ("sigmoids.csv", "image,label,covid,normal\na,covid,.9,.5\nb,normal,.2,.9\n",
     "normal, covid", "scores", [1, 0], "sum to 1.1 to 1.4, and not to 1"),
    ("rounded.csv", "image,label,a,b,c\n1.png,a,.33,.33,.33\n2.png,b,.1,.8,.1\n3.png,c,0,0,1\n",
     "a, b, c", "probabilities", [0, 1, 2], "taken as rounded"),
    ("our.csv", "path,truth,predicted,correct,p(normal),p(covid),p(other),root/normal,"
     "root/infected,infected/covid,infected/other\n1,covid,other,0,.4,.3,.3,.4,.6,.5,.5\n"
     "2,other,other,1,.1,.3,.6,.1,.9,.3,.7\n", "normal, infected(covid, other)", "probabilities",
     [2, 2], ""),
    ("twice.csv", "image,label,score\na.png,1,.9\na.png,1,.9\nb.png,0,.1\n", "0, 1",
     "probabilities", [1, 0], "that stand there again left out (a.png)"),
    ("patients.csv", "id,label,score\np1,1,.9\np1,1,.8\np2,0,.1\n", "0, 1", "probabilities",
     [1, 1, 0], "is taken for the patient"),
    ("percent.csv", "truth;score\n1;90,5 %\n0;20 %\n1;30 %\n", "0, 1", "probabilities", [1, 0, 0],
     "high ones"),
    ("hundred.csv", "truth,prob\n1,90\n0,20.5\n1,60\n", "0, 1", "probabilities", [1, 0, 1],
     "read as percent"),
    ("counts.csv", "truth,score\n1,900\n0,20\n1,800\n", "0, 1", "scores", [1, 0, 1], "predicted"),
    ("svm.csv", "truth,score\n1,900\n0,-800\n1,50\n", "0, 1", "scores", [1, 0, 1], "a score of 0"),
    ("keras.csv", "y_true,y_pred\n1,.9\n0,.2\n1,.3\n", "0, 1", "probabilities", [1, 0, 0], ""),
    ("sure.csv", "truth,predicted,confidence\n1,1,.9\n0,0,.8\n1,0,.7\n", "0, 1", "probabilities",
     [1, 0, 0], "whichever class was predicted"),
    ("sure3.csv", "truth,predicted,confidence\na,a,.9\nb,c,.8\nc,c,.7\n", "a, b, c", "labels",
     [0, 2, 2], ""),
    ("alphabet.csv", "truth,prob_0,prob_1\nnormal,.1,.9\ncovid,.8,.2\n", "normal, covid",
     "probabilities", [0, 1], "0 is covid, 1 is normal"),
    ("onehot.csv", "true_a,true_b,true_c,p_a,p_b,p_c\n1,0,0,.7,.2,.1\n0,1,0,.1,.2,.7\n", "a, b, c",
     "probabilities", [0, 2], "read as classes"),
    ("named.csv", "image,label,site,age\n1.png,site,.9,.1\n2.png,age,.2,.8\n", "age, site",
     "probabilities", [1, 0], ""),
    ("odd.csv", 'label,p(id),p("x"),"p(a, b)",p(score)\nid,1,0,0,0\n"x",0,1,0,0\n"a, b",0,.1,.9,0\n'
     "score,0,0,0,1\n", 'a b, id, score, x', "probabilities", [1, 3, 0, 2], ""),
    ("languages.csv", "image,label,p_肺炎,p_正常\n1,肺炎,.9,.1\n2,正常,.2,.8\n", "正常, 肺炎",
     "probabilities", [1, 0], ""),
    ("nothing.csv", "path,truth(mass),p(mass),truth(No Finding),p(No Finding)\na,1,.8,0,.1\n"
     "b,0,.3,1,.4\n", "{mass}", "probabilities", [0, 0], ""),
    ("pred.csv", "mass_true,mass_pred\n1,.8\n0,.3\n", "{mass}", "probabilities", [0, 0], ""),
    ("findings.csv", "path,truth(effusion),p(effusion),truth(mass),p(mass)\na,1,.8,0,.1\n"
     "b,0,.3,,.4\n", "{effusion, mass}", "probabilities", [0, 0], ""),
]  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table[0])
def test_tables_as_people_have_them(tmp_path: Path, table: tuple[str, ...]) -> None:
    name, text, tree, kind, predicted, said = table
    (tmp_path / name).write_text(text, encoding="utf-8")
    cases = read_cases(tmp_path / name)
    assert (str(cases.tree), cases.kind) == (tree, kind)
    assert cases.predictions.predicted.tolist() == predicted
    assert said in " ".join(cases.notes), cases.notes
    assert np.allclose(cases.predictions.probs.sum(axis=1), 1)
    if name == "our.csv":
        assert cases.predictions.decision_probs["infected"][0].tolist() == [0.5, 0.5]
    if name == "patients.csv":
        assert cases.groups == ("p1", "p1", "p2")
    if name == "pred.csv":
        assert cases.predictions.present.tolist() == [[True], [False]], "a score is no call"
    if name == "findings.csv":
        assert cases.marks.tolist() == [[1, 0], [0, MISSING]]


def test_one_table_in_every_kind_of_file(tmp_path: Path) -> None:
    names, truth = ["a", "b", "c"], [0, 1, 1]
    probs = np.array([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9]])
    columns = {"case": names, "truth": truth, "prob_0": probs[:, 0], "prob_1": probs[:, 1]}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", case=names, truth=np.array(truth)[:, None], prob=probs)
    rows = zip(names, truth, probs.tolist(), strict=True)
    lines = (json.dumps({"case": n, "truth": t, "prob": p}) for n, t, p in rows)
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = [read_cases(tmp_path / f"t.{kind}") for kind in ("parquet", "npz", "jsonl")]
    for cases in found:
        assert cases.predictions.names == ("a", "b", "c")
        assert np.allclose(cases.predictions.probs, probs)
        assert cases.truth.tolist() == truth


def test_columns_are_told_and_subgroups_kept(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "scan,diag,m1,m2,who,where,sex\n1,sick,.2,.8,p1,A,F\n2,fine,.9,.1,p2,B,M\n3,sick,.5,.5,p1,A,\n"
    )
    told = parse_columns("truth=diag,p:fine=m1,p:sick=m2,patient=who,by:clinic=where,case=scan")
    cases = read_cases(table, columns=told, classes=LabelTree.from_text("fine, sick"))
    assert cases.groups == ("p1", "p2", "p1")
    assert cases.attributes == {"clinic": ["A", "B", "A"], "sex": ["F", "M", None]}
    assert "m2 (scores of sick)" in cases.reading


@pytest.mark.parametrize(
    ("name", "text", "columns", "refusal"),
    [
        ("t.xlsx", "x", "", "Save the sheet as CSV"),
        ("t.csv", "a,b\n1,2\n", "", "there is no column of the truth"),
        ("t.csv", "truth,a\nx,1\ny,2\n", "", "neither scores of the classes x and y"),
        ("t.csv", "truth,prob_x\nx,1\ny,2\nz,3\n", "", "none of y and z"),
        ("t.csv", "truth,score\n1,.5\n0,\n", "", "1 case without a score or class (row 3)"),
        ("t.csv", "truth,score\n1,.5\n0,inf\n", "", "infinite"),
        ("t.csv", "truth,predicted\nx,x\ny,\n", "", "1 case without a score or class"),
        ("t.csv", "case,class,score,truth\na,x,1,x\na,,2,y\n", "", "'' in the column"),
        ("t.csv", "truth,score\n1,.5\n0,high\n", "", "should be numbers; found high"),
        ("t.csv", "truth,score\n1,.5\n1,.4\n", "", None),
        ("t.csv", "truth,score\nx,.5\nx,.4\n", "", "all cases are of one class, 'x'"),
        ("t.csv", "truth,score\n1,.5\n", "truth=lable", "there is no column 'lable'"),
        ("t.csv", "truth,score\n1,.5\n0,.2\n", "thruth=truth", "there is no role 'thruth'"),
        ("t.csv", "truth,score\n1,.5\n0\n", "", "1 cells; the header has 2"),
        ("t.csv", "truth,truth\n1,2\n", "", "two columns are called truth"),
        ("t.csv", "truth,score\n", "", "holds no rows"),
        ("t.csv", "a.nii.gz,0.4,0.6\nb.nii.gz,0.1,0.9\n", "", "looks like a case"),
        ("t.csv", "truth,p_b,p_a\n0,.5,.5\n1,.2,.8\n", "", "--classes 'a, b'"),
        ("t.csv", "truth(a),p(a)\n2,.5\n", "", "should hold 0, 1, or -1"),
        ("t.jsonl", '{"truth":1,"score":0.4}\n{"truth":1}\n', "", "a row has the keys truth"),
    ],
)
def test_what_means_nothing_is_refused(
    tmp_path: Path, name: str, text: str, columns: str, refusal: str | None
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    if refusal is None:
        assert str(read_cases(tmp_path / name).tree) == "0, 1", "one class of two"
        return
    with pytest.raises(EvaluationError) as error:
        read_cases(tmp_path / name, columns=parse_columns(columns))
    assert refusal in str(error.value)


def test_what_a_model_failed_on_is_left_out_only_with_a_word(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("truth,score\n1,.5\n0,\n,.3\n")
    cases = read_cases(tmp_path / "t.csv", leave_out_missing=True)
    assert len(cases) == 1
    assert "1 case without a truth" in cases.notes[0]
    assert "may flatter" in cases.notes[1]
