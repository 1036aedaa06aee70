"""From uploads to answers: processes that decode, a thread that classifies, one that explains."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from hilum.classifier.arrivals import Tally, judge_arrivals
from hilum.classifier.classifier import Classifier
from hilum.errors import DataError, HilumError
from hilum.exporting.runtime import Runtime, run_by
from hilum.prediction.stream import Answers
from hilum.prediction.table import Table
from hilum.predictions import Prediction
from hilum.radiographs.decoding import Decoders
from hilum.records import PixelArray
from hilum.serving.batching import Batcher
from hilum.serving.bodies import Upload
from hilum.serving.explaining import Explainer
from hilum.serving.limits import Limits, Problem
from hilum.serving.metrics import Metrics
from hilum.serving.schemas import (
    ArrivalsInfo,
    DecisionProbs,
    DicomFacts,
    Explanation,
    FindingAnswer,
    Item,
    Neighbour,
    PredictionList,
    describe_classifier,
    threshold_of,
)
from hilum.serving.uploads import FILE, Decoded, Uploads, prepared, refused

_RETRY_AFTER = 5
_Answer = TypeVar("_Answer")


class Service:
    """A classifier at work. stopping: set when new requests are to be refused."""

    def __init__(self, classifier: Classifier, limits: Limits, runtime: Runtime) -> None:
        self.limits, self.metrics, self.uploads = limits, Metrics(), Uploads(limits)
        self.stopping = False
        self._classifier = classifier
        self._table = Table.of(classifier)
        self._table_at = lru_cache(maxsize=32)(
            lambda coverage: Table.of(classifier, coverage=coverage)
        )
        self._thresholds = {
            finding.name: threshold_of(classifier, finding.name)
            for finding in classifier.tree.findings
        }
        self.described = describe_classifier(classifier, self._table, limits)
        run = run_by(classifier, runtime)
        self.batcher = Batcher(run.predict_pixels, limits, self.metrics.batches.observe)
        self.metrics.waiting.set_function(lambda: self.batcher.taken)
        self.metrics.held.set_function(lambda: self.uploads.held)
        self._explainer = Explainer(classifier, self._table)
        self._explaining = 0
        self._decoders = Decoders(limits.decoding, lambda: self.stopping)
        self._explainers = ThreadPoolExecutor(1, "hilum-explain")

    def check_open(self) -> None:
        """Raises Problem where a request should not even be read: stopping, or the queue full."""
        if self.stopping:
            raise Problem(503, "The server is stopping.", retry_after=_RETRY_AFTER, unread=True)
        self.batcher.check_room()

    async def predict(
        self,
        uploads: Sequence[Upload],
        coverage: float | None,
        *,
        preview: bool,
        details: bool = False,
    ) -> PredictionList:
        """An item for each upload, in order, and what is said of all of them together.

        Raises Problem for a coverage that cannot be had.
        """
        table = self._table if coverage is None else self._table_of(coverage)
        with self.batcher.place(len(uploads)):
            decoded = await self._decode(uploads, preview=preview, details=details)
            read = [d.reading.pixels for d in decoded if d.reading.pixels is not None]
            found = None
            if read:
                found = await asyncio.wrap_future(self.batcher.submit(np.stack(read)))
        answers = Answers(
            (Path(),) * len(decoded),
            tuple(d.reading.reason for d in decoded),
            found,
            np.array([d.reading.coloured for d in decoded if not d.reading.reason], dtype=bool),
        )
        items = _items(uploads, decoded, answers, table, self._thresholds)
        for item in items:
            self.metrics.radiographs.labels(item.status).inc()
        gate, arrivals = self._classifier.gate, None
        if gate and found is not None and found.gate_p_values is not None:
            tally = Tally.of(found.gate_p_values, gate)
            self.metrics.flagged.inc(tally.flagged)
            arrivals = judge_arrivals(gate, tally)
        return PredictionList(arrivals=ArrivalsInfo.of(arrivals), predictions=items)

    def judge(self, tally: Tally) -> ArrivalsInfo | None:
        """What the gate says of pictures of several requests. Raises Problem for no such tally."""
        try:
            return ArrivalsInfo.of(judge_arrivals(self._classifier.gate, tally))
        except HilumError as error:
            raise Problem(422, str(error)) from None

    async def explain(
        self, upload: Upload, method: str, decision: str | None, option: str | None
    ) -> Explanation:
        """Explain one upload. Raises Problem where it cannot be read or the question makes none."""
        return await self._by_explainer(
            upload,
            lambda pixels, coloured: self._explainer.explain(
                pixels, method, decision, option, coloured=coloured
            ),
        )

    async def neighbours(self, upload: Upload) -> list[Neighbour] | None:
        """The training radiographs nearest to one upload. Raises Problem as explain does."""
        return await self._by_explainer(
            upload, lambda pixels, _: self._explainer.neighbours(pixels)
        )

    async def _by_explainer(
        self, upload: Upload, compute: Callable[[PixelArray, bool], _Answer]
    ) -> _Answer:
        """What is computed of an upload's pixels, and whether it is in colour, one at a time."""
        if self._explaining >= self.limits.explanations:
            raise Problem(
                429,
                f"{self._explaining} explanations are being computed; try again in a moment.",
                retry_after=_RETRY_AFTER,
            )
        self._explaining += 1
        try:
            (decoded,) = await self._decode([upload], preview=False)
            pixels = decoded.reading.pixels
            if pixels is None:
                raise Problem(422, f"The file {decoded.reading.reason}")
            running = asyncio.get_running_loop()
            coloured = decoded.reading.coloured
            return await running.run_in_executor(self._explainers, compute, pixels, coloured)
        except HilumError as error:
            raise Problem(422, str(error)) from None
        finally:
            self._explaining -= 1

    def close(self) -> None:
        """End what is being decoded, finish what is computed, and end the threads."""
        self._decoders.close()
        self._explainers.shutdown()
        self.batcher.close()

    def _table_of(self, coverage: float) -> Table:
        try:
            return self._table_at(coverage)
        except HilumError as error:
            raise Problem(422, str(error)) from None

    async def _decode(
        self, uploads: Sequence[Upload], *, preview: bool, details: bool = False
    ) -> list[Decoded]:
        finish = partial(prepared, transform=self._classifier.preprocessing, preview=preview)
        futures = [
            self._decoders.submit(FILE, finish, content=upload.file, colour=True, study=details)
            for upload in uploads
        ]
        found = await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
        return [one if isinstance(one, Decoded) else _refused(one) for one in found]


def _refused(error: BaseException) -> Decoded:
    if isinstance(error, DataError):
        return refused(error)
    raise error


def _items(
    uploads: Sequence[Upload],
    decoded: Sequence[Decoded],
    answers: Answers,
    table: Table,
    thresholds: Mapping[str, float],
) -> list[Item]:
    """What is told of each upload. thresholds: by finding."""
    items: list[Item] = []
    for upload, one, p in zip(uploads, decoded, table.predictions(answers), strict=True):
        if p.reason:
            items.append(Item(name=upload.name, status="failed", reason=p.reason))
            continue
        items.append(
            Item(
                name=upload.name,
                status="ok",
                predicted=p.predicted or None,
                probs=p.probs,
                decisions=_path(p, table),
                findings=[
                    FindingAnswer(
                        name=name,
                        probability=probability,
                        present=name in p.present,
                        threshold=thresholds[name],
                    )
                    for name, probability in p.findings.items()
                ],
                set=None if p.held is None or not p.predicted else list(p.held),
                referred=bool(p.referral),
                referred_because=p.referral,
                gate_p_value=p.gate_p_value,
                colour=one.reading.coloured,
                width=one.width,
                height=one.height,
                preview=one.preview,
                dicom=None if one.facts is None else DicomFacts(**asdict(one.facts)),
            )
        )
    return items


def _path(prediction: Prediction, table: Table) -> list[DecisionProbs]:
    """The decisions from the root to the predicted class."""
    tree = table.tree
    if not tree.decisions:
        return []
    reached = {tree.decisions[0].name, *tree.paths[tree.class_index(prediction.predicted)]}
    return [
        DecisionProbs(name=name, options=options)
        for name, options in prediction.decisions.items()
        if name in reached
    ]
