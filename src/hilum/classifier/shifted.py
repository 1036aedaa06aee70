"""Shifted copies of a data set's films, and who gives an acquisition to whom.

What another site would have made of a film is in transforms/shift.py; here a film's donors are
found, and what networks say of one copy of each validation film, by which temperatures,
thresholds and prediction sets are chosen so that they hold elsewhere.
"""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import IntArray, PixelArray
from hilum.transforms.preprocess import Preprocessing
from hilum.transforms.shift import SHIFTS, Shift, exchange_acquisition, shifted

#: The longer side of larger films before they are changed for calibration: changes of several
#: million pixels would take longer than training, and networks see a few hundred a side.
_LARGEST: Final = 512
#: Of more validation films than this, so many at equal steps are changed.
MOST_SHIFTED: Final = 1000


class ShiftedFilms:
    """Films of a data set as another site would have made them.

    rows: (N,) positions in the data set, N ≥ 1; they and the seed settle what is drawn. Donors are
    films of another class among them, every other class as often. draws: copies of each film and
    kind, at least 1. largest: the longer side to which larger films are made smaller first; None
    leaves them as they are.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: IntArray,
        *,
        draws: int = 1,
        seed: int = 0,
        largest: int | None = None,
    ) -> None:
        labels = dataset.labels[rows]
        self._dataset, self._seed, self._draws, self._largest = dataset, seed, draws, largest
        self._of_class = {int(k): rows[labels == k] for k in np.unique(labels)}
        #: Without a second class there is nothing to exchange.
        self.kinds: tuple[Shift, ...] = SHIFTS if len(self._of_class) > 1 else ("composite",)

    @property
    def keys(self) -> list[tuple[Shift, int]]:
        """The kind and the number of the draw of each copy that every gives."""
        return [(kind, draw) for kind in self.kinds for draw in range(self._draws)]

    def read(self, row: int) -> PixelArray:
        """The film at a position. Raises DataError where it cannot be read."""
        image = read_radiograph(self._dataset.records[row].path)
        longer = max(image.shape)
        if self._largest is None or longer <= self._largest:
            return image
        sides = [max(round(side * self._largest / longer), 1) for side in image.shape[::-1]]
        return np.asarray(cv2.resize(image, sides, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def every(self, image: PixelArray, row: int) -> Iterator[PixelArray]:
        """All copies of the film at a position, in the order of keys."""
        draws = range(self._draws)
        yield from (self._composite(image, row, draw) for draw in draws)
        if len(self.kinds) > 1:
            exchanged = [exchange_acquisition(image, self._donor(row, draw)) for draw in draws]
            yield from exchanged
            # 'both' is composite of these: once is enough for what takes longest
            for draw, one in enumerate(exchanged):
                yield self._composite(one, row, draw)

    def hardest(self, row: int) -> PixelArray:
        """The first copy of the film at a position in which everything changes: the last kind."""
        image = self.read(row)
        if len(self.kinds) > 1:
            image = exchange_acquisition(image, self._donor(row, 0))
        return self._composite(image, row, 0)

    def _composite(self, image: PixelArray, row: int, draw: int) -> PixelArray:
        return shifted(image, "composite", seed=self._seed + draw, index=row)

    def _donor(self, row: int, draw: int) -> PixelArray:
        rng = np.random.default_rng((self._seed, draw, row))
        own = int(self._dataset.labels[row])
        others = self._of_class[int(rng.choice([k for k in self._of_class if k != own]))]
        return self.read(int(rng.choice(others)))


def shifted_pixels(
    dataset: Dataset,
    rows: IntArray,
    preprocessing: Preprocessing,
    progress: Progress | None = None,
) -> PixelArray:
    """One shifted copy of each film, exchanged and composite at once, as networks see it.

    rows: (M,) positions, M ≥ 1. Returns (M, H, W) uint8. Raises DataError for films that cannot be
    read.
    """
    films = ShiftedFilms(dataset, rows, largest=_LARGEST)

    def made(row: int) -> PixelArray:
        return preprocessing.to_pixels(films.hardest(row))

    return np.stack(in_parallel(made, [int(row) for row in rows], "Shifted films", progress))
