"""From words as they are stored to the numbers that are meant.

What BitsStored, HighBit and PixelRepresentation, the codestream and the values themselves say is
compared here, in one way whatever the words were decoded by.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import DataError
from hilum.radiographs.depth import bounds
from hilum.radiographs.dicom.codestream import Codestream
from hilum.records import IntArray

Values = npt.NDArray[Any]

#: What share of the neighbours that two readings tell apart decides for the smoother reading. An
#: overlay of one plane on noise gives an eighth, values that wrap round by up to 3 bits over 0.4.
_WRAPS = 1 / 6
#: The same where a sign alone is in question: noise gives a half, a picture nearly all.
_SIGN = 2 / 3
_SAMPLED = 1 << 20  # pixels looked at in each direction


def numbers(
    words: Values, bits: int, unused: int, signed: bool, says: Codestream,
    refusal: Callable[[str], DataError],
) -> tuple[Values, bool]:  # fmt: skip
    """Numbers from words, and whether they are signed.

    words: unsigned. bits, unused: of a value, and of what lies below it. signed: as the header
    has it. says: the codestream.

    What lies in unused bits (once overlays: PS3.5, 8.1.1) is cut off. But where it goes on from
    pixel to pixel as a value does, and the values wrap round without it, header and values
    contradict each other, which is refused. Of a sign a JPEG 2000 codestream speaks too: where it
    and the header disagree it holds, unless the values wrap round in its reading and not in the
    header's; and they are signed if one is negative.
    """
    whole: list[Values] = [words, words.view(f"i{words.dtype.itemsize}")]
    if unused:
        whole = [w >> unused for w in whole]
    kept = _cut(whole[signed], bits, signed)
    if says.signed not in (None, signed):
        theirs = _cut(whole[not signed], bits, not signed)
        if _smoother(theirs, [kept], _SIGN) is None:
            kept = theirs
        signed = bool(kept.min() < 0)
    others = [] if kept is whole[signed] else whole
    only_sign = int(whole[0].max()) < 1 << bits
    other, lowest = _smoother(kept, others, _SIGN if only_sign else _WRAPS), unused
    if unused and int(words.max()) < 1 << bits and (words & ((1 << unused) - 1)).any():
        other, lowest = words, 0  # bits that should be unused are in use, the highest are not
    if other is not None:
        low, high = int(other.min()), int(other.max())
        length = max(high, ~low).bit_length() + (low < 0)
        raise refusal(
            f"says that its values are {_in_words(bits, signed, unused)}, but they are "
            f"{_in_words(length, low < 0, lowest)}; correct its tags BitsStored, HighBit and "
            "PixelRepresentation, or export it anew."
        )
    return kept, signed


def _cut(values: Values, bits: int, signed: bool) -> Values:
    """The lowest bits of values; these themselves where they have no more."""
    least, most = bounds(bits, signed)
    if least <= int(values.min()) and int(values.max()) <= most:
        return values
    above = 8 * values.dtype.itemsize - bits
    cut: Values = (values << above) >> above
    return cut


def _smoother(values: Values, others: Sequence[Values], share: float) -> Values | None:
    """The reading in which neighbours are more alike than in values, where the two differ."""
    for other in others:
        differ, closer = 0, 0
        for here, there in zip(_steps(values), _steps(other), strict=True):
            differ += int((here != there).sum())
            closer += int((there < here).sum())
        if closer > share * differ:
            return other
    return None


def _steps(values: Values) -> Iterator[IntArray]:
    """How far apart neighbours are, along and across some of the rows and columns."""
    every = 1 + values.size // _SAMPLED
    for lines in (values[::every], values.T[::every]):
        yield np.abs(np.diff(lines.astype(np.int64), axis=1))


def _in_words(bits: int, signed: bool, lowest: int) -> str:
    kind = "signed" if signed else "unsigned"
    return f"{kind} numbers of {bits} bits, the highest at {bits + lowest - 1}"
