"""explanations.json for the RUN folders of the tests, with pictures that are one grey square."""

from pathlib import Path
from typing import Any

import numpy as np

from hilum.evaluation.files import read_evaluation
from hilum.evaluation.predictions_file import read_predictions
from hilum.explanation.errors import ErrorCase, ErrorGallery, ErrorPictures
from hilum.explanation.localisation import NO_PLACES, Localisation
from hilum.explanation.neighbours import Neighbour
from hilum.explanation.overlay import Drawing
from hilum.explanation.pictures import to_png
from hilum.explanation.sanity import SanityCheck, Step
from hilum.explanation.split import (
    Example,
    FeaturePair,
    SplitExplanation,
    write_explanations,
)
from hilum.files import sha256
from hilum.records import Estimate

PNG = to_png(np.full((24, 24), 90, np.uint8))


def explain_errors(run: Path, split: str = "val", /, **changes: Any) -> SplitExplanation:
    """Write explanations of the errors in a run's predictions; the first has pictures.

    changes: replace fields of the explanation.
    """
    folder = run / "evaluation" / split
    classes = read_evaluation(folder / "evaluation.json").classes
    truth, said = read_predictions(folder / "predictions.csv")
    decision = next(iter(said.decision_probs))
    pictures = ErrorPictures(PNG, PNG, f"Occlusion of {said.names[0]}", (PNG,), PNG)
    cases = [
        ErrorCase(
            name=said.names[i],
            truth=classes[truth[i]],
            predicted=classes[said.predicted[i]],
            decision=decision,
            true_option=classes[truth[i]],
            chosen_option=classes[said.predicted[i]],
            probs=dict(zip(classes, said.probs[i].tolist(), strict=True)),
            decision_probs={decision: {classes[0]: 0.25, "other": 0.75}},
        )
        for i in np.flatnonzero(truth != said.predicted)
    ]
    near = (Neighbour(f"train/{said.names[0]}", classes[0], 0.5),)
    first = {"neighbours": near, "counterpart": said.names[1], "pictures": pictures}
    if cases:
        cases[0] = ErrorCase(**{**{k: getattr(cases[0], k) for k in cases[0].__slots__}, **first})
    nothing = Estimate.undefined(NO_PLACES)
    found = SplitExplanation(
        **{
            "split": split,
            "n": len(said),
            "gallery": ErrorGallery(split, len(said), "occlusion", tuple(cases), ("A note.",)),
            "sanity": (
                SanityCheck(
                    "occlusion", decision, 4, 2,
                    (Step("conv1", Estimate(0.1, 0.05, 0.2, 4, "bootstrap")),),
                ),
            ),
            "localisation": (
                Localisation("occlusion", decision, 0, nothing, nothing, nothing, nothing, 0),
            ),
            "checked_on": split,
            "examples": (
                Example(
                    said.names[0], classes[0], 0.75,
                    (Drawing("gradcam", decision, classes[0], PNG, "Grad-CAM of the first"),),
                ),
            ),
            "predictions": sha256((folder / "predictions.csv").read_bytes()),
            "pair": FeaturePair(said.names[0], said.names[1], decision, "conv1", PNG, "Two grids"),
            **changes,
        }
    )  # fmt: skip
    write_explanations(found, folder)
    return found
