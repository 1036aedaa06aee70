"""A search's trials in a journal: a file that machines may share on a network file system.

Every change is a line, added under a lock that holds on NFS, too (Optuna's JournalFileBackend).
Optuna's journal knows no signs of life. Here each trial has a file for them, JOURNAL.beats/TRIAL,
and what counts is when it was last changed by the clock of the file system, not of a machine.
"""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import optuna
from optuna.storages import JournalStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

OnStale = Callable[[optuna.Study, FrozenTrial], None]


class Journal(JournalStorage, BaseHeartbeat):
    """Trials in a journal file, with signs of life.

    path: of the file, in a folder that is there. interval: seconds between two of them; None for
    no signs. grace: after how many seconds without one a trial is lost. on_stale: called for every
    trial that is found lost, by the process that finds it. Raises OSError.
    """

    def __init__(self, path: Path, interval: int | None, grace: int, on_stale: OnStale) -> None:
        super().__init__(JournalFileBackend(str(path)))
        self.beats = path.with_name(f"{path.name}.beats")
        self.interval, self.grace, self.on_stale = interval, grace, on_stale
        self.beats.mkdir(exist_ok=True)

    def record_heartbeat(self, trial_id: int) -> None:
        """Give a sign of life."""
        file = self.beats / str(trial_id)
        file.touch()
        os.utime(file)  # the file system's own time

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        states = (TrialState.RUNNING,)
        running = self.get_all_trials(study_id, deepcopy=False, states=states)
        if not running:
            return []
        probe = self.beats / uuid4().hex
        probe.touch()
        now = _changed(probe)
        probe.unlink()
        beats = {t._trial_id: _changed(self.beats / str(t._trial_id)) for t in running}
        return [trial for trial, beat in beats.items() if beat and now - beat > self.grace]

    def get_heartbeat_interval(self) -> int | None:
        """Seconds between two signs of life."""
        return self.interval

    def get_heartbeat_stale_trial_callback(self) -> OnStale:
        """What is called for every trial that is found lost."""
        return self.on_stale


def _changed(file: Path) -> float:
    """When a file was last changed, in seconds; 0 where there is none.

    It is opened, because NFS asks the server then, and may remember an older answer otherwise.
    """
    try:
        with file.open("rb") as opened:
            return os.fstat(opened.fileno()).st_mtime
    except FileNotFoundError:
        return 0.0
