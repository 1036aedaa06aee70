"""The sections on stress tests and shifted films, and the files that they refuse."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.evaluation.files import EVALUATION_FILE, read_evaluation
from hilum.evaluation.predictions_file import read_predictions
from hilum.evaluation.shift import summarise_shift, write_shift
from hilum.evaluation.stress import StressRun, summarise_stress, write_stress
from hilum.labels import LabelTree
from hilum.reporting.evaluation_charts import stress_chart
from hilum.reporting.runs import read_runs
from hilum.reporting.sections.elsewhere import show_stress
from hilum.reporting.subject import Subject
from hilum.reporting.svg import number_charts
from hilum.transforms.corrupt import CORRUPTIONS
from tests.reporting.conftest import LABELS
from tests.reporting.test_assessed_sections import words

TREE = LabelTree.from_text(LABELS)


def stress(run, *, wrong=5, corruptions=("blur", "jpeg", "crop"), split="val"):
    """Write the stress.json of a run whose corrupted copies flip that many right classes."""
    folder = run / "evaluation" / split
    truth, clean = read_predictions(folder / "predictions.csv")
    right = np.flatnonzero(clean.predicted == truth)
    stressed = {}
    for i, name in enumerate(corruptions):
        for strength in (2, 4):
            predicted = clean.predicted.copy()
            flipped = right[: max(0, wrong + strength - i)]
            predicted[flipped] = (truth[flipped] + 1) % len(TREE.classes)
            stressed[name, strength] = replace(clean, predicted=predicted)
    evaluation = read_evaluation(folder / EVALUATION_FILE)
    found = replace(
        summarise_stress(TREE, StressRun(truth, clean, stressed), split),
        rule=evaluation.rule,
        data=evaluation.data,
        classifier=evaluation.classifier,
    )
    write_stress(found, folder)
    return found


def test_the_section_tells_the_drop_and_the_worst(make_run):
    run = make_run()  # 20 of 25 are right
    stress(run)

    text = words("stress", run)

    # 7 and 9 flipped under blur, 6 and 8 under jpeg, 5 and 7 under crop: 14, 13 and 12 of 20 stay
    assert "The accuracy is 80.0 % (60.9 to 91.1 %) on the 25 images as they are" in text
    stressed = (13 + 11 + 14 + 12 + 15 + 13) / 6 / 25
    assert f"and {100 * stressed:.1f} %" in text
    assert f"lower by {80 - 100 * stressed:.1f} (" in text
    assert "lowest under blur, 48.0 %" in text
    assert "kinds that no augmentation of training has 0.520" in text
    assert "blur: standard deviation, share of the shorter side" in text
    assert text.index("Every corruption, the most harmful first") < text.index("corner_crop")


def test_a_run_that_was_not_stressed_is_named(make_run):
    tested, bare = make_run("a", name="first"), make_run("b", name="second")
    stress(tested)
    assert "Not measured for second: how it does where" in words("stress", tested, bare)
    assert "Run hilum evaluate --stress full, or --stress quick." in words("stress", bare)


def test_no_difference_is_no_difference(make_run):
    run = make_run()
    stress(run, wrong=-9, corruptions=("jpeg",))  # nothing is flipped: every resample agrees
    (shown,) = show_stress(Subject(read_runs([run])))["shown"]
    assert "the difference has no interval (every resample gives" in shown["sentence"]
    assert "lowest" not in shown["sentence"]


def test_a_stress_test_of_another_classifier_is_refused(make_run):
    run = make_run()
    stress(run)
    path = run / "evaluation/val/stress.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"rule": "route", "data": {"name": "other"}}))
    with pytest.raises(HilumError, match=r"not about the same rule and data .* --stress, or"):
        read_runs([run])
    path.write_text(json.dumps(content | {"n": 24}))
    with pytest.raises(HilumError, match="is about 24 images of val"):
        read_runs([run])
    path.write_text("{}")
    with pytest.raises(HilumError, match="Not a stress test in format 1"):
        read_runs([run])


def test_a_chart_draws_and_says_every_corruption(make_run):
    found = stress(make_run())
    svg = stress_chart(found.corruptions, found.clean.accuracy, family="detail")
    for i, corruption in enumerate(found.corruptions):
        first, second = (x.measures.accuracy.value for x in corruption.levels)
        assert f"{corruption.name}: {first:.3f} at 2, {second:.3f} at 4." in svg
        assert f"var(--series-{i + 1})" in svg
        assert f">{corruption.name}<" in svg
    assert "Clean 0.800." in svg
    assert re.search(r'id="k0-title"', number_charts(svg, "k"))


def test_every_family_fits_in_a_chart(make_run):
    families = [c.family for c in CORRUPTIONS]
    assert max(families.count(family) for family in families) <= 4
    found = stress(make_run())
    with pytest.raises(ValueError, match="1 to 4 corruptions, not 6"):
        stress_chart(found.corruptions * 2, found.clean.accuracy, family="all")


def test_shifted_films_give_a_range_from_the_worst_to_the_films_as_they_are(make_run):
    run = make_run()  # 20 of 25 are right
    assert "Run hilum evaluate --shift" in words("shift", run)
    folder = run / "evaluation" / "val"
    truth, clean = read_predictions(folder / "predictions.csv")
    right = np.flatnonzero(clean.predicted == truth)

    def wrong(n):
        predicted = clean.predicted.copy()
        predicted[right[:n]] = (truth[right[:n]] + 1) % len(TREE.classes)
        return replace(clean, predicted=predicted)

    copies = {(kind, 0): wrong(n) for kind, n in (("composite", 3), ("exchange", 5), ("both", 9))}
    evaluation = read_evaluation(folder / EVALUATION_FILE)
    found = replace(
        summarise_shift(TREE, StressRun(truth, clean, copies), "val"),
        rule=evaluation.rule, data=evaluation.data, classifier=evaluation.classifier,
    )  # fmt: skip
    write_shift(found, folder)

    text = words("shift", run)

    low = found.kinds["both"].measures.accuracy.low
    assert f"an accuracy of {100 * low:.0f} to 91 %" in text.replace(
        "\u202f", " "
    )  # Wilson's upper bound of 20 of 25
    assert "0.440" in text  # 11 of 25
    write_shift(replace(found, rule="argmax" if found.rule == "route" else "route"), folder)
    with pytest.raises(HilumError, match="not about the same rule .* evaluate again with --shift"):
        read_runs([run])
