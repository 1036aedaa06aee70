import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import TrainingError
from hilum.training.plan import hold_out_blocks


@given(
    sizes=st.lists(st.integers(2, 200), min_size=1, max_size=4),
    share=st.floats(0.01, 0.89),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_parts_hold_every_class_and_together_everything(sizes, share, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    kept, held = hold_out_blocks(labels, range(len(labels)), share, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert set(labels[kept]) == set(labels[held]) == set(range(len(sizes)))


def test_it_holds_out_contiguous_blocks_of_about_the_share():
    labels = np.repeat([0, 1], [1000, 400])
    kept, held = hold_out_blocks(labels, range(1400), 0.15, seed=5)
    assert len(held) == 0.15 * 1400
    # 3 of 20 blocks a class: at most 3 runs of neighbours a class
    assert (np.diff(held) > 1).sum() + 1 <= 6
    assert len(np.intersect1d(kept, held)) == 0


@pytest.mark.parametrize("other", [0.15, 0.3])
def test_it_is_a_pure_function_of_the_seed(other):
    labels = np.zeros(500, dtype=np.int64)
    first = hold_out_blocks(labels, range(500), other, 1)[1]
    assert (first == hold_out_blocks(labels, range(500), other, 1)[1]).all()
    assert any(
        (first != hold_out_blocks(labels, range(500), other, s)[1]).any() for s in range(2, 6)
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_no_group_is_divided(seed):
    # patients of 3 images, whose edges are not those of the blocks, and a copy far away
    labels = np.zeros(200, dtype=np.int64)
    patients = [i // 3 for i in range(200)]
    patients[150] = patients[0]
    kept, held = hold_out_blocks(labels, patients, 0.2, seed)
    assert not {patients[i] for i in kept} & {patients[i] for i in held}
    assert sorted([*kept, *held]) == list(range(200))


def test_groups_that_leave_nothing_are_refused():
    labels = np.zeros(40, dtype=np.int64)
    with pytest.raises(TrainingError, match="hilum split"):
        hold_out_blocks(labels, ["one patient"] * 40, 0.2, seed=0)
