"""A training as a run of MLflow: its recipe, data, every epoch, how it ended, and the classifier.

MLflow is set up as its users expect, by its environment variables; the run is told to whatever
these name: a server, or a database on this machine. Nothing here names a folder of this machine.
"""

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.errors import TrainingError, in_short
from hilum.exporting.pyfunc import pyfunc_model
from hilum.files import sha256
from hilum.labels import LabelTree
from hilum.training.checkpoint import Row, numbers
from hilum.training.folder import HISTORY_FILE, History, read_history, write_facts

if TYPE_CHECKING:
    from mlflow.entities import Metric

#: Environment variables of MLflow's, any of which asks for it.
SWITCHES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
#: Where run.json has the ID, and what its classifier is called there.
_FACT, _MODEL = "mlflow", "classifier"

_STATUS = {
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "pruned": "KILLED",
    "failed": "FAILED",
}
#: How MLflow is asked, unless its user said otherwise: it would ask a server that is gone for
#: minutes, while the training waits, and print.
_MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_AT_ONCE = 100  # metrics or parameters in one request
_LONGEST_VALUE, _LONGEST_DIGEST = 500, 36  # characters


class TrackingError(TrainingError):
    """MLflow was asked for, and cannot be told."""


class MlflowRun:
    """A Tracker (tracking.py).

    run: the folder of the training. run_id: of MLflow. Where it cannot be told any more it says so
    once and goes on; in the end it is told what it missed.
    """

    def __init__(self, run: Path, run_id: str) -> None:
        self._folder, self._id, self._lost = run, run_id, False
        self._client = _client()

    @classmethod
    def begin(cls, run: Path, facts: dict[str, Any], recipe: Mapping[str, Any]) -> "MlflowRun":
        """A new run, or of one that is resumed the run that it began, which is in the facts.

        Raises TrackingError where MLflow is not installed, cannot be reached, or lacks that run.
        """
        client = _client()
        with _telling("cannot be reached"):
            if known := _known(facts):
                missing = f"has no run {known}, which {run} began"
                with _telling(missing, code="RESOURCE_DOES_NOT_EXIST"):
                    client.get_run(known)
                client.update_run(known, status="RUNNING")
                return cls(run, known)
            found = client.create_run(
                _experiment(client), run_name=run.resolve().name, tags=_tags(facts)
            )
            begun = cls(run, found.info.run_id)
            begun._describe(facts, recipe)
        facts["tracking"] = {**facts.get("tracking", {}), _FACT: begun._id}
        write_facts(run, facts)
        return begun

    @classmethod
    def of(cls, run: Path, facts: Mapping[str, Any]) -> "MlflowRun | None":
        """The run that a training began; None where it began none."""
        known = _known(facts)
        return cls(run, known) if known else None

    def restore(self, rows: Sequence[Row]) -> None:
        """Tell the rows that MLflow does not have: a kill came between, or it was not reached."""
        with self._trying():
            self._tell_missing(rows)

    def record(self, row: Row) -> None:
        """Every number of the row is a metric, its step the epoch."""
        if not self._lost:
            with self._trying():
                self._tell(_metrics(row))

    def close(self, ending: str) -> None:
        """Tell what was missed, the classifier of a finished run, and how it ended."""
        with self._trying():
            if self._lost:
                self._tell_missing(read_history(self._folder / HISTORY_FILE))
            if ending == "finished":
                self._add_classifier()
            self._client.set_tag(self._id, "hilum.ending", ending)
            self._client.set_terminated(self._id, _STATUS[ending])

    def add_report(self, report: Path, figures: Mapping[str, float]) -> None:
        """Add a file, and figures by name."""
        with self._trying():
            metrics = [_metric(name, value, 0) for name, value in figures.items()]
            self._tell(metrics)
            self._client.log_artifact(self._id, str(report))

    # ---- in detail -------------------------------------------------------------------------

    def _describe(self, facts: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        params = [Param(_key(k), str(v)[:_LONGEST_VALUE]) for k, v in _flat(recipe)]
        for start in range(0, len(params), _AT_ONCE):
            self._client.log_batch(self._id, params=params[start : start + _AT_ONCE])
        data = facts["data"]
        dataset = Dataset(
            name=data["name"],
            digest=data["fingerprint"][:_LONGEST_DIGEST],
            source_type="hilum",
            source=json.dumps({"source": data["source"], "layout": data["layout"]}),
            profile=json.dumps(data["counts"]),
        )
        of = [InputTag("mlflow.data.context", "training")]
        self._client.log_inputs(self._id, datasets=[DatasetInput(dataset, of)])

    def _add_classifier(self) -> None:
        import mlflow.pyfunc
        from mlflow.models import Model

        Model.log(
            name=_MODEL,
            artifact_path=None,
            flavor=mlflow.pyfunc,
            run_id=self._id,
            **pyfunc_model(self._folder / "classifier"),
        )

    def _tell_missing(self, rows: Sequence[Row]) -> None:
        there: dict[str, set[int]] = {}
        missing: list[Metric] = []
        for row in rows:
            metrics = _metrics(row)
            key = metrics[0].key
            if key not in there:
                history = self._client.get_metric_history(self._id, key)
                there[key] = {metric.step for metric in history}
            missing += [] if row["epoch"] in there[key] else metrics
        self._tell(missing)

    def _tell(self, metrics: Sequence["Metric"]) -> None:
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(self._id, metrics=metrics[start : start + _AT_ONCE])

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """What cannot be told is said once, in log.txt too, and nothing is raised."""
        try:
            with _telling("cannot be told any more", f"{self._folder} has everything."):
                yield
        except TrackingError as error:
            if not self._lost:
                logging.getLogger(__name__).warning(str(error))
                History(self._folder).log(str(error))
            self._lost = True


def _client() -> Any:
    try:
        from mlflow import MlflowClient
    except ImportError:
        asked = next(name for name in SWITCHES if os.environ.get(name))
        raise TrackingError(
            f"{asked} is set, but MLflow is not installed: pip install 'hilum[mlflow]', or unset "
            "it to train without."
        ) from None
    with _telling("cannot be reached"):
        return MlflowClient()


@contextmanager
def _telling(what: str, advice: str = "", code: str = "") -> Iterator[None]:
    """Refuse whatever goes wrong in one sentence; with a code, only errors of that code.

    MLflow's errors, those of the network and those of databases share no base but this. Waits less
    long for a server than MLflow does, unless its environment variables say how long.
    """
    ours = {name: value for name, value in _MANNERS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        if code and getattr(error, "error_code", "") != code:
            raise
        advice = advice or "name another by MLFLOW_TRACKING_URI, or unset it to train without."
        raise TrackingError(f"MLflow at {_place()} {what} ({_reason(error)}); {advice}") from error
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _place() -> str:
    """Where MLflow is, without a password that may stand in it."""
    import mlflow

    return re.sub("//[^/@]*@", "//", mlflow.get_tracking_uri())


def _reason(error: BaseException) -> str:
    """What the system said, if it said anything; otherwise the first line of what MLflow says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return in_short(error)[:200]  # type: ignore[arg-type]


def _experiment(client: Any) -> str:
    """The ID of the experiment that the environment names, made where it is not there."""
    if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return given
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _known(facts: Mapping[str, Any]) -> str | None:
    found = (facts.get("tracking") or {}).get(_FACT)
    return str(found) if found else None


def _tags(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        "mlflow.source.name": "hilum",
        "hilum.version": version("hilum"),
        "hilum.labels": str(LabelTree.from_json(facts["labels"])),
        "hilum.data.name": facts["data"]["name"],
        "hilum.data.fingerprint": facts["data"]["fingerprint"],
    }


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every key as ``key=value`` changes it, such as 'augmentation.rotate'."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _key(name: str) -> str:
    """A name in the characters that MLflow takes, with / between its parts."""
    parts = []
    for part in name.split("/"):
        plain = re.sub(r"[^\w. -]", "_", part)
        parts.append(part if plain == part else f"{plain}-{sha256(part.encode())[:8]}")
    return "/".join(parts)


def _metrics(row: Row) -> list["Metric"]:
    return [_metric(name, value, row["epoch"]) for name, value in numbers(row).items()]


def _metric(name: str, value: float, step: int) -> "Metric":
    from mlflow.entities import Metric

    return Metric(_key(name), value, int(time.time() * 1000), step)
