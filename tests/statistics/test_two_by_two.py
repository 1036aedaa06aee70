import numpy as np

from hilum.codec import to_plain
from hilum.statistics.intervals import wilson
from hilum.statistics.two_by_two import TwoByTwo
from tests.plain import again


def test_counts_and_measures():
    positive = np.repeat([True, False], [8, 16])
    called = np.array([True] * 6 + [False] * 2 + [True] * 4 + [False] * 12)
    table = TwoByTwo.count(positive, called)
    assert table == TwoByTwo(tp=6, fp=4, tn=12, fn=2)
    assert table.n == 24
    measures = table.measures()
    assert measures.sensitivity == wilson(6, 8)
    assert measures.specificity == wilson(12, 16)
    assert measures.ppv == wilson(6, 10)
    assert measures.npv == wilson(12, 14)
    assert again(table) == table
    assert again(measures) == measures


def test_what_no_image_defines_is_undefined():
    measures = TwoByTwo(tp=0, fp=0, tn=3, fn=0).measures()
    assert to_plain(measures.sensitivity) == {
        "value": None, "reason": "no positive image", "n": 3
    }  # fmt: skip
    assert measures.ppv.reason == "no image was called positive"
    assert measures.specificity.value == measures.npv.value == 1
    assert TwoByTwo(2, 1, 0, 0).measures().npv.reason == "no image was called negative"
    assert TwoByTwo(2, 0, 0, 0).measures().specificity.reason == "no negative image"
