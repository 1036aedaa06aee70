"""Reading RUN folders for a report: what a run says of itself, its curves and its evaluations.

Nothing is computed or corrected here. A part that is absent is absent in the result, so that the
report can say so; a part that is damaged is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hilum.classifier.files import read_classifier_file
from hilum.classifier.provenance import check_facts
from hilum.codec import from_plain, read_plain
from hilum.errors import EvaluationError, HilumError
from hilum.evaluation.assess import ASSESSMENT_FILE, Assessment, read_assessment
from hilum.evaluation.external import EXTERNAL_FILE, ExternalDrop
from hilum.evaluation.files import EVALUATION_FILE, Evaluation, read_evaluation
from hilum.evaluation.shift import SHIFT_FILE, Shift, read_shift
from hilum.evaluation.stress import STRESS_FILE, Stress, read_stress
from hilum.judging.evaluated import SPLIT
from hilum.judging.judge import JUDGEMENT_FILE, Judgement, read_judgement
from hilum.labels import LabelTree, Strategy
from hilum.parsing import parse_json, parse_toml, read_json, read_text
from hilum.reporting.verdicts import Verdict, read_verdicts
from hilum.training.folder import FACTS_FILE

#: The order in which splits are told, the most telling first; others follow alphabetically.
_SPLITS = ("test", "val", "train")

#: How the folders begin that evaluations of data from elsewhere are written to.
EXTERNAL_PREFIX = "external-"


@dataclass(frozen=True)
class SplitResult:
    """The evaluation of one split.

    verdicts: by radiograph name, empty without predictions.csv. assessment, drop, stress, shift:
    what assessment.json, external.json, stress.json and shift.json hold beside it; None without.
    findings: of each its evaluation and assessment as a choice between 'negative' and itself.
    """

    split: str
    evaluation: Evaluation
    verdicts: Mapping[str, Verdict]
    assessment: Assessment | None = None
    drop: ExternalDrop | None = None
    stress: Stress | None = None
    shift: Shift | None = None
    findings: Mapping[str, "SplitResult"] = field(default_factory=dict)

    @property
    def on(self) -> str:
        """What it was measured on, after 'on': the split, or the cases of a table."""
        return "these cases" if self.split == SPLIT else self.split

    @property
    def images(self) -> str:
        """How many images it was measured on, and which."""
        n = f"{self.evaluation.n:,}"
        return f"these {n} cases" if self.split == SPLIT else f"{n} radiographs of {self.split}"


@dataclass(frozen=True)
class Epoch:
    """One epoch of one decision's training, as a line of history.jsonl has it.

    Losses are means per sample, accuracies shares in [0, 1]; monitor_* are None where nothing
    was monitored, and any number where it was not finite.
    """

    decision: str
    epoch: int
    train_loss: float | None
    train_accuracy: float | None
    monitor_loss: float | None = None
    monitor_accuracy: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None
    images_per_second: float | None = None


@dataclass(frozen=True)
class Run:
    """A run folder, read.

    name: as in run.json, with the folder's name where two runs of a report share one. info:
    run.json. recipe, recipe_text: recipe.toml, empty where absent. history: epochs per decision.
    history_torn: the last line of history.jsonl was incomplete, as after a crash. results: on the
    run's own data. external: on data from elsewhere. judgement: of a table of predictions, whose
    model was made elsewhere; None of a run.
    """

    folder: Path
    name: str
    info: Mapping[str, Any]
    tree: LabelTree
    recipe: Mapping[str, Any]
    recipe_text: str
    history: Mapping[str, tuple[Epoch, ...]]
    history_torn: bool
    results: tuple[SplitResult, ...]
    external: tuple[SplitResult, ...] = ()
    judgement: Judgement | None = None

    @property
    def data(self) -> Mapping[str, Any]:
        """What run.json says of the data set."""
        found: Mapping[str, Any] = self.info.get("data") or {}
        return found

    @property
    def classifier(self) -> Path | None:
        """The folder of its classifier, or None where the training has not finished."""
        folders = (self.folder, self.folder / "classifier")
        return next((f for f in folders if (f / "classifier.json").is_file()), None)

    @property
    def imported(self) -> bool:
        """Whether the weights were trained elsewhere, so that Hilum did not see it."""
        return "imported" in self.info

    @property
    def trained(self) -> bool:
        """Whether there are networks to tell of, and not a table of predictions alone."""
        return self.judgement is None

    @property
    def trained_here(self) -> bool:
        """Whether its training is on record: its weights were not imported, and there are some."""
        return self.trained and not self.imported

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) in pixels of what the networks see, where it is recorded."""
        size = self.recipe.get("image_size") or self.info.get("image_size")
        if isinstance(size, int):
            return size, size
        return (int(size[0]), int(size[1])) if size else None

    @property
    def synthetic(self) -> bool:
        """Whether the run was trained on phantoms."""
        return bool(self.data.get("synthetic"))

    @property
    def monitored(self) -> str | None:
        """What was watched in training: a split, 'blocks' held out of train, or None."""
        return (self.info.get("monitored") or {}).get("split")

    @property
    def watched(self) -> str | None:
        """What was watched in training, in words; None where nothing was."""
        return "held-out blocks" if self.monitored == "blocks" else self.monitored

    @property
    def held_out(self) -> int:
        """How many radiographs of train were held out of training, to be watched."""
        watched = self.info.get("monitored") or {}
        return int(watched.get("n") or 0) if watched.get("split") == "blocks" else 0

    @property
    def thresholds(self) -> Mapping[str, float]:
        """From which probability on its classifier calls each finding present."""
        found = read_classifier_file(self.classifier).findings if self.classifier else {}
        return {name: finding.threshold for name, finding in found.items()}

    @property
    def strategy(self) -> Strategy:
        """'flat' or 'cascade'."""
        return "flat" if self.info["strategy"] == "flat" else "cascade"

    @property
    def decisions(self) -> tuple[str, ...]:
        """The decisions that have a network of their own, in the order of the label tree."""
        return tuple(d.name for d in self.tree.networks(self.strategy))

    @property
    def main(self) -> SplitResult | None:
        """The evaluation that says most about new images: of test, or else one that chose nothing.

        Last come the images of training, and before them those that thresholds were chosen on.
        """

        def rank(result: SplitResult) -> tuple[bool, bool, bool]:
            chose = result.assessment is not None and result.assessment.same_images
            return result.split == "train", result.split != "test", chose

        return min(self.results, key=rank, default=None)

    def result(self, split: str) -> SplitResult | None:
        """The evaluation of a split, or None where there is none."""
        return next((r for r in self.results if r.split == split), None)


def read_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Read run folders; names are made unique, so that the report can tell them apart.

    Raises HilumError where there is none, a folder is no run, or a file in it is damaged.
    """
    if not folders:
        raise HilumError("A report needs at least one run folder; none was given.")
    runs = [_read_run(Path(folder)) for folder in folders]
    names = [run.name for run in runs]
    unique: list[Run] = []
    for i, run in enumerate(runs):
        name = run.name
        if names.count(name) > 1:
            name = f"{name} ({run.folder.resolve().name})"
        if name in [u.name for u in unique]:
            name = f"{name}, run {i + 1}"
        unique.append(replace(run, name=name))
    return tuple(unique)


def _read_run(folder: Path) -> Run:
    info = _read_info(folder)
    recipe_file = folder / "recipe.toml"
    recipe_text = read_text(recipe_file, HilumError) if recipe_file.is_file() else ""
    recipe = parse_toml(recipe_text, recipe_file, HilumError)
    history, torn = _read_history(folder / "history.jsonl")
    results, external = _read_results(folder / "evaluation")
    judged = (folder / JUDGEMENT_FILE).is_file()
    return Run(
        folder=folder,
        name=str(info.get("name") or folder.resolve().name),
        info=info,
        tree=LabelTree.from_json(info["labels"]),
        recipe=recipe,
        recipe_text=recipe_text,
        history=history,
        history_torn=torn,
        results=results,
        external=external,
        judgement=read_judgement(folder) if judged else None,
    )


def _read_info(folder: Path) -> dict[str, Any]:
    """run.json; of a classifier that no run of Hilum trained, the same facts as far as it has them.

    Weights that were trained elsewhere have no settings, no history and no data of their own.
    """
    about = folder / FACTS_FILE
    if about.is_file():
        info = check_facts(read_json(about, HilumError), about, HilumError)
        for key in ("labels", "strategy"):
            if info.get(key) is None:
                raise HilumError(f"{about} lacks the key '{key}', which tells what was trained.")
        return info
    if (folder / "classifier.json").is_file():
        content = read_classifier_file(folder)
        return {
            **content.provenance,
            "name": folder.resolve().name,
            "labels": content.labels,
            "strategy": content.strategy,
            "rule": content.rule,
            "image_size": list(content.preprocessing.image_size),
            "networks": {
                name: {"name": network.name, "outputs": network.outputs}
                for name, network in content.networks.items()
            },
        }
    if (folder / JUDGEMENT_FILE).is_file():
        judgement = read_judgement(folder)
        return {"name": judgement.name, "labels": judgement.labels, "strategy": "flat"}
    raise HilumError(
        f"{folder} is not a run folder: it has no run.json. Give a folder that "
        "'hilum train … --out FOLDER' has written, or that of a classifier (classifier.json)."
    )


def _read_history(file: Path) -> tuple[dict[str, tuple[Epoch, ...]], bool]:
    """Epochs per decision, in order; an epoch that stands twice counts as it stands last."""
    if not file.is_file():
        return {}, False
    found: dict[str, dict[int, Epoch]] = {}
    text = read_text(file, HilumError)
    lines = text.splitlines()
    # A writer that was killed leaves a last line without its end: that epoch was not finished.
    torn = bool(lines) and not text.endswith("\n")
    for number, line in enumerate(lines[:-1] if torn else lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, "it", HilumError, parse_constant=lambda _: None)  # NaN, Infinity
            epoch = from_plain(Epoch, row, what="an epoch", error=HilumError)
        except HilumError as error:
            raise HilumError(f"{file}, line {number}: not an epoch ({error}).") from None
        found.setdefault(epoch.decision, {})[epoch.epoch] = epoch
    return {d: tuple(e[k] for k in sorted(e)) for d, e in found.items()}, torn


def _read_results(folder: Path) -> tuple[tuple[SplitResult, ...], tuple[SplitResult, ...]]:
    """A run's evaluations on its own data, and those on data from elsewhere.

    folder: RUN/evaluation, which need not be there. Raises HilumError naming the damaged file.
    """
    own: list[SplitResult] = []
    external: list[SplitResult] = []
    for file in sorted(folder.glob(f"*/{EVALUATION_FILE}")):
        result = _read_result(file)
        elsewhere = result.drop is not None or file.parent.name.startswith(EXTERNAL_PREFIX)
        (external if elsewhere else own).append(result)
    order = {split: i for i, split in enumerate(_SPLITS)}
    own.sort(key=lambda r: (order.get(r.split, len(order)), r.split))
    return tuple(own), tuple(external)


def _read_result(file: Path) -> SplitResult:
    """An evaluation, and what lies beside it. A stress test takes minutes: one is easily left."""
    evaluation = read_evaluation(file)
    result = SplitResult(evaluation.split, evaluation, read_verdicts(file, evaluation))
    if (beside := file.with_name(ASSESSMENT_FILE)).is_file():
        assessment = read_assessment(beside)
        _refuse_older(beside, (assessment.n, assessment.split), evaluation)
        result = replace(result, assessment=assessment)
    if (beside := file.with_name(EXTERNAL_FILE)).is_file():
        drop = read_plain(beside, ExternalDrop, what="a comparison", error=EvaluationError)
        _refuse_older(beside, (drop.external.get("n"), drop.external.get("split")), evaluation)
        result = replace(result, drop=drop)
    if (beside := file.with_name(STRESS_FILE)).is_file():
        stress = read_stress(beside)
        _refuse_other(beside, stress, evaluation, "--stress")
        result = replace(result, stress=stress)
    if (beside := file.with_name(SHIFT_FILE)).is_file():
        shift = read_shift(beside)
        _refuse_other(beside, shift, evaluation, "--shift")
        result = replace(result, shift=shift)
    assessed = result.assessment.findings if result.assessment else {}
    each = {
        name: SplitResult(result.split, own, {}, assessed.get(name))
        for name, own in evaluation.findings.items()
    }
    return replace(result, findings=each)


def _refuse_other(beside: Path, found: Stress | Shift, evaluation: Evaluation, option: str) -> None:
    """Raise HilumError where a test is of other images, or of another classifier or rule."""
    _refuse_older(beside, (found.n, found.split), evaluation)
    same = ("rule", "data", "classifier")
    if differ := [k for k in same if getattr(found, k) != getattr(evaluation, k)]:
        raise HilumError(
            f"{beside} is not about the same {' and '.join(differ)} as {EVALUATION_FILE} "
            f"beside it: evaluate again with {option}, or remove it."
        )


def _refuse_older(file: Path, about: tuple[Any, Any], evaluation: Evaluation) -> None:
    if about != (evaluation.n, evaluation.split):
        raise HilumError(
            f"{file} is about {about[0]} images of {about[1]}, but {EVALUATION_FILE} beside it "
            f"about {evaluation.n} of {evaluation.split}: evaluate again."
        )
