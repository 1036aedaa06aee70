"""Train in processes that kill themselves, with SIGKILL, at given moments.

Usage: python -m tests.training.killed_run FOLDER MOMENT…, where FOLDER holds spots/ and
recipe.toml. A moment is step:N (before the N-th step), write:N (in the middle of writing the N-th
file) or call:N (before the N-th call of or by a function of hilum.training); MOMENT+MOMENT goes
on after the first until the second. Each MOMENT leaves its run in FOLDER/MOMENT. For each a
process is forked, because importing takes far longer.
"""

import os
import signal
import sys
from pathlib import Path

from hilum import files
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


def train_until(moment: str, folder: Path, out: Path) -> None:
    kind, _, number = moment.partition(":")
    dataset = open_dataset(folder / "spots")
    if kind == "step":
        step = kill_on_call(int(number), fit._Loop._train_step)
        fit._Loop._train_step = step  # type: ignore[method-assign]
    elif kind == "write":  # the data is in the partial file, the rename is still to come
        files.put_in_place = kill_on_call(int(number), files.put_in_place)
    elif kind == "call":
        on_calls(kill_on_call(int(number), lambda: None), of=TRAINING)
    resume = (out / "run.json").exists()
    train(dataset, Recipe.load(folder / "recipe.toml"), out, resume=resume)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for moments in sys.argv[2:]:
        for moment in moments.split("+"):
            child = os.fork()
            if child == 0:
                train_until(moment, folder, folder / moments)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            assert killed, f"{moments}: it was to be killed"
