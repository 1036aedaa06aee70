"""Give every reader of Hilum damaged and hostile files: it has to read them or to refuse them.

``python scripts/fuzz.py --inputs 10000 --seed 0`` damages files that Hilum wrote or that come with
pydicom, also inside of what is compressed. Anything but a result or a HilumError is a finding, and
so is an input that takes longer than --slowest. Input K of a seed is always the same: --first K
--inputs 1 gives it again, and --keep leaves the files of findings in a folder. It needs the
packages of ``make dev``.
"""

import argparse
import contextlib
import faulthandler
import io
import json
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from PIL import Image

from hilum.errors import HilumError

Damage = Callable[[random.Random, bytes], bytes]
Seed = tuple[str, bytes]  # a file's name and its content


@dataclass(frozen=True)
class Reader:
    """What reads a kind of file. seeds: sound files. damages: drawn from. read: raises or not."""

    seeds: Sequence[Seed]
    damages: Sequence[Damage]
    read: Callable[[Path], object]


# ---- damages ---------------------------------------------------------------------------------

_ODD_BYTES = (b"", b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\n", b"%s" * 3)
_ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 3, 10**30, 1e308, float("nan"), float("-inf"), "", "x", "\ud800", "\0",
    "../x", "nan", "=1+1", [], {}, [[]], [1, "x", None], {"": 0}, {"name": 5}, ["x"] * 300,
    "9" * 5000,
)  # fmt: skip


def damage_bytes(rng: random.Random, data: bytes, first: int = 0) -> bytes:
    """Change, remove, insert and repeat a few pieces behind the first bytes; cut the end off."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(min(first, len(found)), len(found) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 64, 1024))
        match rng.randrange(6):
            case 0:
                found[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                found[at : at + size] = rng.randbytes(size)
            case 2:
                found[at : at + size] = b""
            case 3:
                found[at:at] = found[at : at + size] * rng.choice((1, 2, 50))
            case 4:
                odd = rng.choice(_ODD_BYTES)
                found[at : at + len(odd)] = odd
            case 5 if rng.random() < 0.2:
                del found[at:]
    return bytes(found)


def damage_frames(rng: random.Random, data: bytes) -> bytes:
    """Damage the pixel data of a DICOM file, compressed or not."""
    return damage_bytes(rng, data, max(data.find(b"\xe0\x7f\x10\x00"), 0) + 12)


def damage_value(rng: random.Random, value: Any) -> Any:
    """A plain value in which one place holds something else, or nothing."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(_ODD_VALUES)
    found: Any = value.copy()
    key: Any = rng.choice(list(found)) if isinstance(found, dict) else rng.randrange(len(found))
    match rng.randrange(12):
        case 0:
            del found[key]
        case 1 if isinstance(found, list):
            found *= 2
        case 1:
            found[rng.choice(("", "x", "notes", "a.b"))] = found.pop(key)
        case 2:
            for _ in range(rng.choice((50, 500))):
                found[key] = [found[key]]
        case _:
            found[key] = damage_value(rng, found[key])
    return found


def damage_json(rng: random.Random, data: bytes) -> bytes:
    """Damage the values of a JSON file, or of one of its lines."""
    lines = data.splitlines() if data.count(b"\n{") else [data]
    k = rng.randrange(len(lines))
    lines[k] = json.dumps(damage_value(rng, json.loads(lines[k]))).encode()
    return b"\n".join(lines)


def damage_toml(rng: random.Random, data: bytes) -> bytes:
    """Damage the values of a TOML file; some keys get very many parts."""
    import tomllib

    deep = b"a" + b".a" * rng.choice((5, 100, 100_000)) + b" = 1\n"
    if rng.random() < 0.05:
        return deep + data
    try:
        return tomli_w.dumps(damage_value(rng, tomllib.loads(data.decode()))).encode()
    except (
        TypeError,
        AttributeError,
        ValueError,
        RecursionError,
    ):  # TOML has no null, and no lone surrogate
        return b"x = " + b"[" * rng.choice((3, 100_000)) + data


def damage_table(rng: random.Random, data: bytes) -> bytes:
    """Change, remove and repeat cells, columns and rows of a table of text."""
    mark = next((m for m in ("\t", ",") if m in data[:200].decode()), ",")
    rows = [line.split(mark) for line in data.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows)
        match rng.randrange(6):
            case 0:
                row[rng.randrange(len(row))] = str(rng.choice(_ODD_VALUES))
            case 1:
                row.pop() if len(row) > 1 else row.append('"')
            case 2:
                rows.append(list(rng.choice(rows)))
            case 3:
                row[0] = rng.choice(('"', "'", "\r", "\0", "\ufeff", "x" * 200_000)) + row[0]
            case 4:
                rows[0][rng.randrange(len(rows[0]))] = rng.choice(("label", "path", "", "p(x)"))
            case 5:
                rows[:] = rows[: rng.randrange(len(rows)) + 1]
    return "\n".join(mark.join(row) for row in rows).encode("utf-8", "surrogatepass")


def damage_zip(rng: random.Random, data: bytes, inner: Damage = damage_bytes) -> bytes:
    """Damage a file inside of a ZIP archive, whose checksums fit again; some get odd names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        hit, rename = rng.choice(names), rng.random() < 0.2
        for name in names:
            content = old.read(name)
            if name == hit:
                content = content if rename else inner(rng, content)
                odd = (
                    "n" * 300 + ".png",
                    "../x",
                    "/x",
                    "a/" * 400 + "x",
                    "é" * 200,
                    "c\nd",
                    "con:x",
                )
                name = rng.choice(odd) if rename else name
            kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            new.writestr(name, content, compress_type=kind)
    return buffer.getvalue()


# ---- sound files -----------------------------------------------------------------------------


@cache
def phantoms(folder: Path) -> Path:
    """A small data set."""
    from hilum.phantoms.phantom import write_phantoms

    write_phantoms(folder / "data", counts={"train": 12, "val": 8}, size=48)
    return folder / "data"


@cache
def trained(folder: Path) -> Path:
    """A run with all the files that one can have."""
    data, run = phantoms(folder), folder / "run"
    quick = "image_size=32", "epochs=2", "network=naive", "device=cpu", "ema=0.9"
    sets = [part for setting in quick for part in ("--set", setting)]
    command("train", data, "--recipe", "covinet-flat", "--out", run, *sets)
    command("evaluate", run, data, "--split", "val", "--stress", "quick")
    command("audit", data, "--json", "--out", folder / "audit")
    return run


def command(*arguments: object) -> None:
    """Run `hilum ARGUMENTS` here, silently."""
    from hilum.cli import main

    before, sys.argv = sys.argv, ["hilum", *map(str, arguments)]
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            main()
    except SystemExit as stop:
        if not stop.code:
            return
        raise RuntimeError(f"{sys.argv}: {silence.getvalue()}") from stop
    finally:
        sys.argv = before


def pictures() -> Iterator[Seed]:
    """Pictures of every kind and depth that is read."""
    grey = np.random.default_rng(0).integers(0, 256, (40, 30)).astype(np.uint8)
    colour, deep = np.stack([grey] * 3, axis=2), grey.astype(np.uint16) * 16
    kinds: Sequence[tuple[Any, str, dict[str, Any]]] = (
        (grey, "png", {}), (colour, "png", {}), (deep, "png", {}), (grey, "jpeg", {}),
        (colour, "jpeg", {"progressive": True}), (grey, "bmp", {}), (grey, "gif", {}),
        (colour, "webp", {}), (grey, "jpeg2000", {}), (deep, "tiff", {}),
        *((grey, "tiff", {"compression": c}) for c in ("tiff_lzw", "tiff_adobe_deflate", "jpeg",
                                                       "packbits", "group4")),
    )  # fmt: skip
    for pixels, kind, options in kinds:
        buffer = io.BytesIO()
        image = Image.fromarray(pixels)
        image = image.convert("1") if options.get("compression") == "group4" else image
        image.save(buffer, kind, **options)
        yield f"picture.{kind}", buffer.getvalue()


def dicoms() -> Iterator[Seed]:
    """Radiographs in every compression, from those that come with pydicom."""
    from pydicom.data import get_testdata_file
    from pydicom.filereader import dcmread

    for name in (
        "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG2000.dcm",
        "JPEGLSNearLossless_16.dcm", "JPGExtended.dcm", "examples_palette.dcm", "SC_rgb_rle.dcm",
        "SC_rgb_jpeg_dcmtk.dcm", "UN_sequence.dcm", "J2K_pixelrep_mismatch.dcm",
    ):  # fmt: skip
        dataset = dcmread(str(get_testdata_file(name, download=False)), force=True)
        dataset.Modality, buffer = "DX", io.BytesIO()
        dataset.save_as(buffer)
        yield name, buffer.getvalue()


def arrays() -> Iterator[Seed]:
    """NPZ files, stored and compressed."""
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {}
    for split, n in (("train", 12), ("val", 4), ("test", 4)):
        content[f"{split}_images"] = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        content[f"{split}_labels"] = np.arange(n).reshape(-1, 1) % 2
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **content)
        yield "pneumoniamnist.npz", buffer.getvalue()


def archives() -> Iterator[Seed]:
    """A ZIP and a TAR archive of a few files."""
    import tarfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name in ("normal/1.png", "covid/2.png", ".hidden", "__MACOSX/x"):
            new.writestr(name, b"picture" * 20)
    yield "archive.zip", buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("normal/1.png", "covid/2.png"):
            entry = tarfile.TarInfo(name)
            entry.size = 140
            tar.addfile(entry, io.BytesIO(b"picture" * 20))
    yield "archive.tar", buffer.getvalue()


# ---- readers ---------------------------------------------------------------------------------


def instead(root: Path, place: str, read: Callable[[], object], file: Path) -> None:
    """Read something whose file at a place below root is another one for that time."""
    target = root / place
    sound = target.read_bytes()
    try:
        shutil.copyfile(file, target)
        read()
    finally:
        target.write_bytes(sound)


def readers(folder: Path) -> dict[str, Callable[[], Reader]]:
    """Every reader by name; making one makes what it reads."""
    texts: Sequence[Damage] = (damage_json, damage_json, damage_json, damage_bytes)

    def radiographs(seeds: Iterator[Seed], *damages: Damage) -> Reader:
        from hilum.radiographs.image import read_radiograph

        return Reader(tuple(seeds), damages, read_radiograph)

    def npz() -> Reader:
        from hilum.radiographs.dataset import open_dataset

        def read(file: Path) -> None:
            from hilum.radiographs.image import read_radiograph

            for record in open_dataset(file).records[:2]:
                read_radiograph(record.path)

        return Reader(tuple(arrays()), (damage_bytes, damage_zip), read)

    def manifest() -> Reader:
        from hilum.radiographs.dataset import open_dataset

        data = phantoms(folder)
        files = sorted(str(p.relative_to(data)) for p in data.glob("*/*/**/*.png"))
        rows = [(f, Path(f).parent.name, Path(f).parts[0], str(k)) for k, f in enumerate(files)]
        head = ("path", "label", "split", "patient")
        seeds = [
            (f"table.{ending}", "\n".join(mark.join(row) for row in (head, *rows)).encode())
            for mark, ending in ((",", "csv"), ("\t", "tsv"))
        ]

        def read(file: Path) -> None:
            target = data / file.name
            try:
                shutil.copyfile(file, target)
                open_dataset(target)
            finally:
                target.unlink()

        return Reader(seeds, (damage_table, damage_table, damage_bytes), read)

    def split() -> Reader:
        from hilum.audit.split_table import read_split
        from hilum.radiographs.dataset import open_dataset

        data, table = phantoms(folder), folder / "split.csv"
        command("split", data, "--folds", 2, "--block-size", 1, "--out", table)
        read = partial(read_split, dataset=open_dataset(data))
        return Reader([(table.name, table.read_bytes())], (damage_table, damage_bytes), read)

    def predictions() -> Reader:
        from hilum.evaluation.files import read_predictions

        table = next(trained(folder).rglob("predictions.csv"))
        seeds = [(table.name, table.read_bytes())]
        return Reader(seeds, (damage_table, damage_bytes), read_predictions)

    def run_files() -> Reader:
        from hilum.reporting.report import write_report
        from hilum.reporting.runs import read_runs

        run, page = trained(folder), folder / "report.html"
        audit = folder / "audit" / "audit.json"
        places = [str(p.relative_to(run)) for p in sorted(run.rglob("*.json*")) if p.is_file()]
        seeds = [(p.replace(os.sep, "+"), (run / p).read_bytes()) for p in (*places, "recipe.toml")]
        seeds.append(("audit.json", audit.read_bytes()))

        def write(file: Path) -> None:
            if file.stat().st_size % 5:  # pages take long: not every time
                read_runs([run])
            else:
                write_report([run], page, audit=audit)

        def read(file: Path) -> None:
            if file.name == audit.name:
                instead(
                    audit.parent, audit.name, partial(write_report, [run], page, audit=audit), file
                )
            else:
                instead(run, file.name.replace("+", os.sep), partial(write, file), file)

        return Reader(seeds, texts, read)

    def resumed() -> Reader:
        from hilum.radiographs.dataset import open_dataset
        from hilum.recipe import Recipe
        from hilum.training.run import train

        run, data = trained(folder), open_dataset(phantoms(folder))
        recipe = Recipe.load(run / "recipe.toml")
        again = partial(train, data, recipe, run, resume=True)
        seeds = [("run.json", (run / "run.json").read_bytes())]
        return Reader(seeds, texts, partial(instead, run, "run.json", again))

    def classifier() -> Reader:
        from hilum.classifier.classifier import Classifier
        from hilum.files import sha256

        home = trained(folder) / "classifier"
        about = home / "classifier.json"
        names = ["classifier.json", *sorted(p.name for p in home.glob("*.safetensors"))]

        def read(file: Path) -> None:
            if file.name == about.name:
                instead(home, about.name, partial(Classifier.load, home, device="cpu"), file)
                return
            sound = about.read_text()
            old, new = (sha256(p.read_bytes()) for p in (home / file.name, file))
            try:
                about.write_text(sound.replace(old, new))
                instead(home, file.name, partial(Classifier.load, home, device="cpu"), file)
            finally:
                about.write_text(sound)

        def damage_head(rng: random.Random, data: bytes) -> bytes:
            if data[:1] == b"{":
                return damage_json(rng, data)
            size = int.from_bytes(data[:8], "little")
            head = json.dumps(damage_value(rng, json.loads(data[8 : 8 + size]))).encode()
            return len(head).to_bytes(8, "little") + head + data[8 + size :]

        seeds = [(name, (home / name).read_bytes()) for name in names]
        return Reader(seeds, (damage_bytes, damage_head, damage_head), read)

    def checkpoint() -> Reader:
        from hilum.classifier.importing import import_checkpoints
        from hilum.files import sha256
        from hilum.labels import LabelTree
        from hilum.training.checkpoint import Checkpoint

        newest = max(trained(folder).glob("checkpoints/*/*.pt"))
        tree = LabelTree.from_text("a, b, c")

        def read(file: Path) -> None:
            named = file.with_name(f"epoch-0002-00000-{sha256(file.read_bytes())[:16]}.pt")
            file.rename(named)
            for load in (
                partial(Checkpoint.load, named),
                partial(import_checkpoints, "naive", tree, {"flat": named}, image_size=(32, 32)),
            ):
                with contextlib.suppress(HilumError):
                    load()

        return Reader([(newest.name, newest.read_bytes())], (damage_zip, damage_bytes), read)

    def settings() -> Reader:
        from hilum.recipe import Recipe
        from hilum.search.space import Space
        from hilum.studies.study import Study

        package = Path(sys.modules["hilum"].__path__[0])
        files = [*package.glob("recipes/*.toml"), *package.glob("studies/builtin/*.toml")]
        space = (
            b"[learning_rate]\nlow = 1e-5\nhigh = 1e-2\nlog = true\n[dropout]\nchoices = [0, 1]\n"
        )
        seeds = [*((f.name, f.read_bytes()) for f in sorted(files)), ("space.toml", space)]

        def read(file: Path) -> None:
            for load in (Recipe.load, Study.load, Space.load):
                with contextlib.suppress(HilumError):
                    load(file)

        return Reader(seeds, (damage_toml, damage_toml, damage_bytes), read)

    def archive() -> Reader:
        from hilum.fetching.unpack import unpack

        def damage(rng: random.Random, data: bytes) -> bytes:
            return damage_zip(rng, data) if data[:2] == b"PK" else damage_bytes(rng, data)

        def read(file: Path) -> None:
            try:
                unpack(file, folder / "unpacked")
            finally:
                shutil.rmtree(folder / "unpacked", ignore_errors=True)

        return Reader(tuple(archives()), (damage_bytes, damage), read)

    return {
        "picture": partial(radiographs, pictures(), damage_bytes),
        "dicom": partial(radiographs, dicoms(), damage_bytes, damage_frames, damage_frames),
        "npz": npz, "manifest": manifest, "split": split, "settings": settings, "archive": archive,
        "predictions": predictions, "run": run_files, "resumed": resumed, "classifier": classifier,
        "checkpoint": checkpoint,
    }  # fmt: skip


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
    parser.add_argument("--slowest", type=float, default=20, help="seconds that a file may take")
    parser.add_argument("--only", help="readers, with commas between; default: all")
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    given = parser.parse_args()
    logging.disable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as made:
        os.environ["HILUM_CACHE"] = f"{made}/cache"
        makers = readers(Path(made))
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
        started, place = time.monotonic(), folder / "input"
        file, raised = look(reader, random.Random(f"{given.seed}/{number}"), place)
        faulthandler.cancel_dump_traceback_later()
        seconds = time.monotonic() - started
        if seconds > given.slowest:
            raised = f"took {seconds:.1f} s\n{raised or ''}"
        if raised:
            found += 1
            kind = "".join(re.findall(r"^  File .*$|^[\w.]+", raised, re.MULTILINE)[-4:])
            again = f"--seed {given.seed} --first {number} --inputs 1"
            again += f" --only {given.only}" if given.only else ""
            sys.stdout.write(f"{name}, {file.name}: {again}\n{'' if kind in seen else raised}\n")
            sys.stdout.flush()
            seen.add(kind)
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, given.keep / f"{number}-{file.name}")
        shutil.rmtree(place)
    return found, given.inputs


if __name__ == "__main__":
    main()
