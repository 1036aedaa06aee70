"""The range of stored values: one rule, whatever file holds them."""

#: The significant bits of detectors, which store 10 to 14 of them in words of 16.
_DEPTHS = (8, 10, 12, 14, 16)


def value_range(low: int, high: int, stated: int | None, *, signed: bool) -> tuple[int, int]:
    """The values of black and white: the ends of what the bits of a file's values can hold.

    low, high: its least and its largest value. stated: how many bits the file says they have,
    where that are fewer than its words hold; signed: whether it says two's complement then.
    Where it states none, they are the fewest of 8, 10, 12, 14 or 16 that hold all values (that a
    word has 16 bits says nothing of the detector), and signed where one is negative.
    """
    if stated:
        return bounds(stated, signed)
    ranges = (bounds(bits, low < 0) for bits in _DEPTHS)
    return next(r for r in ranges if r[0] <= low and high <= r[1])


def bounds(bits: int, signed: bool) -> tuple[int, int]:
    """The least and the largest number of so many bits."""
    half = 1 << (bits - 1)
    return (-half, half - 1) if signed else (0, 2 * half - 1)
