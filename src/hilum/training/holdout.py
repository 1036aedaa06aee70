"""Hold out part of the training split, by contiguous blocks of file numbers.

Neighbouring numbers are often one patient: a random hold-out would put the same patient on both
sides and report a figure that new patients do not reach.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from hilum.errors import TrainingError
from hilum.records import IntArray

BLOCKS = 20


def hold_out_blocks(
    labels: IntArray, groups: Sequence[Hashable], share: float, seed: int
) -> tuple[IntArray, IntArray]:
    """Split positions into (kept, held out), class by class.

    labels: (N,) class indices of records in natural order of their names. groups: of each record,
    such as its patient: where a block's edge or a copy divides one, all of it is kept.
    share: of each class to hold out, in (0, 1). Each class is cut into up to 20 contiguous
    blocks, of which about `share` (at least one, never all) is drawn by the seed.
    Both results are sorted positions in 0..N-1.
    Raises TrainingError where groups leave nothing of a class to hold out.
    """
    rng = np.random.default_rng([seed, 0xB10C])
    held: list[IntArray] = []
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        blocks = np.array_split(positions, min(BLOCKS, len(positions)))
        n = min(max(1, round(share * len(blocks))), len(blocks) - 1)
        held += [blocks[b] for b in rng.choice(len(blocks), size=n, replace=False)]
    out = set(np.concatenate(held).tolist())
    kept = {groups[i] for i in range(len(labels)) if i not in out}
    whole = np.array(sorted(i for i in out if groups[i] not in kept), dtype=np.int64)
    if set(labels[whole].tolist()) != set(labels.tolist()):
        raise TrainingError(
            "Blocks cannot be held out: the patients or copies in them reach into the rest. "
            "Divide the data with hilum split, and train with --split."
        )
    return np.setdiff1d(np.arange(len(labels)), whole).astype(np.int64), whole
