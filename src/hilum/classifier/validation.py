"""What a classifier's networks said of labelled images that trained none of them.

A classifier carries it, so that temperatures, operating points and prediction sets can be chosen
at any time, without the images. It holds no file name.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from hilum.errors import ClassifierError
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
        about = json.dumps(self.about, sort_keys=True)
        data: bytes = safetensors.numpy.save(arrays, {"about": about})
        return data

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Validation":
        """The inverse of to_bytes. Raises ClassifierError, naming source, for other content."""
        try:
            length = int.from_bytes(data[:8], "little")
            about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["about"])
            arrays = safetensors.numpy.load(data)
            truth = arrays.pop("truth")
            logits = {k.removeprefix("logits."): v.astype(np.float64) for k, v in arrays.items()}
        except (SafetensorError, KeyError, ValueError) as error:
            raise ClassifierError(f"{source}: damaged ({error}).") from None
        return cls(truth, logits, about)
