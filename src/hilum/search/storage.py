"""Where a search keeps its trials: a file beside its output, or a database for many machines.

The file is SQLite for the processes of one machine, or a journal (journal.py) for machines that
share a file system.

A URL may hold a password. What is shown, logged or written down comes from `shown`; errors of
the database pass through `refusal`, which takes out what is secret.
"""

import inspect
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from hilum.errors import StudyError
from hilum.search.journal import Journal

DATABASE, JOURNAL = "search.db", "search.journal"

#: Seconds between two signs of life of a trial, and after how many without one it is lost.
HEARTBEAT, GRACE = 15, 60

#: Seconds that a process waits for another's write to SQLite, which locks the whole file.
_SQLITE_TIMEOUT = 120

#: So often a trial is begun whose worker died, before it counts as failed.
ATTEMPTS = 3

#: So often making the tables is tried again where another worker makes them.
_RACES = 10

_DRIVERS = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}


def default_url(out: Path, *, machines: bool = False) -> str:
    """The file in the folder of a search that holds its trials, or will.

    machines: several share it. Raises StudyError where it was begun in SQLite, which they cannot.
    """
    out = out.resolve()
    if machines and (out / DATABASE).exists():
        raise StudyError(
            f"{out / DATABASE}: the search was begun on one machine, in SQLite, which is not safe "
            "on a file system that several share. Go on here, or begin another with --out."
        )
    if machines or (out / JOURNAL).exists():
        return str(URL.create("journal", database=str(out / JOURNAL)))
    return str(URL.create("sqlite", database=str(out / DATABASE)))


def shown(url: str) -> str:
    """A storage URL without its password and its options, which may hold one."""
    parsed = _parse(url)
    password = "***" if parsed.password is not None else None
    return parsed.set(query={}, password=password).render_as_string(hide_password=True)


@contextmanager
def open_storage(url: str) -> Iterator[RDBStorage | Journal]:
    """A storage whose trials give signs of life; closed afterwards.

    url: of a database as SQLAlchemy takes it, or journal:////PATH. Raises StudyError where it is
    none, its driver is missing, or the database does not answer, also in the middle of the search;
    never with the password.
    """
    parsed = _parse(url)
    if parsed.drivername == "journal":
        yield _open_journal(parsed)
        return
    options = {"timeout": _SQLITE_TIMEOUT} if parsed.get_backend_name() == "sqlite" else {}
    try:
        storage = _create(url, {"connect_args": options} if options else {})
    except ImportError as error:
        module = getattr(error.__cause__, "name", None) or getattr(error, "name", None) or "unknown"
        raise StudyError(
            f"{shown(url)}: the Python driver of this database, {module}, is not installed: pip "
            f"install {_DRIVERS.get(module, module)}, or name the one you have in the URL, as in "
            "postgresql+psycopg://…"
        ) from None
    except NoSuchModuleError:
        raise StudyError(
            f"{shown(url)}: '{parsed.drivername}' is no database that a search can use; expected "
            "sqlite, postgresql or mysql, with or without +driver, or journal."
        ) from None
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise refusal(url, error) from None
    # As arguments these make Optuna warn on every start that heartbeats are experimental.
    storage.heartbeat_interval = HEARTBEAT
    storage.grace_period = GRACE
    storage.heartbeat_stale_trial_callback = queue_again
    try:
        yield storage
    except (SQLAlchemyError, StorageInternalError) as error:
        raise refusal(url, error) from None
    finally:
        storage.engine.dispose()


def _open_journal(url: URL) -> Journal:
    path = Path(url.database or "")
    try:
        return Journal(path, HEARTBEAT, GRACE, queue_again)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be used as the journal of a search ({error}).") from error


def _create(url: str, engine: dict[str, Any]) -> RDBStorage:
    """Optuna's storage; makes its tables, which another worker may be doing at the same time."""
    for _ in range(_RACES):
        try:
            return RDBStorage(url, engine_kwargs=dict(engine))
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            if not (isinstance(error, IntegrityError) or "exist" in str(error.orig)):
                raise
            time.sleep(random.uniform(0.1, 0.5))
    return RDBStorage(url, engine_kwargs=dict(engine))


def refusal(url: str, error: Exception) -> StudyError:
    """Why a database did not do as asked, without what is secret in its URL."""
    while isinstance(error, StorageInternalError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    text = text.replace(url, shown(url))  # before its parts, which would no longer be found
    parsed = _parse(url)
    secrets = [parsed.password, *(v for v in parsed.query.values())]
    for secret in secrets:
        for plain in (secret,) if isinstance(secret, str) else secret or ():
            for form in {plain, quote(plain, safe=""), quote_plus(plain)} - {""}:
                text = text.replace(form, "***")
    return StudyError(
        f"{shown(url)}: the database of the search failed ({text}). What it holds is unharmed; "
        "go on with the same command."
    )


def queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial whose worker died, unless that happened too often."""
    attempt = int(trial.user_attrs.get("attempt", 1))
    if attempt < ATTEMPTS:
        again = {"attempt": attempt + 1, "again": trial.number}
        study.enqueue_trial(trial.params, user_attrs=again)


#: Mark the trials whose worker died, and queue them again. Optuna does so itself whenever a trial
#: begins; a worker that waits for the last ones must ask. Unwrapped, since it warns on every call
#: that it is experimental.
revive_lost: Callable[[optuna.Study], None] = inspect.unwrap(optuna.storages.fail_stale_trials)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from writing a line per trial while a search runs; then as it was."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _parse(url: str) -> sqlalchemy.engine.URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StudyError(
            "The storage is no database URL such as postgresql+psycopg://USER:PASSWORD@HOST/NAME; "
            "it is not shown here, because it may hold a password."
        ) from None
