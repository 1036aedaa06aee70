"""Is it still the same? What new images without labels tell of a classifier that is in use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import ClassVar

import numpy as np

from hilum.classifier.arrivals import Arrivals
from hilum.classifier.classifier import Classifier
from hilum.classifier.validation import Keys, image_keys
from hilum.codec import write_plain
from hilum.display import Displayed, paragraphs
from hilum.errors import DataError, EvaluationError, examples, plural
from hilum.files import ODD_NAMES, sha256
from hilum.prediction.sources import check_sources, count_sources, list_sources
from hilum.prediction.stream import Reading, predict_stream, read_file
from hilum.predictions import Predictions
from hilum.radiographs.pixels import image_digest
from hilum.records import Estimate, FloatArray, PixelArray, Progress
from hilum.statistics.label_shift import LEAST_SINGULAR, Mix, estimate_mix
from hilum.statistics.two_by_two import parse_prevalence
from hilum.table import Column, Columns, Row, Table
from hilum.training.folder import utc_now
from hilum.watching.baseline import Question, Seen, Sums, read_baseline
from hilum.watching.history import Line, before, last, read_history, write_history
from hilum.watching.judging import LEVEL, OF_LOOKS, Period, Test, judge
from hilum.watching.labelling import LABELS, LABELS_FILE, ToLabel, choose, read_labels, write_labels
from hilum.wording import PERCENT, POINTS, listed, p_value

WATCH_FILE = "watch.json"

#: Of fewer images nothing is said.
LEAST_IMAGES = 30

#: No accuracy is estimated where a test of how images look speaks so, adjusted or not.
DOUBT = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """What is estimated of one question.

    name: '' of the classes, else the finding's. validation: the share of each class among the
    validation images. black_box, likely: those estimated of the new images, by black-box shift
    estimation and by expectation maximisation. apart: their largest difference. agree: whether it
    may be chance. accuracy: the share of the new images that are answered rightly; undefined, with
    the reason, where what it rests on does not hold. labelled: the same from labels; None without.
    """

    name: str
    validation: dict[str, float]
    black_box: dict[str, Estimate]
    likely: dict[str, Estimate]
    apart: float
    agree: bool
    accuracy: Estimate
    labelled: Estimate | None = None

    @property
    def measure(self) -> str:
        """What its accuracy is called."""
        return f"accuracy for {self.name}" if self.name else "accuracy"


@dataclass(frozen=True, slots=True, repr=False)
class Watch(Displayed):
    """What was found of N images.

    made: UTC, ISO 8601. validation: images that they were held against. unread: files that cannot
    be read, with the reason. level: the chance of an alarm in a run in which nothing has changed.
    alarm: whether one is raised. verdict: sentences, the first of them whether. pooled: runs that
    were judged together with this one, itself among them. arrivals: what the gate says. to_label:
    whose labels would tell most; None where none are asked for. labels_file: where they are to be
    written; '' where a table was left as it is. missing: what could not be compared, or was left
    out. history: the lines of all runs, this one last; none where none is kept.
    """

    FORMAT: ClassVar[int] = 1

    made: str
    n: int
    validation: int
    unread: dict[str, str]
    level: float
    alarm: bool
    verdict: tuple[str, ...]
    tests: tuple[Test, ...]
    pooled: int
    arrivals: Arrivals | None
    answers: tuple[Answer, ...]
    to_label: ToLabel | None = None
    labels_file: str = ""
    missing: tuple[str, ...] = ()
    history: tuple[Line, ...] = field(default=(), repr=False)

    def mix_table(self) -> Table:
        """How common each class is among the new images: a row for each, both estimates."""
        columns: Columns = [
            Column("", "text"), "validation images", "black-box shift estimation",
            "expectation maximisation",
        ]  # fmt: skip
        rows: list[Row] = [
            [name, share, answer.black_box[name], answer.likely[name]]
            for answer in self.answers
            for name, share in answer.validation.items()
            if not answer.name or name == answer.name
        ]
        return Table("Estimated shares", columns, rows)

    def tests_table(self) -> Table:
        """Every test, the surest first."""
        columns: Columns = [
            Column("", "text", wrap=True), Column("of", "text"), "images", "p, adjusted",
            "size", Column("", "text"),
        ]  # fmt: skip
        rows: list[Row] = [
            [
                test.asked,
                "this run" if test.period == "run" else f"the last {self.pooled} runs",
                test.n,
                p_value(test.adjusted),
                test.size,
                "alarm" if test.alarm else "",
            ]
            for test in sorted(self.tests, key=lambda test: (test.adjusted, test.p_value))
        ]
        return Table("What may have changed", columns, rows)

    def _in_one_line(self) -> str:
        return f"Watch of {plural(self.n, 'image')}: {self.verdict[0]}"

    def _in_full(self) -> Iterator[str | Table]:
        yield paragraphs(*self.verdict[1:])
        yield self.mix_table()
        yield self.tests_table()


def watch_images(
    classifier: Classifier,
    inputs: Sequence[str],
    *,
    out: Path | None = None,
    level: float = LEVEL,
    expect: str = "",
    label: int = LABELS,
    labels: Path | None = None,
    progress: Progress | None = None,
) -> Watch:
    """Hold images without labels against what a classifier keeps of its validation images.

    inputs: as of list_sources. out: a folder for watch.json, history.jsonl and label-these.csv;
    None writes nothing and looks at this run alone. level: in (0, 0.5], the chance of an alarm in
    a run in which nothing has changed. expect: shares of all classes, 'normal=0.9, covid=0.1',
    which the mix is tested against; '' takes those of the validation images. label: how many
    images to choose for labelling, 0 for none. labels: a table that such a run wrote, filled in.

    Raises DataError for fewer than LEAST_IMAGES that can be read, and what cannot be read or
    written; ClassifierError where the classifier keeps too little; EvaluationError or LabelError
    where options make no sense.
    """
    if not 0 < level <= 0.5:
        raise EvaluationError(f"A level lies above 0 and is at most 0.5; got {level:g}.")
    if label < 0 or label == 1:
        raise EvaluationError(f"Label no image, or at least 2; got {label}.")
    baseline = read_baseline(classifier)
    expected = _expected(classifier, expect)
    earlier = read_history(out) if out else ()
    seen, own, unread = look_at(classifier, inputs, progress)
    n = len(seen.predictions) if seen else 0
    which = "that trained or calibrated this classifier"
    left = f"{plural(len(own), 'image')} {which}: {examples(own)}" if own else ""
    if seen is None or n < LEAST_IMAGES:
        without = f" without {left}" if left else ""
        raise DataError(
            f"{plural(n, 'image')} can be read, and at least {LEAST_IMAGES} are needed to say "
            f"anything: give those of a longer time{without}."
        )
    sums, images = baseline.sums(seen), _digest(seen)
    earlier = before(earlier, images)
    alike = last(earlier, baseline.digest, sums)
    periods: dict[Period, Sums] = {"run": sums}
    if alike:
        periods["pooled"] = reduce(add, alike, sums)
    tests, arrivals = judge(baseline, periods, level=level, expected=expected)
    mixes = {q.name: _estimate(q, seen.predictions) for q in baseline.questions}
    told = read_labels(labels, baseline.questions, seen.predictions) if labels else {}
    answers = tuple(
        _answer(q, mixes[q.name], tests, n, told.get(q.name)) for q in baseline.questions
    )
    chosen, written = None, ""
    if label and labels is None:
        sure = np.mean([mix.confidence for mix in mixes.values()], axis=0)
        chosen = choose(seen.predictions.names, sure, label)
        file = (out or Path()) / LABELS_FILE
        if out and write_labels(file, chosen, baseline.questions, seen.predictions):
            written = str(file)
    made, alarm = utc_now(), any(test.alarm for test in tests)
    line = Line(
        made, baseline.digest, images, sums, alarm,
        {a.name: a.likely for a in answers}, {a.name: a.accuracy for a in answers},
    )  # fmt: skip
    found = Watch(
        made, n, baseline.n, unread, level, alarm, tuple(_verdict(n, tests, answers, level)),
        tests, len(alike) + 1, arrivals, answers, chosen, written,
        (*baseline.missing, *([f"Left out: {left}."] if left else [])),
    )  # fmt: skip
    if out:
        found = replace(found, history=(*earlier, line))
        write_history(out, found.history)
        kept = replace(found, history=())  # which has a file of its own
        write_plain(out / WATCH_FILE, kept, error=DataError, indent=2, errors=ODD_NAMES)
    return found


def look_at(
    classifier: Classifier, inputs: Sequence[str], progress: Progress | None = None
) -> tuple[Seen | None, tuple[str, ...], dict[str, str]]:
    """What is seen of images that are new to a classifier.

    inputs: as of list_sources. Returns it (None for no image), the names of images that are left
    out because they trained or calibrated the classifier, as far as it remembers, and of files that
    cannot be read the reason. Raises DataError where there is none to be read from the beginning.
    """
    check_sources(inputs)
    total, done = count_sources(inputs) if progress else 0, 0
    places: list[FloatArray] = []
    digests: dict[Path, str] = {}

    def read(path: Path) -> Reading:
        found = read_file(path, classifier.preprocessing)
        if not found.reason:
            digests[path] = image_digest(path)
        return found

    def classify(pixels: PixelArray) -> Predictions:
        if classifier.reference is None:
            return classifier.predict_pixels(pixels)
        logits, embedded = classifier.look(pixels)
        places.append(embedded.astype(np.float16).astype(np.float64))  # as validation images'
        p_values = None if classifier.gate is None else classifier.gate.judge(pixels).p_values
        return replace(classifier.decide(logits), gate_p_values=p_values)

    parts: list[Predictions] = []
    contents: list[str] = []
    unread: dict[str, str] = {}
    for answers in predict_stream(list_sources(inputs), read, classify):
        pairs = list(zip(answers.paths, answers.reasons, strict=True))
        unread |= {str(path): reason for path, reason in pairs if reason}
        if answers.predictions is not None:
            paths = [path for path, reason in pairs if not reason]
            parts.append(replace(answers.predictions, names=tuple(map(str, paths))))
            contents += [digests[path] for path in paths]
        done += len(pairs)
        if progress:
            progress("Looking", done, total)
    if not parts:
        return None, (), unread
    said = Predictions.join(parts)
    old = np.isin(image_keys(contents), _known(classifier))
    seen = Seen(said.take(~old), np.concatenate(places)[~old] if places else None)
    return seen, tuple(np.array(said.names, dtype=object)[old]), unread


def _known(classifier: Classifier) -> Keys:
    """By what the images are known again that trained or calibrated a classifier."""
    kept = (classifier.reference, classifier.validation)
    seen = [part.seen for part in kept if part is not None and part.seen is not None]
    return np.concatenate(seen) if seen else image_keys(())


def _digest(seen: Seen) -> str:
    """By which the same images are known again, in whatever order and folder."""
    return sha256(np.sort(np.round(seen.predictions.probs, 6), axis=0).tobytes())


def _expected(classifier: Classifier, text: str) -> FloatArray | None:
    if not text:
        return None
    shares, classes = parse_prevalence(text, classifier.tree), classifier.classes
    if set(shares) != set(classes) or abs(sum(shares.values()) - 1) > 0.005:
        raise EvaluationError(
            f"Expected shares are of all classes ({', '.join(classes)}) and sum to 1; found "
            f"'{text}'."
        )
    found = np.array([shares[name] for name in classes])
    return np.asarray(found / found.sum(), dtype=np.float64)


def _estimate(question: Question, predictions: Predictions) -> Mix:
    said = question.said(predictions)
    return estimate_mix(question.known, said.probs, said.predicted)


def _answer(
    question: Question, mix: Mix, tests: Sequence[Test], n: int, labelled: Estimate | None
) -> Answer:
    reason = why_not(question, mix, tests)
    classes = question.classes
    return Answer(
        question.name,
        dict(zip(classes, question.known.shares.tolist(), strict=True)),
        dict(zip(classes, mix.black_box, strict=True)),
        dict(zip(classes, mix.likely, strict=True)),
        mix.apart,
        mix.agree,
        Estimate.undefined(reason, n) if reason else mix.accuracy,
        labelled,
    )


def why_not(question: Question, mix: Mix, tests: Sequence[Test]) -> str:
    """Why no accuracy is estimated; '' where nothing that can be seen speaks against it."""
    if question.known.singular < LEAST_SINGULAR:
        return mix.black_box[0].reason
    spoken = [
        test
        for test in tests
        if test.key in OF_LOOKS
        and test.question in ("", question.name)
        and (test.alarm or (test.p_value <= DOUBT and test.period == "run"))
    ]
    if spoken:
        surest = min(spoken, key=lambda test: test.p_value)
        return f"images look otherwise than before: {surest.asked} ({_chance(surest.p_value)})"
    if not mix.agree:
        return (
            "the two estimates of how common the classes are disagree by "
            f"{POINTS.number(mix.apart)}, so more than the mix has changed"
        )
    return ""


def _chance(p_value: float) -> str:
    shown = "< 0.0001" if p_value < 1e-4 else f"= {p_value:.1g}"
    return f"p {shown}".replace(" ", "\N{NO-BREAK SPACE}")


def _verdict(
    n: int, tests: Sequence[Test], answers: Sequence[Answer], level: float
) -> Iterator[str]:
    images, chance = plural(n, "image"), f"{100 * level:g}\N{NARROW NO-BREAK SPACE}%"
    alarms = sorted((t for t in tests if t.alarm), key=lambda test: (test.adjusted, -test.size))
    looks = [test for test in alarms if test.key in OF_LOOKS]
    if looks:
        yield f"These {images} do not look as those that the classifier was validated on."
    elif alarms:
        of = listed(sorted({test.question for test in alarms if test.question}))
        yield f"The mix has changed: how common {of or 'the classes'} {'is' if of else 'are'}."
    else:
        yield f"No change was found in these {images}."
    if alarms:
        each: dict[str, Test] = {}
        for test in alarms:  # of this run and of several, the surer one
            each.setdefault(test.asked, test)
        surest = list(each.values())[:3]
        told = "; ".join(f"{test.asked} ({_chance(test.adjusted)})" for test in surest)
        yield f"What speaks: {told}."
    else:
        yield (
            f"{plural(len(tests), 'test')}, which together raise a false alarm in {chance} of "
            "runs, are silent. That is no proof that nothing has changed."
        )
    for answer in answers:
        of = f" of {answer.name}" if answer.name else ""
        if answer.labelled is not None and answer.labelled.value is not None:
            yield (
                f"By {plural(answer.labelled.n, 'label')} the {answer.measure} is "
                f"{PERCENT.words(answer.labelled)}."
            )
        elif answer.labelled is not None:
            yield f"The labels do not tell the {answer.measure}: {answer.labelled.reason}."
        if answer.accuracy.value is None:
            yield f"No accuracy{of} is estimated: {answer.accuracy.reason}."
        else:
            yield (
                f"Estimated {answer.measure}: {PERCENT.words(answer.accuracy)}, if nothing but "
                "the mix of classes has changed."
            )
