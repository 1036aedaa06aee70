"""What a training run is about to do, checked against the data before anything is written."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from hilum.auditing.leaks import refuse_unsound
from hilum.auditing.patients import joined_groups
from hilum.auditing.pretraining import seen_sentences, trained_on_sentences
from hilum.auditing.provenance import recognise
from hilum.decisions import Decision, Doubt
from hilum.device import choose_device, choose_format
from hilum.errors import RecipeError, TrainingError
from hilum.networks.registry import create_network, read_start
from hilum.networks.states import Start
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Recipe
from hilum.records import FloatArray, IntArray, PixelArray
from hilum.settings import Settings
from hilum.training.loss import make_loss
from hilum.training.order import check_resizable, member_seed, size_in
from hilum.training.task import Machine, Samples, Task
from hilum.training.world import ALONE, World
from hilum.transforms.preprocess import Preprocessing

BLOCKS = 20  # at most, of each class
TEST_USED = (
    "The test set was used during training: it was monitored after every epoch, so figures on it "
    "are no longer those of unseen data."
)


@dataclass(frozen=True)
class Plan:
    """What a run is about to do, checked against the data before anything is written.

    settings: of every decision, by its name; their epochs are those for these data. starts: of
    those decisions whose networks start from weights in a file; start_notes: what is to be said
    of these, which is among the notes. world: the processes that train each network together.
    """

    dataset: Dataset
    recipe: Recipe
    preprocessing: Preprocessing
    decisions: tuple[Decision, ...]
    settings: dict[str, Settings]
    train_rows: IntArray
    monitor_rows: IntArray
    machine: Machine
    allowed: tuple[str, ...]
    notes: tuple[str, ...]
    source: str | None
    starts: dict[str, Start] = field(default_factory=dict)
    start_notes: tuple[str, ...] = ()
    world: World = ALONE

    @property
    def parts(self) -> tuple[str, ...]:
        """Of each record, the split that it is in; blocks that are held out are no part of it."""
        parts = [record.split for record in self.dataset.records]
        for row in self.monitor_rows:
            parts[row] = self.recipe.monitor
        return tuple(parts)

    def task(self, decision: Decision, member: int, pixels: PixelArray) -> Task:
        """The training of a decision's network, or of a further member (from 0) of its ensemble.

        pixels: (N, H, W) uint8 of the whole data set under the preprocessing.
        """

        def samples(rows: IntArray) -> Samples:
            names = [record.name for record in self.dataset.records]
            return Samples(
                pixels, *samples_of(decision, self.dataset, rows, self.recipe.doubt), names
            )

        return Task(
            decision,
            self.settings[decision.name],
            self.dataset.tree,
            seed=member_seed(self.recipe.seed, member),
            train=samples(self.train_rows),
            monitored=samples(self.monitor_rows),
            preprocessing=self.preprocessing,
            machine=self.machine,
            start=self.starts.get(decision.name),
            world=self.world,
        )


def make_plan(
    dataset: Dataset, recipe: Recipe, allow: Collection[str] = (), world: World = ALONE
) -> Plan:
    """Check a training before anything is written.

    allow: what refuse_unsound is to let through. world: as of Plan. Raises RecipeError,
    TrainingError, DataError.
    """
    device = world.device(choose_device(recipe.device))
    decisions = recipe.networks(dataset.tree)
    train_rows = dataset.indices("train")
    if recipe.monitor == "blocks":
        labels = dataset.labels[train_rows]
        groups = joined_groups(dataset)
        kept, held = hold_out_blocks(
            labels, [groups[row] for row in train_rows], recipe.holdout, recipe.seed
        )
        train_rows, monitor_rows = train_rows[kept], train_rows[held]
    elif recipe.monitor in dataset.splits:
        monitor_rows = dataset.indices(recipe.monitor)
    else:
        raise TrainingError(
            f"{dataset.root}: there is no split '{recipe.monitor}' to monitor (found "
            f"{', '.join(dataset.splits)}). Hold blocks out of train with --monitor blocks."
        )
    settings_of: dict[str, Settings] = {}
    starts: dict[str, Start] = {}
    for decision in decisions:  # settings that do not fit are refused before the first epoch
        settings = recipe.settings(decision.name)
        _, targets = samples_of(decision, dataset, train_rows, recipe.doubt)
        make_loss(decision, settings, dataset.tree, targets, torch.device("cpu"))
        world.refuse_too_few(decision.name, settings, len(targets))
        if settings.sync_batch_norm and world.size > 1 and device.type != "cuda":
            raise RecipeError(
                f"'{decision.name}': sync_batch_norm is for GPUs, and {world.size} processes train "
                f"on the device '{device.type}'. Leave it out, or train in one process."
            )
        epochs = settings.epochs_for(len(targets))
        settings_of[decision.name] = settings.model_copy(update={"epochs": epochs})
        with torch.device("meta"):
            network = create_network(
                settings.network,
                outputs=decision.outputs,
                image_size=recipe.image_size,
                own_start=not settings.weights,
            )
        if start := read_start(settings.network, network, settings.weights):
            starts[decision.name] = start
        if settings.start_size < 1:
            first = size_in(1, epochs, settings.start_size, recipe.image_size)
            check_resizable(network, settings.network, first)
    notes = [*dataset.notes, *refuse_unsound(dataset, allow)]
    source = recognise(dataset.counts(), layout=dataset.layout, digests=dataset.digests)
    if source:
        notes.append(source.meaning)
    if recipe.monitor == "test":
        notes.append(TEST_USED)
    known = source.name if source else None
    from_weights = dict.fromkeys(settings_of[name].network for name in starts)
    start_notes = (
        *(start.sentence(name) for name, start in starts.items()),
        *trained_on_sentences(from_weights),
        *seen_sentences(from_weights, dataset.name, layout=dataset.layout, source=known),
    )
    notes += start_notes
    machine = Machine(device, choose_format(recipe.precision, device), recipe.compile)
    preprocessing = Preprocessing.from_recipe(recipe)
    return Plan(
        dataset,
        recipe,
        preprocessing,
        decisions,
        settings_of,
        train_rows,
        monitor_rows,
        machine,
        tuple(sorted(allow)),
        tuple(notes),
        known,
        starts,
        start_notes,
        world,
    )


def samples_of(
    decision: Decision, dataset: Dataset, rows: IntArray, doubt: Doubt
) -> tuple[IntArray, IntArray | FloatArray]:
    """The rows that a decision is asked of, and what it should say of them, as of Samples."""
    labels = dataset.labels[rows]
    if not decision.findings:
        targets = decision.targets(labels)
        return rows[targets >= 0], targets[targets >= 0]
    shares = decision.shares(labels, doubt.settle(dataset.marks[rows]))
    known = ~np.isnan(shares).all(axis=1)
    return rows[known], shares[known]


def hold_out_blocks(
    labels: IntArray, groups: Sequence[Hashable], share: float, seed: int
) -> tuple[IntArray, IntArray]:
    """Split positions into (kept, held out), class by class.

    labels: (N,) class indices of records in natural order of their names. groups: of each record,
    such as its patient: where a block's edge or a copy divides one, all of it is kept.
    share: of each class to hold out, in (0, 1). Each class is cut into up to 20 contiguous
    blocks, of which about `share` (at least one, never all) is drawn by the seed.
    Both results are sorted positions in 0..N-1.
    Raises TrainingError where groups leave nothing of a class to hold out.
    """
    rng = np.random.default_rng([seed, 0xB10C])
    held: list[IntArray] = []
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        blocks = np.array_split(positions, min(BLOCKS, len(positions)))
        n = min(max(1, round(share * len(blocks))), len(blocks) - 1)
        held += [blocks[b] for b in rng.choice(len(blocks), size=n, replace=False)]
    out = set(np.concatenate(held).tolist())
    kept = {groups[i] for i in range(len(labels)) if i not in out}
    whole = np.array(sorted(i for i in out if groups[i] not in kept), dtype=np.int64)
    if set(labels[whole].tolist()) != set(labels.tolist()):
        raise TrainingError(
            "Blocks cannot be held out: the patients or copies in them reach into the rest. "
            "Divide the data with hilum split, and train with --split."
        )
    return np.setdiff1d(np.arange(len(labels)), whole).astype(np.int64), whole
