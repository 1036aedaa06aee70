import pytest

from hilum.classifier.threshold import Demand
from hilum.errors import EvaluationError


@pytest.mark.parametrize(
    ("text", "demand"),
    [
        (" recall >= 0.95 ", Demand("sensitivity", 0.95)),
        ("Sensitivity≥.9", Demand("sensitivity", 0.9)),
        ("specificity>=1", Demand("specificity", 1)),
        ("precision>=0.8", Demand("ppv", 0.8)),
        ("PPV>=0.8", Demand("ppv", 0.8)),
        ("npv>=0.99", Demand("npv", 0.99)),
    ],
)
def test_demands_are_read(text, demand):
    assert Demand.parse(text) == demand
    assert Demand.parse(str(demand)) == demand


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recall>0.95", "MEASURE>=VALUE"),
        ("recall", "MEASURE>=VALUE"),
        ("recall>=0.9.5", "MEASURE>=VALUE"),
        ("recall>=.", "MEASURE>=VALUE"),
        ("recal>=0.9", "no measure 'recal'. Did you mean 'recall'"),
        ("recall>=95", "demands 95; a demand lies above 0"),
        ("recall>=0", "above 0"),
    ],
)
def test_demands_that_make_no_sense_are_refused(text, message):
    with pytest.raises(EvaluationError, match=message):
        Demand.parse(text)
