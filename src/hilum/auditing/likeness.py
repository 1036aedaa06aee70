"""Which of many small images show the same radiograph?

All frontal chest radiographs look alike: scaled to a thumbnail, two patients may correlate at
0.98, more than one film and its slightly cropped copy. Three steps tell them apart:

1. Each image gets a perceptual hash: the low frequencies of its cosine transform, as in pHash
   (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions"), weighted
   by frequency, because the power of radiographs falls with it, and scaled to length 1. Brightness
   and contrast drop out. The numbers are kept, not only their signs: of 64 signs, a crop by 2 %
   changes up to 12, and about one pair in a hundred of different patients differs in no more.
2. Images are compared only where they share one of their nearest pivots (an inverted file: Sivic
   and Zisserman 2003, doi:10.1109/ICCV.2003.1238663). How well one matches the other up to a
   small shift and stretch is found to first order (tangent distance: Simard et al. 1992,
   "Efficient pattern recognition using a new transformation distance", NIPS 5).
3. The few that pass are brought together, each moved half of the way, and correlated.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from threadpoolctl import threadpool_limits

from hilum.radiographs.kept import scratch_file
from hilum.records import FloatArray, IntArray, PixelArray

Float16Array = npt.NDArray[np.float16]
Float32Array = npt.NDArray[np.float32]

#: Small versions have this many pixels along both edges.
SIDE = 48

#: From this correlation on, two images are one radiograph. Of the 5,241 files of chest-xray-150
#: (13.7 million pairs) different ones reach 0.952 once, two films with other positions of arms and
#: diaphragm, probably of one child, and 0.922 otherwise. Copies as JPEG of quality 50, at half or
#: double size, 20 % brighter or darker, of more or less contrast, or cropped by 2 % at every edge,
#: stay above 0.97, of radiographs and phantoms (400 each). Phantoms vary less than people: of 400
#: none reach 0.94, but of 3,000 (4.5 million pairs) two pairs pass.
ALIKE = 0.96

#: The same, to first order and in the lowest frequencies: lets every such copy pass (above 0.91)
#: and about one pair in a thousand of others.
_SCREEN = 0.9
_SCREEN_FREQUENCIES, _FREQUENCIES = 12, 20

#: The largest move in the alignment, in pixels of the small version: 3 % of its edge.
_REACH = 1.5

_IMAGES_PER_PIVOT = 256
_NEAREST_PIVOTS = 6
_BLOCK = 384
_ROWS = 128  # so many are multiplied at once, so that products stay in the cache


class NearPairs(NamedTuple):
    """Some pairs of images that show one radiograph.

    first, second: (M,) their positions, first < second. correlation: (M,) in [ALIKE, 1].
    """

    first: IntArray
    second: IntArray
    correlation: FloatArray


def near_pairs(
    small: PixelArray,
    among: IntArray | None = None,
    *,
    mirrored: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[NearPairs]:
    """Find the pairs of images that are one radiograph, whatever was done to brightness or size.

    small: (N, SIDE, SIDE) uint8, may be a memory map; images of one even tone are like nothing.
    among: positions of the images to compare, in any order, by which alone what is found at the
    very threshold may differ; without it, all of them.
    mirrored: compare each image with the mirror images of the others instead.
    progress(done, total): called as cells of the search are finished.

    Yields pairs in pieces, so that memory stays bounded; each pair once. Up to 9,471 images
    every pair is compared; from there on about 5,000 pairs for each image, more where very many
    are alike, and a few in a hundred of the most changed copies may be missed.
    """
    if among is None:
        among = np.arange(len(small), dtype=np.int64)
    if len(among) < 2:
        return
    keys, bases = _keys(small, among)
    # P pivots compare _NEAREST_PIVOTS**2 / P of all pairs: with few of them it is no saving
    n_pivots = len(among) // _IMAGES_PER_PIVOT
    n_pivots = n_pivots if n_pivots > _NEAREST_PIVOTS**2 else 1
    # records often stand in order of split and label: even steps take pivots from all of them
    pivots = keys[np.linspace(0, len(among) - 1, n_pivots).astype(np.int64)]
    nearest = _nearest(keys, pivots, np.ones_like(pivots[0]))
    asking = _nearest(keys, pivots, _MIRROR[_LOWEST]) if mirrored else nearest
    cells = list(zip(_members(asking, n_pivots), _members(nearest, n_pivots), strict=True))

    def blocks(members: IntArray, turned: bool) -> Iterator[_Block]:
        sign = _MIRROR[_LOWEST] if turned else np.float32(1)
        near = asking if turned else nearest
        for start in range(0, len(members), _BLOCK):
            at = members[start : start + _BLOCK]
            yield _Block(
                at, near[at], keys[at] * sign, bases[at] * sign, _Films(small, among[at], turned)
            )

    def search(cell: int) -> Iterator[NearPairs]:
        left, right = cells[cell]
        columns = list(blocks(right, False))
        for i, rows in enumerate(blocks(left, True) if mirrored else columns):
            for others in columns if mirrored else columns[i:]:
                if others.positions[-1] > rows.positions[0]:
                    found = _compare(rows, others, cell)
                    if len(found.first):
                        ends = np.stack([among[found.first], among[found.second]])
                        yield NearPairs(ends.min(axis=0), ends.max(axis=0), found.correlation)

    if n_pivots == 1:
        yield from search(0)
        if progress:
            progress(1, 1)
        return
    # cells side by side, each on one processor; a few ahead, so that memory stays bounded
    workers = os.cpu_count() or 1
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        begun: deque[Future[list[NearPairs]]] = deque()
        try:
            for cell in range(n_pivots + workers):
                if cell < n_pivots:
                    begun.append(pool.submit(lambda cell: list(search(cell)), cell))
                if cell >= workers:
                    yield from begun.popleft().result()
                    if progress:
                        progress(cell - workers + 1, n_pivots)
        finally:
            pool.shutdown(cancel_futures=True)


class _Films:
    """The features of some images, and their inner products, made when they are needed."""

    def __init__(self, small: PixelArray, rows: IntArray, mirrored: bool) -> None:
        self._small, self._rows, self._mirrored = small, rows, mirrored

    @cached_property
    def features(self) -> Float32Array:
        """(n, 5, F), as of _features."""
        return _features(self._small[self._rows], self._mirrored)

    @cached_property
    def grams(self) -> Float32Array:
        """(n, 5, 5)."""
        return self.features @ self.features.transpose(0, 2, 1)


class _Block(NamedTuple):
    """Some images: (n,) places among those compared, (n, k) nearest pivots, and as of _keys."""

    positions: IntArray
    nearest: IntArray
    keys: Float32Array
    bases: Float32Array
    films: _Films


def _keys(small: PixelArray, among: IntArray) -> tuple[Float32Array, Float16Array]:
    """Perceptual hashes (N, 143), and orthonormal bases (N, 5, 143) of them and their tangents.

    Both are read-only memory maps. Raises DataError where the cache cannot be written.
    """
    with scratch_file() as keys, scratch_file() as bases:  # 2 kB for each image, so not in memory
        for i in range(0, len(among), _BLOCK):
            screened = _screen(_features(small[among[i : i + _BLOCK]]))
            keys.write(screened[:, 0].tobytes())
            basis = np.linalg.qr(screened.transpose(0, 2, 1))[0].transpose(0, 2, 1)
            bases.write(basis.astype(np.float16).tobytes())
        shape = len(among), len(_LOWEST)
        return (
            np.memmap(keys, np.float32, "r", shape=shape),
            np.memmap(bases, np.float16, "r", shape=(len(among), 5, len(_LOWEST))),
        )


def _nearest(keys: Float32Array, pivots: Float32Array, sign: Float32Array) -> IntArray:
    """(N, k) the pivots that are nearest to each image, in any order.

    sign: what each number of a key is multiplied by before.
    """
    k = min(_NEAREST_PIVOTS, len(pivots))
    nearest = np.empty((len(keys), k), dtype=np.int64)
    for i in range(0, len(keys), _BLOCK):
        likeness = (keys[i : i + _BLOCK] * sign) @ pivots.T
        nearest[i : i + _BLOCK] = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
    return nearest


def _members(nearest: IntArray, n_pivots: int) -> list[IntArray]:
    """For each pivot its cell: the images, ascending, that have it among their nearest."""
    order = np.argsort(nearest.ravel(), kind="stable")
    sizes = np.bincount(nearest.ravel(), minlength=n_pivots)
    return [cell // nearest.shape[1] for cell in np.split(order, np.cumsum(sizes)[:-1])]


def _compare(rows: _Block, columns: _Block, cell: int) -> NearPairs:
    """The pairs of two blocks of a cell that are alike, with row < column."""
    passing = []
    for start in range(0, len(rows.bases), _ROWS):
        part = rows.bases[start : start + _ROWS]
        products = part.reshape(-1, part.shape[2]) @ columns.keys.T
        products = products.reshape(len(part), 5, -1)
        # the multiple correlation of each column's key with each row's key and its tangents
        i, j = np.nonzero(np.einsum("nam,nam->nm", products, products) >= _SCREEN**2)
        passing.append(np.stack([i + start, j]))
    passed = np.concatenate(passing, axis=1)
    passed = passed[:, rows.positions[passed[0]] < columns.positions[passed[1]]]
    found = []
    for start in range(0, passed.shape[1], _BLOCK):
        i, j = passed[:, start : start + _BLOCK]
        # a pair may share several cells: it is looked at in the first of them
        shared = rows.nearest[i][:, :, None] == columns.nearest[j][:, None, :]
        first = np.where(shared, rows.nearest[i][:, :, None], cell).min(axis=(1, 2)) == cell
        i, j = i[first], j[first]
        one, two = rows.films, columns.films
        correlation = _aligned_correlation(
            one.features[i], two.features[j], one.grams[i], two.grams[j]
        )
        alike = correlation >= ALIKE
        found.append((rows.positions[i[alike]], columns.positions[j[alike]], correlation[alike]))
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return NearPairs(nothing, nothing, np.zeros(0))
    return NearPairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _aligned_correlation(
    left: Float32Array, right: Float32Array, ll: Float32Array, rr: Float32Array
) -> FloatArray:
    """(M,) Pearson correlation of M pairs, each image moved half of the way towards the other.

    left, right: (M, 5, F) features. ll, rr: (M, 5, 5) the inner products of each. The move is the
    one of least squares in the mean of both tangents, whose error is of third order; all sums run
    over products of features only.
    """
    own, other = ll.astype(np.float64), rr.astype(np.float64)
    lr = (left @ right.transpose(0, 2, 1)).astype(np.float64)
    rl = lr.transpose(0, 2, 1)
    gram = (own + other + lr + rl)[:, 1:, 1:] / 4
    # a little ridge: an image that does not vary along one axis cannot tell a move along it
    gram += 1e-4 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(4)
    change = (lr[:, 1:, 0] - own[:, 1:, 0] + other[:, 1:, 0] - rl[:, 1:, 0]) / 2
    move = np.clip(np.linalg.solve(gram, change[:, :, None]), -_REACH, _REACH) / 2
    forth = np.concatenate([np.ones_like(move[:, :1]), move], axis=1)
    back = np.concatenate([np.ones_like(move[:, :1]), -move], axis=1)

    def product(a: FloatArray, matrix: FloatArray, b: FloatArray) -> FloatArray:
        result: FloatArray = (a.transpose(0, 2, 1) @ matrix @ b)[:, 0, 0]
        return result

    lengths = product(forth, own, forth) * product(back, other, back)
    return np.clip(product(forth, lr, back) / np.sqrt(lengths), -1, 1)


def _features(small: PixelArray, mirrored: bool = False) -> Float32Array:
    """(N, 5, 399): weighted cosine transform of each image, and its tangents.

    The tangents say how the transform changes when the image is shifted down, shifted right,
    stretched down, stretched right, by one pixel (when stretched: at the edge). Each image's
    transform has length 1; where the image is of one tone, all is 0.
    """
    images = small.astype(np.float32)
    plain, shifted, stretched = _TRANSFORMS
    along, down = images @ plain.T, plain @ images
    products = (plain @ along, shifted @ along, down @ shifted.T, stretched @ along)
    grid = np.stack([*products, down @ stretched.T], axis=1)
    grid *= _WEIGHTS
    features = grid.reshape(len(images), 5, -1)[:, :, 1:]  # the first is the mean brightness
    lengths = np.linalg.norm(features[:, :1], axis=2, keepdims=True)
    # rounding leaves a trace of a tone; a single pixel of one step is far above it
    scale = np.where(lengths > 1e-2, 1 / np.maximum(lengths, 1e-2), np.float32(0))
    scaled: Float32Array = features * (scale * _MIRROR if mirrored else scale)
    if mirrored:
        scaled[:, 2] *= -1  # shifted right is now shifted left
    return scaled


def _screen(features: Float32Array) -> Float32Array:
    """(N, 5, 143): the lowest of the frequencies, the transform again of length 1."""
    lowest = features[:, :, _LOWEST]
    lengths = np.linalg.norm(lowest[:, :1], axis=2, keepdims=True)
    scaled: Float32Array = lowest / np.maximum(lengths, np.float32(1e-9))
    return scaled


def _transforms() -> Float32Array:
    """(3, 20, SIDE): a column's cosine transform, and that of its shift and of its stretch."""
    cosines = scipy.fft.dct(np.eye(SIDE), axis=0, norm="ortho")[:_FREQUENCIES]
    slope = np.gradient(np.eye(SIDE), axis=0)
    place = np.linspace(-1, 1, SIDE)[:, None]
    return np.stack([cosines, cosines @ slope, cosines @ (place * slope)]).astype(np.float32)


_TRANSFORMS = _transforms()
_STEPS = np.arange(_FREQUENCIES)
_WEIGHTS = np.hypot(_STEPS[:, None], _STEPS).astype(np.float32)
#: (399,) what a mirror does to the features: odd frequencies to the side change their sign.
_MIRROR = np.tile(1 - 2 * (_STEPS % 2), _FREQUENCIES)[1:].astype(np.float32)
_LOWEST = np.flatnonzero(
    np.maximum(_STEPS[:, None], _STEPS).ravel()[1:] < _SCREEN_FREQUENCIES,
)
