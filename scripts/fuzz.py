"""Give every reader of Hilum damaged and hostile files: it has to read them or to refuse them.

``python scripts/fuzz.py --inputs 10000 --seed 0`` damages files that Hilum wrote or that come with
pydicom, also inside of what is compressed. Anything but a result or a HilumError is a finding, and
so is an input that takes longer than --slowest. Input K of a seed is always the same: --first K
--inputs 1 gives it again, and --keep leaves the files of findings in a folder. It needs the
packages of ``make dev``.
"""

import argparse
import faulthandler
import logging
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fuzz_damages import damage_bytes
from fuzz_kept import kept_readers
from fuzz_readers import Reader, readers

from hilum.errors import HilumError

# ---- the loop --------------------------------------------------------------------------------


def look(reader: Reader, rng: random.Random, folder: Path) -> tuple[Path, str | None]:
    """Have a reader read one damaged file: the file, and what it raised that it must not."""
    name, data = rng.choice(reader.seeds)
    damage = rng.choice(reader.damages)
    folder.mkdir()
    file = folder / name
    try:
        file.write_bytes(damage(rng, data))
    except (
        ValueError,
        zipfile.BadZipFile,
        LookupError,
        RecursionError,
    ):  # not every damage suits every file
        file.write_bytes(damage_bytes(rng, data))
    kept = file.read_bytes()
    try:
        reader.read(file)
    except HilumError:
        return file, None
    except Exception:
        file.write_bytes(kept)
        return file, traceback.format_exc(limit=-4)
    return file, None


def main() -> None:
    """Read the arguments, run through the inputs, say what was found."""
    parser = argparse.ArgumentParser(description="Damaged files for every reader.")
    parser.add_argument("--inputs", type=int, default=10_000, help="how many files")
    parser.add_argument("--seed", type=int, default=0, help="other files")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--seconds", type=float, default=3600, help="stop after so long")
    parser.add_argument(
        "--slowest", type=float, default=20, help="seconds of the processor for a file"
    )
    parser.add_argument("--only", help="readers, with commas between; default: all")
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    given = parser.parse_args()
    logging.disable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as made:
        os.environ["HILUM_CACHE"] = f"{made}/cache"
        makers = readers(Path(made)) | kept_readers(Path(made))
        names = given.only.split(",") if given.only else list(makers)
        found, done = run(given, {name: cache(makers[name]) for name in names}, Path(made))
    sys.stdout.write(f"{done} inputs, {found} findings, seed {given.seed}\n")
    sys.exit(bool(found))


def run(
    given: argparse.Namespace, makers: dict[str, Callable[[], Reader]], folder: Path
) -> tuple[int, int]:
    """Run through the inputs; how many findings and inputs."""
    names, found, began = list(makers), 0, time.monotonic()
    seen: set[str] = set()
    for number in range(given.first, given.first + given.inputs):
        if time.monotonic() - began > given.seconds:
            return found, number - given.first
        name = names[number % len(names)]
        reader = makers[name]()
        # What hangs or crashes within C ends the process, with the number on the last line.
        faulthandler.dump_traceback_later(10 * given.slowest, exit=True)
        started, place = time.process_time(), folder / "input"
        file, raised = look(reader, random.Random(f"{given.seed}/{number}"), place)
        faulthandler.cancel_dump_traceback_later()
        seconds = time.process_time() - started
        if seconds > given.slowest:
            raised = f"took {seconds:.1f} s\n{raised or ''}"
        if raised:
            found += 1
            kind = "".join(re.findall(r"^  File .*$|^[\w.]+", raised, re.MULTILINE)[-4:])
            again = f"--seed {given.seed} --first {number} --inputs 1"
            again += f" --only {given.only}" if given.only else ""
            said = "" if kind in seen else raised
            sys.stdout.write(f"{name}, {file.name}, {seconds:.1f} s: {again}\n{said}\n")
            sys.stdout.flush()
            seen.add(kind)
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, given.keep / f"{number}-{file.name}")
        shutil.rmtree(place)
    return found, given.inputs


if __name__ == "__main__":
    main()
