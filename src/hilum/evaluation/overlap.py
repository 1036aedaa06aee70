"""Which images of a data set a classifier has seen before: by their content, not by names."""

import numpy as np

from hilum.classifier.classifier import Classifier
from hilum.classifier.validation import Keys, image_keys
from hilum.radiographs.dataset import Dataset
from hilum.records import BoolArray

#: From this share of a classifier's images on, a data set is its own, with some more or less.
_OWN = 0.5


def is_own(classifier: Classifier, dataset: Dataset) -> bool:
    """Whether the data are exactly those of the training, in the same splits."""
    own = classifier.provenance.get("data") or {}
    return own.get("fingerprint") == dataset.fingerprint


def trained_on(classifier: Classifier, dataset: Dataset) -> BoolArray:
    """(N,) which images of a data set trained the classifier, as far as it knows.

    Of its own data those of the split train; of any data those that it remembers (at most 5,000).
    """
    found = _among(dataset, classifier.reference.seen if classifier.reference else None)
    if is_own(classifier, dataset):
        found |= np.array([record.split == "train" for record in dataset.records])
    return found


def chosen_on(classifier: Classifier, dataset: Dataset) -> BoolArray:
    """(N,) which images its temperatures, thresholds and prediction sets were chosen on."""
    validation = classifier.validation
    found = _among(dataset, validation.seen if validation else None)
    if validation and validation.about.get("fingerprint") == dataset.fingerprint:
        split = "train" if validation.about["split"] == "blocks" else validation.about["split"]
        found |= np.array([record.split == split for record in dataset.records])
    return found


def is_external(classifier: Classifier, dataset: Dataset) -> bool:
    """Whether the data are not those of the training, where the classifier knows its own.

    A few images more or less, or another split of them, are no other data: they are its own where
    they hold half of the images that trained it, or half of those that it was calibrated on. Of a
    classifier that remembers neither, the name decides.
    """
    own = classifier.provenance.get("data") or {}
    if "fingerprint" not in own or is_own(classifier, dataset):
        return False
    parts = (classifier.reference, classifier.validation)
    known = [part.seen for part in parts if part is not None and part.seen is not None]
    if not known:
        return bool(own.get("name") != dataset.name)
    keys = image_keys(dataset.digests)
    return max(float(np.isin(seen, keys).mean()) for seen in known) < _OWN


def _among(dataset: Dataset, seen: Keys | None) -> BoolArray:
    keys = image_keys(dataset.digests)
    found: BoolArray = np.isin(keys, seen) if seen is not None else np.zeros(len(keys), dtype=bool)
    return found
