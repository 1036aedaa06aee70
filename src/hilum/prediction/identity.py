"""Is this the same classifier? Told by everything that its numbers depend on."""

import json

from hilum.classifier import Classifier
from hilum.classifier_files import pack_weights
from hilum.files import sha256


def classifier_digest(classifier: Classifier) -> str:
    """SHA-256 of weights, labels, preprocessing, rule and calibration, in hexadecimal.

    Of a classifier that was moved, copied or saved anew it stays the same; where it came from is
    not a part of it.
    """
    c = classifier
    parts = {
        "labels": c.tree.to_json(),
        "strategy": c.strategy,
        "rule": c.rule,
        "preprocessing": c.preprocessing.model_dump(mode="json"),
        "networks": {
            name: [
                c.network_names[name],
                sha256(pack_weights(network.state_dict())),
                c.temperatures.get(name, 1.0),
            ]
            for name, network in c.networks.items()
        },
        "validation": sha256(c.validation.to_bytes()) if c.validation else None,
        "gate": sha256(c.gate.to_bytes()) if c.gate else None,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode())
