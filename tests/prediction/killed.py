"""Predict in processes that are killed: at a file, or between rows and their journal.

For each format and moment a process of its own is forked, because importing takes far longer.
"""

import os
import signal
import sys
from pathlib import Path

import hilum.prediction.journal
import hilum.prediction.predict
from hilum.classifier.classifier import Classifier

root = Path(sys.argv[1])
FUNCTIONS = {
    "reading": (hilum.prediction.predict, "read_file", 9),
    # the first call begins the journal, the second vouches for the first rows
    "journal": (hilum.prediction.journal, "write_journal", 3),
}


def die_at_the_nth(module, name, n):
    real, calls = getattr(module, name), 0

    def wrapper(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls >= n:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(module, name, wrapper)


for when, where in FUNCTIONS.items():
    for ending in ("csv", "jsonl", "parquet"):
        child = os.fork()
        if child == 0:
            die_at_the_nth(*where)
            hilum.prediction.predict.predict_files(
                Classifier.load(root / "classifier", device="cpu"),
                [str(root / "folder")],
                root / f"{when}.{ending}",
                batch_size=3,
            )
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{when}, {ending}: it was to be killed"
        assert os.WTERMSIG(status) == signal.SIGKILL
