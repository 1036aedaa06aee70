"""The public functions take what people have, say what they made, and refuse in sentences."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hilum
from hilum.classifier.validation import Validation
from hilum.errors import HilumError
from hilum.radiographs.dataset import Dataset
from hilum.studies.compare import compare_variants
from hilum.studies.measures import Measure
from tests.spots import write_spots
from tests.studies.held_out import TREE, held_out

QUICK = {
    "name": "small", "strategy": "flat", "network": "naive", "image_size": 32, "epochs": 1,
    "batch_size": 8, "device": "cpu",
}  # fmt: skip
IMAGE = "train/normal/0.png"
#: For calls that a type checker would refuse.
untyped: Any = hilum

HALVES = "train=0.5, val=0.5"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data set 'spots', the run 'run' on it, and its recipe."""
    root = tmp_path_factory.mktemp("api")
    data = write_spots(root / "spots", {"train": 6, "val": 3})
    hilum.train(str(data), QUICK, str(root / "run"))
    return root


def in_kind(kind: str, root: Path) -> tuple[Any, Any, Any]:
    """A classifier, data and a recipe, as texts, as paths or as objects."""
    run, data, recipe = root / "run", root / "spots", root / "run/recipe.toml"
    if kind == "object":
        return hilum.Run(run), hilum.open_dataset(data), hilum.Recipe.load(recipe)
    return (run, data, recipe) if kind == "Path" else (str(run), str(data), str(recipe))


def evaluated(classifier: Any, data: Any, out: Path) -> str:
    """The folder of an evaluation."""
    hilum.evaluate(classifier, data, out=out)
    return str(out)


def calibrated(classifier: Any, data: Any) -> Any:
    """On as many images as watching needs."""
    many = {"name": "d", "fingerprint": "", "split": "val", "n": 30}
    model = hilum.Run(classifier).classifier
    assert model.validation is not None
    rows = np.arange(36) % len(model.validation.truth)
    logits = {name: values[rows] for name, values in model.validation.logits.items()}
    kept = Validation(model.validation.truth[rows], logits, many)
    return replace(model, validation=kept)


#: Calls with a classifier, data, a recipe and a folder to write to, of which each uses what it
#: needs; how what comes of it is printed, and a file that is then there.
CALLS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "audit": (lambda c, d, r, out: hilum.audit(d, out), r"Audit of spots: \d+ ", "audit.html"),
    "split": (
        lambda c, d, r, out: hilum.split(d, out / "s.csv", parts=HALVES, block_size=1),
        r"Split of 27 images in \d+ groups: train \d+, val \d+",
        "s.csv",
    ),
    "train": (
        lambda c, d, r, out: hilum.train(d, r, out),
        r"Classifier 'small' of normal, infected\(covid, non-covid\): flat, naive, 32 x 32 pixels",
        "run.json",
    ),
    "evaluate": (
        lambda c, d, r, out: hilum.evaluate(c, d, out=out),
        r"Evaluation of 9 images of spots \(val\): accuracy 0\.",
        "evaluation.json",
    ),
    "assess": (
        lambda c, d, r, out: hilum.assess(c, d, out=out, operate="covid: recall>=0.5")[1],
        "Assessment of 9 images of val",
        "assessment.json",
    ),
    "compare": (
        lambda c, d, r, out: hilum.compare(*(evaluated(c, d, out / name) for name in "ab"))[0],
        r"That a and b differ in accuracy is not shown on val \(9 images\): \+?0\.000",
        "a/predictions.csv",
    ),
    "judge": (
        lambda c, d, r, out: hilum.judge(
            Path(evaluated(c, d, out / "a")) / "predictions.csv", out=out
        ).judgement,
        r"Judgement of predictions\.csv: \d of 5 claims shown",
        "judgement.json",
    ),
    "calibrate": (
        lambda c, d, r, out: hilum.calibrate(c, d, out=out),
        "Classifier .*, calibrated",
        "classifier.json",
    ),
    "explain": (
        lambda c, d, r, out: hilum.explain(c, place(d) / IMAGE, out, methods="gradcam", dataset=d),
        r"Explanation of 1 image: 0\.png: .*, truly normal",
        "explanation.json",
    ),
    "export": (lambda c, d, r, out: hilum.export(c, out / "given"), ".*given", "given/README.md"),
    "predict_folder": (
        lambda c, d, r, out: hilum.predict_folder(c, str(place(d) / "val"), out / "p.csv"),
        r"Summary\(.*images=9, failed=0",
        "p.csv",
    ),
    "watch": (
        lambda c, d, r, out: hilum.watch(
            calibrated(c, d), write_spots(out / "week", {"week": 12}, seed=5), out
        ),
        r"Watch of 36 images: ",
        "watch.html",
    ),
    "predict": (
        lambda c, d, r, out: hilum.Run(c).classifier.predict(d),
        r"Predictions of 27 images: \d+ normal, \d+ covid, \d+ non-covid$",
        "",
    ),
    "write_report": (
        lambda c, d, r, out: hilum.write_report(c, out / "r.html", images=d), ".*", "r.html"
    ),
    "create_app": (lambda c, d, r, out: hilum.create_app(c), ".*FastAPI", ""),
    "open_dataset": (
        lambda c, d, r, out: hilum.open_dataset(place(d), tree="normal, infected", exclude=IMAGE),
        r"Dataset 'spots': 26 images of normal, infected \(train 17, val 9\)",
        "",
    ),
    "read_radiograph": (
        lambda c, d, r, out: hilum.read_radiograph(place(d) / IMAGE).shape, r"\(32, 32\)", ""
    ),
    "Run": (
        lambda c, d, r, out: hilum.Run(c),
        r"Run 'small' on spots: normal, infected\(covid, non-covid\); ",
        "",
    ),
}  # fmt: skip


def place(data: str | Path | Dataset) -> Path:
    """The folder of data in any kind."""
    return Path(data) if isinstance(data, str | Path) else data.root


@pytest.mark.parametrize("kind", ["str", "Path", "object"])
@pytest.mark.parametrize("name", CALLS)
def test_every_function_takes_paths_and_objects(
    root: Path, tmp_path: Path, name: str, kind: str
) -> None:
    call, said, file = CALLS[name]

    made = call(*in_kind(kind, root), tmp_path)

    assert re.match(said, repr(made)), repr(made)
    assert (tmp_path / file).exists()
    if hasattr(made, "_repr_html_"):
        assert len(repr(made)) <= 241
        assert made._repr_html_().count('class="hilum-shown') == 1


def test_every_public_name_is_called_here() -> None:
    covered = {*CALLS, "Classifier", "LabelTree", "Recipe", "__version__"}

    assert set(hilum.__all__) == covered - {"predict"}


def test_a_run_tells_what_it_is(root: Path, tmp_path: Path) -> None:
    evaluated = hilum.evaluate(root / "run", root / "spots", out=root / "run/evaluation/val")
    run = hilum.Run(root / "run")

    assert run.recipe == hilum.Recipe.from_dict(QUICK)
    assert (run.facts["name"], run.tree) == ("small", run.classifier.tree)
    assert [epoch.epoch for epoch in run.history["flat"]] == [1]
    assert run.evaluations["val"].confusion_matrix == evaluated.confusion_matrix
    assert f"accuracy on val {evaluated.accuracy.in_words()}" in repr(run)
    assert "Evaluations" in run._repr_html_()
    assert hilum.write_report([run, str(root / "run")]) == root / "run/report.html"


def test_images_in_every_kind_are_classified_alike(root: Path) -> None:
    classifier = hilum.Classifier.load(root / "run")
    file = root / "spots" / IMAGE
    with Image.open(file) as image:
        grey = np.asarray(image)
        kinds: list[Any] = [str(file), file, image, grey, grey / 255, np.stack([grey] * 3, axis=2)]

        found = classifier.predict(kinds)
        explained = hilum.explain(classifier, [image, grey], methods=())

    assert (found.probs == found.probs[0]).all()
    assert [one.name for one in found] == [str(file)] * 3 + [""] * 3
    assert [image.name for image in explained.images] == [str(file), "image 2"]
    assert explained._repr_html_().count("<img") == 4, "the radiograph and feature maps of each"


def test_a_division_goes_from_split_into_training_and_evaluation(
    root: Path, tmp_path: Path
) -> None:
    table = tmp_path / "split.csv"
    made = hilum.split(root / "spots", table, folds=3, seed=1, block_size=1)

    hilum.train(root / "spots", QUICK, tmp_path / "run", split_file=str(table), fold=0)
    found = hilum.evaluate(tmp_path / "run", root / "spots")

    assert found.n == sum(part == "0" for part in made.parts.values()), "as the run was divided"


def test_comparisons_and_recipes_print_as_a_line(root: Path) -> None:
    a, b = ([held_out([0, 1, 2, 0], said)] for said in ([0, 1, 2, 0], [0, 1, 1, 0]))
    compared = compare_variants(TREE, Measure.parse("accuracy", TREE), ("a", a), ("b", b))
    recipe = hilum.Recipe.load("default").override(epochs=3, name="<b>mine</b>")

    assert repr(compared).startswith("Comparison of 'a' less 'b' by accuracy: 0.250")
    assert "difference, over runs" in compared._repr_html_()
    assert f"{recipe}" == repr(recipe)
    assert "3 epochs" in repr(recipe)
    assert "<b>mine" not in recipe._repr_html_(), "what is foreign stays text"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda d: untyped.train(d, "defalt", "x"), "no recipe 'defalt'.* Did you mean 'default'"),
        (lambda d: untyped.train(d, {"lr": 1}, "x"), "lr is not a key.*'learning_rate'"),
        (
            lambda d: untyped.Recipe(lr=1),
            "^lr is not a key.*'learning_rate'",
        ),
        (lambda d: untyped.Recipe(epochs=0), "^epochs: .*found 0"),
        (
            lambda d: untyped.Recipe(image_size=4),
            "^image_size: height and width must be",
        ),
        (lambda d: untyped.Recipe().override(bs=4), "Did you mean 'batch_size'"),
        (lambda d: untyped.Recipe().override("opt=adam"), "Did you mean 'optimizer'"),
        (lambda d: untyped.train(d, 5, "x"), "A recipe is a name.*found a value of type int"),
        (lambda d: untyped.train({"a": 1}, None, "x"), "Data are a folder.*of type dict"),
        (lambda d: untyped.train("nowhere", None, "x"), "nowhere: there is no such folder"),
        (lambda d: untyped.open_dataset(""), "A path is a text that is not empty.*found ''"),
        (lambda d: untyped.open_dataset(3), "A path is a text.*found 3"),
        (lambda d: untyped.audit(None), "Data are a folder.*NoneType"),
        (lambda d: untyped.evaluate(3, d), "A classifier is its folder.*of type int"),
        (lambda d: untyped.evaluate("nowhere", d), "nowhere: neither a classifier"),
        (lambda d: untyped.evaluate(run_of(d), d, "tset"), "no split 'tset'; found train, val"),
        (lambda d: untyped.evaluate(run_of(d), d, rule="best"), "no rule 'best'"),
        (
            lambda d: untyped.evaluate(run_of(d), hilum.open_dataset(d, tree="normal, infected")),
            "open them with tree=classifier.tree",
        ),
        (
            lambda d: untyped.Classifier.load(run_of(d), device="gpu"),
            r"device: expected auto, cpu.*\(found 'gpu'\)",
        ),
        (
            lambda d: untyped.calibrate(run_of(d), d, out=d),
            "spots: holds other files .*name an empty or a new folder",
        ),
        (lambda d: untyped.explain(run_of(d), d / IMAGE, methods="grad-cam"), "grad-cam"),
        (lambda d: untyped.export(run_of(d), "x", to="onxx"), "Did you mean 'onnx'"),
        (lambda d: untyped.split(d, parts="train=x"), "is no share"),
        (lambda d: untyped.Run(d), "is not a run folder"),
        (lambda d: untyped.write_report([]), "at least one run folder"),
        (lambda d: untyped.predict_folder(run_of(d), d, "p.txt"), "end the name in .csv"),
        *(
            (
                call,
                "A path is a text that is not empty, or a Path; found (3|''|b'x'|a value of type)",
            )
            for call in (
                lambda d: untyped.train(d, QUICK, d / "x", split_file=3),
                lambda d: untyped.audit(d, croissant=3),
                lambda d: untyped.judge(None),
                lambda d: untyped.compare(3, d),
                lambda d: untyped.predict_folder(run_of(d), None, d / "p.csv"),
                lambda d: untyped.predict_folder(run_of(d), [b"x"], d / "p.csv"),
                lambda d: untyped.watch(run_of(d), 3),
                lambda d: untyped.write_report(3),
                lambda d: untyped.Run(b"x"),
                lambda d: untyped.Classifier.load(None),
            )
        ),
        (lambda d: untyped.evaluate("", d), "A classifier is its folder.*found an empty text"),
        (lambda d: untyped.train(d, QUICK, d / "x", allow=3), "'?3'?.* Known: leakage"),
        (lambda d: untyped.open_dataset(d, layout=3), "3.* Known: "),
        (lambda d: untyped.create_app(d), "neither a classifier"),
        (lambda d: untyped.open_dataset(d, exclude="*.dcm"), r"exclude pattern '\*\.dcm'"),
    ],
)
def test_refusals_are_sentences(root: Path, call: Callable[[Path], Any], said: str) -> None:
    with pytest.raises(HilumError, match=said) as refused:
        call(root / "spots")

    assert "pydantic" not in str(refused.value).lower()
    assert not re.search(r"validation error|\[type=", str(refused.value))


def run_of(data: Path) -> Path:
    return data.parent / "run"


def test_the_examples_of_the_documentation_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs/python.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    write_spots(tmp_path / "chest-xrays", {"train": 6, "val": 3})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hilum.process.own_process", lambda: None)  # not of the tests
    known: dict[str, Any] = {}

    exec("\n".join(blocks).replace('"chest-xrays", "quick"', f'"chest-xrays", {QUICK}'), known)

    assert len(blocks) == 4
    assert len(known["found"]) == 4
    assert known["recipe"].settings("flat").epochs == 5
    listed = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    documented = {name for row in listed for name in re.findall(r"`(\w+)", row)}
    assert {*hilum.__all__} - {"__version__"} <= documented


def test_a_misspelt_name_is_told_the_right_one() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'. Did you mean 'train'"):
        _ = untyped.trian
    assert callable(hilum.audit), "the package of the audit does not stand in its way"
