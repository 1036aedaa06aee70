"""What is trained: the network of one decision, on which samples and which machine."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hilum.decisions import Decision
from hilum.device import Format
from hilum.labels import LabelTree
from hilum.networks.states import Start
from hilum.records import FloatArray, IntArray, PixelArray
from hilum.settings import Settings
from hilum.training.world import ALONE, World
from hilum.transforms.preprocess import Preprocessing


@dataclass(frozen=True)
class Samples:
    """What a decision learns from, or is monitored on.

    pixels: (N, H, W) uint8, of the whole data set. rows: (M,) positions in it.
    targets: (M,) option indices, or of a decision with findings (M, outputs) as of the loss.
    names: of all N, for messages.
    """

    pixels: PixelArray
    rows: IntArray
    targets: IntArray | FloatArray
    names: Sequence[str]


@dataclass(frozen=True)
class Machine:
    """Where and how it is computed. compiled: by torch.compile."""

    device: torch.device
    number_format: Format
    compiled: bool = False

    @property
    def runs_ahead(self) -> bool:
        """Whether it computes while Python goes on, so that looking at a number makes it wait."""
        return self.device.type != "cpu"


@dataclass(frozen=True)
class Task:
    """The network of a decision of a tree, to be trained under its settings and a seed.

    train: what it learns from. monitored: what it is monitored on after every epoch, if anything.
    start: the weights that it starts from, where these are not those that the network is made with.
    world: the processes that train it, each with a share of every batch.
    """

    decision: Decision
    settings: Settings
    tree: LabelTree
    seed: int
    train: Samples
    monitored: Samples | None
    preprocessing: Preprocessing
    machine: Machine
    start: Start | None = None
    world: World = ALONE
