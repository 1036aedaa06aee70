"""What the server answers, as the OpenAPI description tells it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """A decision of the label tree and what it chooses between."""

    name: str
    options: list[str]


class ValidationFigures(BaseModel):
    """The images, none of them used for training, that thresholds and sets were chosen on."""

    n: int
    split: str
    name: str


class Curve(BaseModel):
    """What calling a label positive from a probability on gives, on the validation images.

    Each estimate is {value, low, high, n, method} with a Wilson interval of 95 %, or
    {value: null, reason, n} where those images do not define it.
    """

    thresholds: list[float]
    sensitivity: list[dict[str, Any]]
    specificity: list[dict[str, Any]]


class LimitsTold(BaseModel):
    """bytes and files of one request; pixels of one radiograph."""

    bytes: int
    pixels: int
    files: int


class ClassifierTold(BaseModel):
    """What the server classifies by, and how far that can be trusted."""

    name: str
    strategy: Literal["flat", "cascade"]
    rule: Literal["route", "argmax"]
    labels: list[Any] = Field(
        description="The label tree as nested lists.",
        examples=[["normal", {"infected": ["covid", "non-covid"]}]],
    )
    classes: list[str] = Field(description="The leaves of the tree, in order.")
    decisions: list[Options] = Field(description="The inner nodes, parents before children.")
    networks: list[Options] = Field(
        description="The decisions that a network each makes, which explanations are of: those of "
        "the tree in a cascade, otherwise one called `flat` over all classes."
    )
    image_size: list[int] = Field(description="[height, width] of what the networks see.")
    notes: list[str] = Field(description="What the labels mean and what this must not be used for.")
    calibrated: bool
    validation: ValidationFigures | None
    presets: dict[str, list[dict[str, Any]]] = Field(
        description="Operating points by the name of their demands, with the threshold chosen on "
        "the validation images and what to expect of it on others."
    )
    operating_curve: dict[str, Curve] = Field(description="By label.")
    coverage: float | None = Field(description="Of prediction sets, unless a request asks.")
    gate: bool = Field(description="Whether images unlike the training images are flagged.")
    explanations: list[str] = Field(description="Methods of `POST /v1/explanations`.")
    neighbours: bool = Field(description="Whether explanations tell the nearest training images.")
    limits: LimitsTold


class DecisionTold(BaseModel):
    """The probabilities of a decision's options, given that it is reached."""

    name: str
    options: dict[str, float]


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
            }
        }
    )

    name: str = Field(description="As it was sent.")
    status: Literal["ok", "failed"]
    reason: str | None = Field(None, description="Why the file cannot be read.")
    predicted: str | None = Field(None, description="The class, under the classifier's rule.")
    probs: dict[str, float] = Field({}, description="By class; they sum to 1.")
    decisions: list[DecisionTold] = Field(
        [], description="On the way from the root to the predicted class."
    )
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


class PredictionsTold(BaseModel):
    """An item for each file, in the order in which they were sent."""

    predictions: list[Item]


class HeatMap(BaseModel):
    """An attribution map, to be laid over `radiograph`, whose size it has.

    png: in Base64, in colours, the more transparent the weaker it is.
    """

    width: int
    height: int
    png: str


class NeighbourTold(BaseModel):
    """A training radiograph that the networks see as alike: its label and how far it is."""

    label: str
    distance: float


class ExplanationTold(BaseModel):
    """What moved a decision. A map does not show where a disease is."""

    method: str
    decision: str
    option: str
    overlay: str = Field(description="PNG in Base64: the map over the radiograph, with its scale.")
    radiograph: str = Field(description="Grey PNG in Base64: what the networks see.")
    map: HeatMap
    alt: str = Field(description="The overlay in words.")
    neighbours: list[NeighbourTold] | None = Field(
        description="The nearest first; null where the classifier remembers none."
    )


class State(BaseModel):
    """Whether the server lives, or takes requests."""

    status: str
