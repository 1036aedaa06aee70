import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.training.holdout import hold_out_blocks


@given(
    sizes=st.lists(st.integers(2, 200), min_size=1, max_size=4),
    share=st.floats(0.01, 0.89),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_parts_hold_every_class_and_together_everything(sizes, share, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    kept, held = hold_out_blocks(labels, share, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert set(labels[kept]) == set(labels[held]) == set(range(len(sizes)))


def test_it_holds_out_contiguous_blocks_of_about_the_share():
    labels = np.repeat([0, 1], [1000, 400])
    kept, held = hold_out_blocks(labels, 0.15, seed=5)
    assert len(held) == 0.15 * 1400
    # 3 of 20 blocks a class: at most 3 runs of neighbours a class
    assert (np.diff(held) > 1).sum() + 1 <= 6
    assert len(np.intersect1d(kept, held)) == 0


@pytest.mark.parametrize("other", [0.15, 0.3])
def test_it_is_a_pure_function_of_the_seed(other):
    labels = np.zeros(500, dtype=np.int64)
    first = hold_out_blocks(labels, other, 1)[1]
    assert (first == hold_out_blocks(labels, other, 1)[1]).all()
    assert any((first != hold_out_blocks(labels, other, s)[1]).any() for s in range(2, 6))
