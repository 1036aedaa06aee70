"""Run a study in two workers, in a process of its own that kills itself, with SIGKILL.

Usage: killed_study.py FOLDER OUT, where FOLDER holds the data in spots/. It dies after the first
epoch that a worker reports, with a variant at work that would take many minutes.
"""

import os
import signal
import sys
from pathlib import Path

from hilum.studies.runner import run_study
from tests.studies.small import small_data, small_study


def kill(what: str, done: int, total: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    folder, out = map(Path, sys.argv[1:])
    variants = {"endless": {"epochs": 10_000}, "slow": {"learning_rate": 1e-5}}
    study = small_study(folder, variants=variants)
    run_study(study, small_data(folder / "spots"), out, jobs=2, progress=kill)
