"""The server's answers, as the OpenAPI description shows them; and what it says of a classifier."""

from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hilum.classifier.arrivals import Arrivals
from hilum.classifier.classifier import Classifier
from hilum.classifier.decider import Decider
from hilum.classifier.operating_points import fit_operating_point, parse_operating_points
from hilum.classifier.promised import finding_sides
from hilum.classifier.threshold import PRESETS
from hilum.classifier.validation import HOLDS
from hilum.codec import to_plain
from hilum.labels import LabelTree
from hilum.prediction.table import Table
from hilum.predictions import Predictions
from hilum.records import IntArray
from hilum.serving.limits import Limits
from hilum.statistics.targets import Target, labels_of, positive_labels
from hilum.statistics.two_by_two import TwoByTwo

#: In the order in which they are offered: occlusion changes nothing inside the networks.
METHODS_OFFERED: Final = ("occlusion", "gradcam", "ig")

_THRESHOLDS: Final = 101
_RESEARCH: Final = (
    "Research software, not a medical device: nothing here is a diagnosis.",
    "A class means what the label of that name meant in the training data, and no more.",
)


class Options(BaseModel):
    """A decision of the label tree and what it chooses between."""

    name: str
    options: list[str]


class Answering(Options):
    """What a network says: which option is chosen, and whether findings are present."""

    findings: list[str]


class FindingInfo(BaseModel):
    """A finding: present or absent beside all others."""

    name: str
    below: str = Field(description="The label whose finding it is, or `root`.")
    threshold: float = Field(description="It is called present from this probability on.")


class ValidationFigures(BaseModel):
    """The images, none of them used for training, that thresholds and sets were chosen on."""

    n: int
    split: str
    name: str
    shifted: bool = Field(description="Whether shifted copies of them were asked about, in place.")
    holds: str = Field(description="For whom what was chosen on them holds, in a sentence.")


class Curve(BaseModel):
    """What calling a label positive from a probability on gives, on what thresholds are chosen on.

    Each estimate is {value, low, high, n, method} with a Wilson interval of 95 %, or
    {value: null, reason, n} where those images do not define it.
    """

    thresholds: list[float]
    sensitivity: list[dict[str, Any]]
    specificity: list[dict[str, Any]]


class RequestLimits(BaseModel):
    """The most bytes and files of one request, and pixels of one radiograph."""

    bytes: int
    pixels: int
    files: int


class ClassifierInfo(BaseModel):
    """What the server classifies by, and how far that can be trusted."""

    name: str
    strategy: Literal["flat", "cascade"]
    rule: Literal["route", "argmax"]
    labels: list[Any] = Field(
        description="The label tree as nested lists.",
        examples=[["normal", {"infected": ["covid", "non-covid"]}]],
    )
    classes: list[str] = Field(
        description="The leaves of the tree, in order; none where it has nothing but findings."
    )
    findings: list[FindingInfo] = Field([], description="In the order of the tree.")
    decisions: list[Options] = Field(description="The inner nodes, parents before children.")
    networks: list[Answering] = Field(
        description="The decisions that a network each makes, which explanations are of: those of "
        "the tree in a cascade, otherwise one called `flat` over all classes and findings."
    )
    image_size: list[int] = Field(description="[height, width] of what the networks see.")
    notes: list[str] = Field(description="What the labels mean and what this must not be used for.")
    calibrated: bool
    validation: ValidationFigures | None
    presets: dict[str, list[dict[str, Any]]] = Field(
        description="Operating points by the name of their demands, with the threshold chosen on "
        "the validation images and what to expect of it on others."
    )
    operating_curve: dict[str, Curve] = Field(description="By label, and by finding.")
    coverage: float | None = Field(description="Of prediction sets, unless a request asks.")
    gate: bool = Field(description="Whether images unlike the training images are flagged.")
    false_alarms: float | None = Field(
        description="Flagged is a `gate_p_value` of at most this; null without a gate."
    )
    explanations: list[str] = Field(description="Methods of `POST /v1/explanations`.")
    neighbours: bool = Field(
        description="Whether `POST /v1/neighbours` and explanations tell the nearest training "
        "radiographs."
    )
    thumbnails: bool = Field(
        description="Whether they also show them: small pictures of patients, which the classifier "
        "keeps where its recipe said so (`keep_thumbnails`)."
    )
    limits: RequestLimits


class DecisionProbs(BaseModel):
    """The probabilities of a decision's options, given that it is reached."""

    name: str
    options: dict[str, float]


class FindingAnswer(BaseModel):
    """What is said of a finding."""

    name: str
    probability: float
    present: bool = Field(description="Whether it is called present.")
    threshold: float = Field(description="From which probability on.")


class DicomFacts(BaseModel):
    """What a DICOM file says of its picture: no name, number, date or place."""

    view: str = Field(description="Its code, such as PA; empty where the file does not say.")
    age: str = Field(description="Such as 034Y; empty where the file does not say.")
    sex: str = Field(description="M, F or O; empty where the file does not say.")
    spacing: list[float] | None = Field(
        description="Between pixels as stored, down and across, in mm."
    )
    calibrated: bool = Field(
        description="By something of known size in the picture; otherwise spacing holds at the "
        "detector, where a chest is shown larger than it is."
    )


class Item(BaseModel):
    """What is said of one file. Of a failed one only name, status and reason say anything."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "chest.png",
                "status": "ok",
                "reason": None,
                "predicted": "covid",
                "probs": {"normal": 0.07, "covid": 0.57, "non-covid": 0.36},
                "decisions": [
                    {"name": "root", "options": {"normal": 0.07, "infected": 0.93}},
                    {"name": "infected", "options": {"covid": 0.61, "non-covid": 0.39}},
                ],
                "set": ["covid", "non-covid"],
                "referred": True,
                "referred_because": "several classes",
                "gate_p_value": 0.42,
                "colour": False,
                "width": 1024,
                "height": 1024,
                "preview": None,
                "dicom": None,
            }
        }
    )

    name: str = Field(description="As it was sent.")
    status: Literal["ok", "failed"]
    reason: str | None = Field(None, description="Why the file cannot be read.")
    predicted: str | None = Field(
        None,
        description="The class, under the classifier's rule; null where there are findings alone.",
    )
    probs: dict[str, float] = Field({}, description="By class; they sum to 1.")
    decisions: list[DecisionProbs] = Field(
        [], description="On the way from the root to the predicted class."
    )
    findings: list[FindingAnswer] = Field([], description="In the order of the tree.")
    set: list[str] | None = Field(
        None, description="The classes that cannot be ruled out; null without calibration."
    )
    referred: bool = Field(False, description="Whether a radiologist should look.")
    referred_because: str = ""
    gate_p_value: float | None = Field(
        None, description="The share of training radiographs that are at least as odd."
    )
    colour: bool = Field(False, description="Whether the file is in colour.")
    width: int | None = None
    height: int | None = None
    preview: str | None = Field(
        None, description="Grey PNG in Base64, at most 1024 pixels long; with `preview=true`."
    )
    dicom: DicomFacts | None = Field(None, description="Of a DICOM file; with `details=true`.")


class ArrivalsInfo(BaseModel):
    """What the gate says of ten or more pictures together.

    Each estimate is {value, low, high, n, method} with an interval of 95 %.
    """

    n: int = Field(description="How many pictures.")
    flagged: int = Field(description="How many of them the gate flags.")
    share: dict[str, Any] = Field(description="The same as an estimate.")
    expected: float = Field(description="The share of pictures like the training radiographs.")
    p_value: float = Field(description="The chance that of such pictures as many are flagged.")
    odder: dict[str, Any] = Field(
        description="The share of all pairs of one of them and one training radiograph in which "
        "it is the odder one, an estimate; 0.5 of pictures like those."
    )
    odder_p_value: float = Field(description="The chance of as large a share.")
    warning: str = Field(
        description="A sentence where they are unlike the training radiographs; empty otherwise, "
        "which is no proof that they are alike."
    )

    @classmethod
    def of(cls, arrivals: Arrivals | None) -> "ArrivalsInfo | None":
        """The same for the answer."""
        return None if arrivals is None else cls(**to_plain(arrivals))


class PredictionList(BaseModel):
    """An item for each file, in the order in which they were sent."""

    arrivals: ArrivalsInfo | None = Field(
        description="What the gate says of the files of this request together; null without a "
        "gate, and of fewer than ten. `GET /v1/arrivals` tells it of several requests."
    )
    predictions: list[Item]


class HeatMap(BaseModel):
    """An attribution map, to be laid over `radiograph`, whose size it has.

    png: in Base64, in colours, the more transparent the weaker it is.
    """

    width: int
    height: int
    png: str


class Neighbour(BaseModel):
    """A training radiograph that the networks see as alike."""

    label: str = Field(description="Its class, and the findings that it is known to have.")
    distance: float = Field(
        description="Between what the networks make of the two; it compares only with the other "
        "distances of the same classifier."
    )
    thumbnail: str | None = Field(
        description="Grey PNG in Base64, as the networks see it; null without `thumbnails`."
    )


class Explanation(BaseModel):
    """What moved a decision. A map does not show where a disease is."""

    method: str
    decision: str
    option: str
    overlay: str = Field(description="PNG in Base64: the map over the radiograph, with its scale.")
    radiograph: str = Field(description="Grey PNG in Base64: what the networks see.")
    map: HeatMap
    alt: str = Field(description="The overlay in words.")
    referred_because: str = Field(
        description="As of a prediction; where the picture is unlike the training radiographs, "
        "the map means nothing."
    )
    neighbours: list[Neighbour] | None = Field(
        description="The nearest first; null where the classifier remembers none."
    )


class State(BaseModel):
    """Whether the server lives, or takes requests."""

    status: str


def describe_classifier(classifier: Classifier, table: Table, limits: Limits) -> ClassifierInfo:
    """The answer to ``GET /v1/classifier``. table: what predictions are written by."""
    tree = classifier.tree
    presets: dict[str, list[dict[str, object]]] = {name: [] for name in PRESETS}
    curves: dict[str, Curve] = {}
    validation = None
    if classifier.validation is not None:
        truth, known = classifier.promised_predictions()
        about = classifier.validation.about
        validation = ValidationFigures(
            n=len(truth),
            split=str(about.get("split", "")),
            name=str(about.get("name", "")),
            shifted=classifier.holds == "elsewhere",
            holds=HOLDS[classifier.holds or "alike"],
        )
        choices = [(tree, truth, known)]
        sides = finding_sides(classifier).values()
        choices += [(side.tree, side.truth, side.predictions) for side in sides]
        for own, true, said in choices:
            asked = positive_labels(own)
            for name in presets if asked and len(true) else ():
                points = parse_operating_points([name], own)
                fitted = [fit_operating_point(p, own, true, said) for p in points]
                presets[name] += [to_plain(point) for point in fitted]
            labels = labels_of(own) if own is tree else asked
            curves |= {label: operating_curve(label, own, true, said) for label in labels}
    notes = classifier.provenance.get("notes", [])
    return ClassifierInfo(
        name=str(classifier.provenance.get("name", "")),
        strategy=classifier.strategy,
        rule=classifier.rule,
        labels=tree.to_json(),
        classes=list(tree.classes) if tree.decisions else [],
        findings=[
            FindingInfo(name=f.name, below=f.below, threshold=threshold_of(classifier, f.name))
            for f in tree.findings
        ],
        decisions=[Options(name=d.name, options=list(d.options)) for d in tree.decisions],
        networks=[
            Answering(name=d.name, options=list(d.options), findings=[f.name for f in d.findings])
            for d in tree.networks(classifier.strategy)
        ],
        image_size=list(classifier.preprocessing.image_size),
        notes=[*_RESEARCH, *map(str, notes)],
        calibrated=classifier.validation is not None,
        validation=validation,
        presets=presets,
        operating_curve=curves,
        coverage=table.conformal.coverage if table.conformal and tree.decisions else None,
        gate=classifier.gate is not None,
        false_alarms=classifier.gate.false_alarms if classifier.gate else None,
        explanations=list(METHODS_OFFERED),
        neighbours=tells_neighbours(classifier),
        thumbnails=classifier.thumbnails is not None,
        limits=RequestLimits(bytes=limits.bytes, pixels=limits.pixels, files=limits.files),
    )


def tells_neighbours(classifier: Decider) -> bool:
    """Whether it remembers training radiographs, and what they show.

    Classifiers of findings alone did not remember that in earlier versions.
    """
    reference = classifier.reference
    told = bool(classifier.tree.decisions) or (
        reference is not None and reference.marks is not None
    )
    return reference is not None and told


def threshold_of(classifier: Decider, finding: str) -> float:
    """From which probability on a finding is called present."""
    return classifier.thresholds.get(finding, 0.5)


def operating_curve(
    label: str, tree: LabelTree, truth: IntArray, predictions: Predictions
) -> Curve:
    """Sensitivity and specificity of a label at thresholds from 0 to 1 in steps of 0.01.

    truth: (M,) class indices of images that trained nothing. predictions: of the same images.
    """
    target = Target.parse(label, tree)
    positive, scores = target.positive(truth), target.scores(predictions)
    thresholds = np.linspace(0, 1, _THRESHOLDS).round(2)
    measures = [TwoByTwo.count(positive, scores >= t).measures() for t in thresholds]
    return Curve(
        thresholds=thresholds.tolist(),
        sensitivity=[m.sensitivity.to_plain() for m in measures],
        specificity=[m.specificity.to_plain() for m in measures],
    )
