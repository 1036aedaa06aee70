"""Explanations over the network: one method, one decision, one radiograph."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from hilum.classifier.classifier import Classifier
from hilum.classifier.inference import compute_features
from hilum.decisions import Decision
from hilum.errors import EvaluationError, LabelError, nearest
from hilum.explanation.attribution import SIGNED, attribute, parse_method
from hilum.explanation.feature_maps import MapArray
from hilum.explanation.neighbours import say_truth
from hilum.explanation.overlay import draw_overlay, scale_map
from hilum.explanation.pictures import colour, thumbnail_png, to_png, to_text
from hilum.prediction.stream import Answers
from hilum.prediction.table import Table
from hilum.predictions import Predictions
from hilum.records import PixelArray
from hilum.serving.schemas import Explanation, HeatMap, Neighbour, tells_neighbours

_NEAREST: Final = 5
#: The opacity of the strongest places of a map.
_STRONGEST: Final = 0.9


class Explainer:
    """Explains a classifier, through a copy of its networks: others use them meanwhile."""

    def __init__(self, classifier: Classifier, table: Table) -> None:
        self._classifier = replace(classifier, networks=copy.deepcopy(classifier.networks))
        self._table = table

    def explain(
        self,
        pixels: PixelArray,
        method: str,
        decision: str | None,
        option: str | None,
        *,
        coloured: bool = False,
    ) -> Explanation:
        """Explain stored pixels (H, W) uint8.

        coloured: whether the file was in colour. decision, option: None takes the first network's,
        and its most probable option, or finding where it chooses nothing. Under the flat strategy,
        which has one network over all classes, an option is a class, whatever decision of the tree
        it was named with. Both may name a finding.
        Raises EvaluationError or LabelError for a method, decision or option that is not there.
        """
        classifier, stack = self._classifier, pixels[None]
        chosen = parse_method(method)
        network = self._network(decision)
        found = classifier.predict_pixels(stack)
        answers = Answers((Path(),), ("",), found, np.array([coloured]))
        (said,) = self._table.predictions(answers)
        if option is None and decision in network.answers[len(network.options) :]:
            option = decision
        option = self._option(network, option, found)
        (values,) = attribute(
            classifier, stack, method=chosen, options=option, decision=network.name
        )
        overlay = draw_overlay(pixels, values, method=chosen, option=option, decision=network.name)
        signed = chosen in SIGNED
        scaled = scale_map(values, signed=signed)
        height, width = scaled.shape
        return Explanation(
            method=chosen,
            decision=network.name,
            option=option,
            overlay=to_text(overlay.png),
            radiograph=to_text(thumbnail_png(pixels, max(height, width))),
            map=HeatMap(
                width=width,
                height=height,
                png=to_text(to_png_with_alpha(scaled, signed=signed)),
            ),
            alt=overlay.alt,
            referred_because=said.referral,
            neighbours=self.neighbours(pixels),
        )

    def neighbours(self, pixels: PixelArray) -> list[Neighbour] | None:
        """The training radiographs nearest to stored pixels (H, W) uint8; None remembers none."""
        classifier, reference = self._classifier, self._classifier.reference
        if reference is None or not tells_neighbours(classifier):
            return None
        features = {
            name: compute_features(
                network, pixels[None], classifier.preprocessing, classifier.device
            )
            for name, network in classifier.networks.items()
        }
        (rows,), (distances,) = reference.neighbours(
            reference.embed(features), min(_NEAREST, len(reference))
        )
        kept, marks = classifier.thumbnails, reference.marks
        return [
            Neighbour(
                label=say_truth(
                    classifier.tree,
                    int(reference.labels[row]),
                    None if marks is None else marks[row].tolist(),
                ),
                distance=distance,
                thumbnail=to_text(to_png(kept.pictures[row])) if kept else None,
            )
            for row, distance in zip(rows, distances.tolist(), strict=True)
        ]

    def _network(self, name: str | None) -> Decision:
        tree, strategy = self._classifier.tree, self._classifier.strategy
        networks = {d.name: d for d in tree.networks(strategy)}
        networks |= {f.name: d for d in tree.networks(strategy) for f in d.findings}
        of_tree = {d.name for d in tree.decisions}
        if name is None or (strategy == "flat" and name in of_tree):
            return next(iter(networks.values()))
        if name not in networks:
            raise LabelError(f"There is no decision '{name}'.{nearest(name, networks)}")
        return networks[name]

    def _option(self, network: Decision, name: str | None, found: Predictions) -> str:
        if name is None and not network.options:
            named = [(found.finding_probs[0, f.index], f.name) for f in network.findings]
            return max(named)[1]
        if name is None:
            by_network = {"flat": found.probs, **found.decision_probs}
            return network.options[int(by_network[network.name][0].argmax())]
        if name not in network.answers:
            raise EvaluationError(
                f"The network of '{network.name}' has no option '{name}'."
                f"{nearest(name, network.answers)}"
            )
        return name


def to_png_with_alpha(scaled: MapArray, *, signed: bool) -> bytes:
    """A map (H, W) in [-1, 1] as PNG bytes, the more transparent the weaker it is."""
    colours = colour((scaled + 1) / 2, "PuOr_r") if signed else colour(scaled, "viridis")
    alpha = np.rint(255 * _STRONGEST * np.sqrt(np.abs(scaled))).astype(np.uint8)
    return to_png(np.dstack([colours, alpha]))
