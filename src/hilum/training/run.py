"""A training run: a data set and a recipe in, a run folder (folder.py) out.

An ensemble's further members have the folders checkpoints/DECISION.2/ and so on, and the key
'member' (from 1) in the rows of the history.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hilum.auditing.leaks import Copies, find_copies
from hilum.classifier.calibrate import calibrate, remember
from hilum.classifier.classifier import Classifier
from hilum.codec import from_plain, to_plain
from hilum.errors import HilumError, Interrupted, TrainingError
from hilum.given import Data, RecipeLike, as_dataset, as_recipe
from hilum.networks.ensemble import join_networks
from hilum.networks.registry import create_network_to_load
from hilum.radiographs.pixels import DamagedFilesError, Progress
from hilum.recipe import Recipe
from hilum.records import PixelArray, several
from hilum.stores import on_disk
from hilum.training.checkpoint import Row, best_epoch, fitting
from hilum.training.folder import (
    RECIPE_FILE,
    Division,
    History,
    forget_run,
    lock_run,
    new_run_folder,
    open_run,
    read_facts,
    utc_now,
    write_facts,
)
from hilum.training.interrupt import StopRequest, stop_on_signal
from hilum.training.mlflow_run import TrackingError
from hilum.training.plan import Plan, make_plan
from hilum.training.together import (
    Folders,
    brief,
    checkpoint_folders,
    of_member,
    refuse_different,
    train_networks,
)
from hilum.training.tracking import Tracker, track
from hilum.training.world import ALONE, World
from hilum.transforms.augment import MIRRORED

#: What a classifier does not carry of its run's facts: it has its own, or they name files.
_NOT_CARRIED = ("format", "labels", "networks", "copies", "tracking")


def train(
    dataset: Data,
    recipe: RecipeLike | None = None,
    out: Path | str | None = None,
    *,
    split_file: Path | str | None = None,
    fold: int | None = None,
    allow: str | Collection[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    on_copies: Callable[[Copies], None] | None = None,
    on_start: Callable[[str], None] | None = None,
    world: World = ALONE,
    spread: bool = False,
) -> Classifier:
    """Train a classifier and write everything about it into a run folder.

    Data without the part that the recipe monitors, val, are divided first, as `hilum split` divides
    them: by patients where these are known, otherwise by blocks of neighbouring files; a test part
    stays. Ctrl-C ends with a checkpoint.

    Args:
        dataset: Of open_dataset, or the path of what it would open.
        recipe: What decides how it is trained: a Recipe, the name of a built-in one, the path of
            a TOML file, or a mapping of keys; None takes 'default', or with resume the run's own.
        out: The run's folder: new, or with resume its own; None makes runs/NAME-1, -2, … of the
            data's name.
        split_file: A table of `hilum split`, by which the images are divided instead.
        fold: Which of the table's folds is monitored, while the others train.
        allow: 'leakage' and 'label-conflicts' let through what a quick check of the data would
            refuse; the classifier and every report say so.
        resume: Go on with the run in that folder, from its newest checkpoints; a finished run is
            only read.
        progress: Called with what is done, how many are done, and of how many.
        on_epoch: Called with each row of the history.
        on_copies: Called, before anything is trained, with the images that stand in two parts
            as copies or nearly so, where there are any.
        on_start: Called, before anything is trained, with a sentence for each network that starts
            from weights in a file: what was loaded of them, and what was not.
        world: The processes that train together, of training.joining, of which this is the first;
            the others call help_train.
        spread: Each of them trains whole networks by itself, instead of a share of every batch.

    Returns:
        The classifier, which is also in RUN/classifier.

    Raises:
        RecipeError: The recipe does not fit the labels.
        TrainingError: The run cannot start, go on or be resumed.
        DataError: Radiographs cannot be read.
        Interrupted: It was stopped.
    """
    out = on_disk(out)
    recipe = recipe_to_train(recipe, out, resume)
    dataset = as_dataset(dataset, progress=progress)
    out = out or new_run_folder(dataset)
    division = Division.read(on_disk(split_file), fold) if split_file else None
    if resume:
        found = read_facts(out)
        if found is None:
            raise TrainingError(f"{out}: there is no run to resume here.")
        allow = {*several(allow), *found.get("allowed", [])}
        division = division or Division.of_run(out)
    if fold is not None and (division is None or division.fold != fold):
        used = "none was given" if division is None else f"the run's is of fold {division.fold}"
        raise TrainingError(f"Fold {fold} was asked for, of which table? {used}: add --split.")
    undivided = "train" in dataset.splits and "val" not in dataset.splits
    if division is None and not resume and undivided and recipe.monitor == "val":
        division, said = Division.make(dataset, progress)
        dataset = replace(dataset, notes=(*dataset.notes, said))
    data = division.apply(dataset) if division else dataset
    plan = make_plan(data, recipe, several(allow), world.apart() if spread else world)
    world.from_first(brief(out, division, list(plan.allowed)))
    refuse_different(plan, division, world)
    with lock_run(out):
        facts = open_run(out, plan, division, resume)
        if world.from_first(bool(facts.get("finished"))):
            return Classifier.load(out, device=recipe.device)
        _note_processes(plan.world.size, out, facts, resume)
        go_on = f"Go on with: hilum train DATA --out {out} --resume"
        try:
            told = _without_folders(recipe)
            with (
                stop_on_signal() as stop,
                world.stopping(stop),
                track(out, facts, told) as trackers,
            ):
                copies = _copies(plan, out, facts, progress)
                if copies.groups and on_copies:
                    on_copies(copies)
                if on_start:
                    for sentence in plan.start_notes:
                        on_start(sentence)
                trained = _train(plan, out, facts, stop, world, progress, on_epoch, trackers)
                if stop.requested:  # after the last step
                    raise Interrupted("stopped when all was trained")
                return trained
        except (DamagedFilesError, TrackingError):
            if not resume:
                forget_run(out)
            raise
        except Interrupted as error:
            raise Interrupted(f"{out}: {error}; a checkpoint was written. {go_on}") from None
        except KeyboardInterrupt:
            raise Interrupted(f"{out}: stopped at once. {go_on}") from None
        except OSError as error:
            raise TrainingError(
                f"{error.filename or out}: cannot be written ({error.strerror}); the checkpoints "
                f"written before are unharmed. {go_on}"
            ) from error


def recipe_to_train(recipe: RecipeLike | None, out: Path | None, resume: bool) -> Recipe:
    """The recipe that a run is trained by: the one given; resumed, its own; otherwise 'default'.

    Raises TrainingError where a run is to go on whose folder is not named; RecipeError.
    """
    if resume and out is None:
        raise TrainingError("To resume is to go on with a run: name its folder (--out).")
    if recipe is None and resume and out is not None and (out / RECIPE_FILE).is_file():
        recipe = out / RECIPE_FILE
    return as_recipe(recipe)


def _note_processes(n: int, out: Path, facts: dict[str, Any], resumed: bool) -> None:
    """Say in run.json how many processes share a batch, and that it was another number before."""
    before = facts.get("processes", 1)
    if before == n:
        return
    if resumed:
        said = (
            f"The batches of this training were first divided between {before} and then between "
            f"{n} processes: its figures are those of one number of processes but for rounding."
        )
        facts["notes"] = [*facts.get("notes", []), said]
    facts["processes"] = n
    write_facts(out, facts)


def _copies(plan: Plan, out: Path, facts: dict[str, Any], progress: Progress | None) -> Copies:
    """The copies that run.json names; where it does not say, they are looked for, and it does."""
    if found := facts.get("copies"):
        return from_plain(Copies, found, what="the copies of a run", error=TrainingError)
    copies = find_copies(plan.dataset, plan.parts, progress=progress)
    facts["copies"] = to_plain(copies)
    notes = facts.get("notes", [])
    if copies.groups and copies.sentence not in notes:
        facts["notes"] = [*notes, copies.sentence]
    write_facts(out, facts)
    return copies


def _train(
    plan: Plan,
    out: Path,
    facts: dict[str, Any],
    stop: StopRequest,
    world: World,
    progress: Progress | None,
    on_epoch: Callable[[Row], None] | None,
    trackers: Sequence[Tracker],
) -> Classifier:
    dataset, recipe = plan.dataset, plan.recipe
    for partial in out.rglob(".*.partial"):  # a kill during a write left it behind
        partial.unlink()
    pixels = world.by_turns(lambda: dataset.pixels(plan.preprocessing, progress))
    folders = checkpoint_folders(plan, out)
    history = History(out)
    rows = _rows(folders)
    history.restore(rows)
    for tracker in trackers:
        tracker.restore(rows)
    by = f", {world.size} processes" if world.size > 1 else ""
    history.log(f"started: {recipe.name} on {dataset.name}, {plan.machine.device}{by}")
    for sentence in plan.start_notes:
        history.log(sentence)
    for decision in plan.decisions:
        if plan.settings[decision.name].augmentation.mirror:
            history.log(f"{decision.name}: {MIRRORED}")

    def record(row: Row) -> None:
        history.append(row)
        for tracker in trackers:
            tracker.record(row)
        if on_epoch:
            on_epoch(row)

    try:
        train_networks(plan, folders, pixels, world, stop=stop, on_epoch=record, progress=progress)
        if plan.world.size < world.size:  # spread: rows came as they were done
            history.restore(_rows(folders))
        classifier = _calibrated(_assemble(plan, folders, facts), plan, pixels, progress)
        classifier.save(out / "classifier")
        write_facts(out, facts)
        history.log("finished")
        return classifier
    except HilumError as error:
        history.log(f"ended: {error}")
        raise


def _rows(folders: Folders) -> list[Row]:
    """The history as the checkpoints hold it: decision by decision, and member by member."""
    return [
        of_member(row, k, len(members))
        for members in folders.values()
        for k, folder in enumerate(members)
        if (newest := folder.newest())
        for row in newest.history
    ]


def _assemble(plan: Plan, folders: Folders, facts: dict[str, Any]) -> Classifier:
    """The classifier of the selected epochs; completes the facts of the run."""
    networks, names, selected = {}, {}, {}
    seconds = 0.0
    for decision in plan.decisions:
        settings = plan.settings[decision.name]
        members, epochs = [], []
        for folder in folders[decision.name]:
            last = folder.of_epoch(settings.epochs)
            epoch = settings.epochs if settings.select == "last" else best_epoch(last.history)
            chosen = last if epoch == last.epoch else folder.of_epoch(epoch)
            member = create_network_to_load(
                settings.network,
                outputs=decision.outputs,
                image_size=plan.recipe.image_size,
            )
            with fitting(folder.folder):
                member.load_state_dict(chosen.weights)
            members.append(member)
            epochs.append(epoch)
            seconds += sum(row["seconds"] for row in last.history)
        network = join_networks(members, mirror=settings.mirror_test)
        networks[decision.name], names[decision.name] = network, settings.network
        selected[decision.name] = epochs[0] if len(epochs) == 1 else epochs
        facts["networks"][decision.name] = {
            "name": settings.network,
            "outputs": decision.outputs,
            "parameters": sum(p.numel() for p in network.parameters()),
        }
    facts |= {
        "finished": utc_now(),
        "seconds": round(seconds, 3),
        "selected_epochs": selected,
        "selects_best": [d.name for d in plan.decisions if plan.settings[d.name].select == "best"],
    }
    provenance = {k: v for k, v in facts.items() if k not in _NOT_CARRIED}
    # It may travel: no folder and no file is named.
    data = {k: v for k, v in facts["data"].items() if k != "root"}
    if "damaged" in data:
        data["damaged"] = len(data["damaged"])
    provenance["data"] = data
    return Classifier(
        tree=plan.dataset.tree,
        strategy=plan.recipe.strategy,
        rule=plan.recipe.rule,
        preprocessing=plan.preprocessing,
        networks=networks,
        network_names=names,
        provenance={**provenance, "recipe": _without_folders(plan.recipe)},
        device=plan.machine.device,
    )


def _without_folders(recipe: Recipe) -> dict[str, Any]:
    """A recipe's keys, with files of weights by their names alone."""
    keys = recipe.to_dict()
    for table in (keys, *keys.get("decision", {}).values()):
        if table.get("weights"):
            table["weights"] = Path(table["weights"]).name
    return keys


def _calibrated(
    classifier: Classifier, plan: Plan, pixels: PixelArray, progress: Progress | None
) -> Classifier:
    """The classifier with what its own images tell of it.

    A monitored test set is never chosen by: such a run's classifier is not calibrated.
    """
    dataset = plan.dataset
    classifier = remember(
        classifier, dataset, pixels, training_rows=plan.train_rows,
        thumbnails=plan.recipe.keep_thumbnails, progress=progress,
    )  # fmt: skip
    if plan.recipe.monitor == "test":
        return classifier
    return calibrate(
        classifier,
        dataset,
        pixels,
        validation_rows=plan.monitor_rows,
        split=plan.recipe.monitor,
        promises=plan.recipe.promises,
        progress=progress,
    )
