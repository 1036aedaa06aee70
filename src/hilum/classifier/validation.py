"""What a classifier's networks said of labelled images that trained none of them.

A classifier carries it, so that temperatures, operating points and prediction sets can be chosen
at any time, without the images. It holds no file name.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.classifier.files import pack_arrays, unpacked
from hilum.records import FloatArray, IntArray


@dataclass(frozen=True)
class Validation:
    """Logits and truth of M images.

    truth: (M,) class indices of the label tree. logits: for each network, by its decision's name
    ('flat' under that strategy), its (M, options) outputs before any temperature; of all M
    images, also those whose class does not lie below the decision. about: the data set ('name',
    'fingerprint'), the 'split' and the number 'n', as JSON values.
    """

    truth: IntArray
    logits: dict[str, FloatArray]
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.truth)

    def to_bytes(self) -> bytes:
        """One safetensors file; logits are kept as float32, which is what networks compute in."""
        arrays: dict[str, Any] = {"truth": self.truth.astype(np.int64)}
        arrays |= {f"logits.{k}": v.astype(np.float32) for k, v in self.logits.items()}
        return pack_arrays("about", self.about, arrays)

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Validation":
        """The inverse of to_bytes. Raises ClassifierError, naming source, for other content."""
        with unpacked("about", data, source) as (about, arrays):
            truth = arrays.pop("truth")
            logits = {k.removeprefix("logits."): v.astype(np.float64) for k, v in arrays.items()}
            return cls(truth, logits, about)
