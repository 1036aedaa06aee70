"""Train in a process of its own that kills itself, with SIGKILL, at a given moment.

Usage: python -m tests.training.killed_run DATA OUT RECIPE.toml MOMENT, where MOMENT is step:N
(before the N-th step), write:N (in the middle of writing the N-th file) or call:N (before the
N-th call of or by a function of hilum.training). Resumes OUT where it holds a run.
"""

import os
import signal
import sys
from pathlib import Path

import hilum.files
from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe
from hilum.training import fit
from hilum.training.run import train
from tests.calls import on_calls

#: Where the functions lie whose calls are counted.
TRAINING = str(Path(fit.__file__).parent)


def kill_on_call(n: int, function):
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return counted


if __name__ == "__main__":
    data, out, recipe, moment = sys.argv[1:]
    kind, _, number = moment.partition(":")
    dataset = open_dataset(data)
    if kind == "step":
        fit._Loop._train_step = kill_on_call(int(number), fit._Loop._train_step)
    elif kind == "write":  # the data is in the partial file, the rename is still to come
        hilum.files.os.fsync = kill_on_call(int(number), os.fsync)
    elif kind == "call":
        on_calls(kill_on_call(int(number), lambda: None), of=TRAINING)
    train(dataset, Recipe.load(recipe), out, resume=(Path(out) / "run.json").exists())
