"""What a classifier's networks said of labelled images that trained none of them.

A classifier carries it, so that temperatures, operating points and prediction sets can be chosen
at any time, without the images. It holds no file name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hilum.classifier.files import pack_arrays, unpacked
from hilum.records import FloatArray, IntArray
from hilum.settings import Promises

Keys = npt.NDArray[np.uint64]

#: What thresholds and prediction sets are chosen on, and so for whom they hold.
HOLDS: Final[dict[Promises, str]] = {
    "elsewhere": "Chosen on shifted copies of the validation images, so as to hold elsewhere, if "
    "films differ as these copies do; beyond that it is unknown.",
    "alike": "Chosen on the validation images: they hold for films taken as these were; elsewhere "
    "it is unknown.",
}


def image_keys(digests: Sequence[str]) -> Keys:
    """(N,) by what images are known again: the first 64 bits of the SHA-256 of their content."""
    return np.array([int(digest[:16], 16) for digest in digests], dtype=np.uint64)


@dataclass(frozen=True)
class ShiftedLogits:
    """What networks said of one shifted copy of R of the M validation images (shifted.py).

    rows: (R,) positions among the M. logits: by network, (R, options) as of the images themselves.
    """

    rows: IntArray
    logits: dict[str, FloatArray]


@dataclass(frozen=True)
class Validation:
    """Logits and truth of M images.

    truth: (M,) class indices of the label tree. logits: for each network, by its decision's name
    ('flat' under that strategy), its (M, options) outputs before any temperature; of all M
    images, also those whose class does not lie below the decision. about: the data set ('name',
    'fingerprint'), the 'split' and the number 'n', as JSON values. seen: (M,) image_keys, by which
    the images are known again; None in files of earlier versions. shifted: of shifted copies; None
    where what is chosen is to hold for films like these alone, and in files of earlier versions.
    marks: (M, F) int64 of the tree's findings, as of records; None where it has none. embedded:
    (M, D) float16, where they lie among the training images (Reference.embed). gate_p_values: (M,)
    float32, as the gate gives them. Both are None without a reference or a gate, and in files of
    earlier versions; with them new images can be held against these (hilum watch).
    """

    truth: IntArray
    logits: dict[str, FloatArray]
    about: dict[str, Any]
    seen: Keys | None = None
    shifted: ShiftedLogits | None = None
    marks: IntArray | None = None
    embedded: npt.NDArray[np.float16] | None = None
    gate_p_values: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def to_bytes(self) -> bytes:
        """One safetensors file; logits are kept as float32, which is what networks compute in."""
        arrays: dict[str, Any] = {"truth": self.truth.astype(np.int64)}
        arrays |= {f"logits.{k}": v.astype(np.float32) for k, v in self.logits.items()}
        arrays |= {n: part for n in _OPTIONAL if (part := getattr(self, n)) is not None}
        if self.marks is not None:
            arrays["marks"] = self.marks.astype(np.int8)
        if self.shifted is not None:
            arrays["shifted_rows"] = self.shifted.rows.astype(np.int64)
            of = self.shifted.logits.items()
            arrays |= {f"shifted.{k}": v.astype(np.float32) for k, v in of}
        return pack_arrays("about", self.about, arrays)

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Validation":
        """The inverse of to_bytes. Raises ClassifierError, naming source, for other content."""
        with unpacked("about", data, source) as (about, arrays):
            truth = arrays.pop("truth")
            optional = {name: arrays.pop(name, None) for name in _OPTIONAL}
            marks = arrays.pop("marks", None)
            marks = None if marks is None else marks.astype(np.int64)
            rows = arrays.pop("shifted_rows", None)
            logits: dict[str, dict[str, FloatArray]] = {"logits": {}, "shifted": {}}
            for name, values in arrays.items():
                kind, _, network = name.partition(".")
                logits[kind][network] = values.astype(np.float64)
            shifted = None if rows is None else ShiftedLogits(rows, logits["shifted"])
            return cls(truth, logits["logits"], about, shifted=shifted, marks=marks, **optional)


#: What files of earlier versions may lack, and is kept as it is.
_OPTIONAL = ("seen", "embedded", "gate_p_values")
