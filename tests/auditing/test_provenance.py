"""Which public data set is this: the rules, and what the registry holds."""

import pytest
from pydantic import ValidationError

from hilum.auditing.provenance import (
    Version,
    known_sources,
    match_sources,
    provenance_findings,
    recognise,
)

TRAIN = {"normal": 1341, "covid": 1345, "non-covid": 2530}


def names(counts, **more):
    return [(m.source.name, m.confidence) for m in match_sources(counts, **more)]


def test_recognises_the_counts_of_a_known_data_set_whatever_its_other_splits():
    for counts in ({"train": TRAIN}, {"train": TRAIN, "val": {"normal": 8}}):
        source = recognise(counts)
        assert source is not None
        assert source.name == "chest-xray-150"
        assert "children" in source.meaning


@pytest.mark.parametrize(
    "counts", [{}, {"train": {**TRAIN, "covid": 1346}}, {"val": TRAIN}, {"train": {"a": 3, "b": 4}}]
)
def test_other_counts_are_not_recognised(counts):
    assert recognise(counts) is None


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        ({"train": {"NORMAL": 1341, "PNEUMONIA": 3875}}, "kaggle-pneumonia"),
        ({"train": {"NORMAL": 1341, "bacteria": 2530, "virus": 1345}}, "kaggle-pneumonia"),
        (
            {"train": {"COVID": 3616, "Normal": 10192, "Lung_Opacity": 6012,
                       "Viral Pneumonia": 1345}},
            "covid19-radiography",
        ),
        ({"train": {"COVID": 219, "NORMAL": 1341, "Viral Pneumonia": 1345}}, "covid19-radiography"),
    ],
)  # fmt: skip
def test_sets_that_are_certain_by_the_names_and_numbers_of_their_classes(counts, name):
    assert names(counts) == [(name, "certain")]


def test_the_same_numbers_under_other_names_are_likely_the_set_they_were_made_from():
    # chest-xray-150 has these numbers too, but its warning is about its own label names
    assert names({"train": {"ok": 1341, "v": 1345, "b": 2530}}) == [("kaggle-pneumonia", "likely")]


def test_round_numbers_say_less():
    own = {"train": {"covid-19": 125, "no findings": 500, "pneumonia": 500}}
    other = {"train": {"a": 125, "b": 500, "c": 500}}

    assert names(own) == [("ozturk-2020", "likely")]
    assert names(other) == [("ozturk-2020", "possible")]
    assert recognise(own) is not None
    assert recognise(other) is None, "what is only possible does not go into reports"


def test_totals_per_split_are_enough_where_no_class_is_told():
    counts = {
        "train": {"normal": 1214, "pneumonia": 3494},
        "val": {"normal": 135, "pneumonia": 389},
        "test": {"normal": 234, "pneumonia": 390},
    }

    assert names(counts) == [("pneumoniamnist", "certain")]
    assert names({k: counts[k] for k in ("train", "val")}) == []


def test_all_images_in_a_split_of_ones_own_are_likely_the_set():
    counts = {
        "train": {"normal": 1500, "pneumonia": 4000},
        "test": {"normal": 83, "pneumonia": 273},
    }

    assert names(counts) == [("kaggle-pneumonia", "likely")]


def test_lists_of_a_known_form_tell_the_set_whatever_the_counts():
    assert names({"train": {"a": 2, "b": 3}}, layout="covidx") == [("covidx", "likely")]


def test_a_known_file_tells_the_set_it_comes_from():
    known = next(s for s in known_sources() if s.name == "chest-xray-150").files
    digest = next(iter(known.values()))

    (match,) = match_sources({"train": {"a": 2, "COVID": 3}}, digests=("0" * 64, digest))

    assert (match.source.name, match.confidence) == ("chest-xray-150", "certain")
    assert "1 of 9 known files" in match.why


def test_what_a_label_means_is_said_only_where_it_is_there():
    files = next(s for s in known_sources() if s.name == "chest-xray-150").files
    counts = {"all": {"Normal": 2, "Pneumonia": 3}}

    (match,) = match_sources(counts, digests=files.values())

    assert (match.source.name, match.confidence) == ("kaggle-pneumonia", "likely")
    assert "'covid'" not in match.source.meaning
    assert "9 of 9 known files of chest-xray-150" in match.why
    assert recognise(counts, digests=files.values()) is match.source


def test_the_finding_says_what_the_label_really_is():
    (finding,) = provenance_findings(match_sources({"train": TRAIN}))

    assert finding.severity == "critical"
    assert "viral pneumonia" in finding.meaning
    assert any("CC BY 4.0" in line for line in finding.evidence)


def test_an_unknown_data_set_is_asked_about():
    (finding,) = provenance_findings(())

    assert finding.severity == "note"
    assert "who labelled the images" in finding.advice


def test_every_known_data_set_says_what_it_is():
    sources = known_sources()
    for source in sources:
        for text in (source.meaning, source.advice, *source.traps):
            assert text.endswith("."), source.name
        assert set(source.overlaps) <= {s.name for s in sources} - {source.name}
        assert all(len(digest) == 64 for digest in source.files.values())
        assert bool(source.labels) == (source.made_from in {s.name for s in sources})
        assert all(repr(label.replace(" ", "-")) in source.meaning for label in source.labels)
    assert {s.name for s in sources} == {
        "chest-xray-150", "kaggle-pneumonia", "covid19-radiography", "covidx", "ozturk-2020",
        "pneumoniamnist",
    }  # fmt: skip


def test_overlaps_are_known_from_both_sides():
    shared = {(s.name, other) for s in known_sources() for other in s.overlaps}

    assert shared == {(b, a) for a, b in shared}


def test_an_entry_needs_exactly_one_way_to_be_known():
    with pytest.raises(ValidationError, match="give one"):
        Version(name="none")
    with pytest.raises(ValidationError, match="give one"):
        Version(name="two", layout="covidx", totals={"train": 3})
