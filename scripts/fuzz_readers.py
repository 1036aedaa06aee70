"""What reads the files that people give, and the sound files that are damaged for it."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fuzz_damages import (
    Damage,
    damage_bytes,
    damage_frames,
    damage_head,
    damage_json,
    damage_table,
    damage_toml,
    damage_value,
    damage_zip,
)
from fuzz_files import (
    Seed,
    archives,
    arrays,
    command,
    dicoms,
    forms,
    phantoms,
    pictures,
    tables,
    trained,
)

from hilum.errors import HilumError


@dataclass(frozen=True)
class Reader:
    """What reads a kind of file. seeds: sound files. damages: drawn from. read: raises or not."""

    seeds: Sequence[Seed]
    damages: Sequence[Damage]
    read: Callable[[Path], object]


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
        from hilum.auditing.split_table import read_split
        from hilum.radiographs.dataset import open_dataset

        data, table = phantoms(folder), folder / "split.csv"
        command("split", data, "--folds", 2, "--block-size", 1, "--out", table)
        read = partial(read_split, dataset=open_dataset(data))
        return Reader([(table.name, table.read_bytes())], (damage_table, damage_bytes), read)

    def predictions() -> Reader:
        from hilum.evaluation.predictions_file import read_predictions

        table = next(trained(folder).rglob("predictions.csv"))
        seeds = [(table.name, table.read_bytes())]
        return Reader(seeds, (damage_table, damage_bytes), read_predictions)

    def judged(ending: str, *damages: Damage) -> Reader:
        from hilum.judging.cases import read_cases
        from hilum.judging.claims import parse_claim, usual_claims
        from hilum.judging.weighing import judge_claims

        def read(file: Path) -> None:
            cases = read_cases(file)
            claims = [parse_claim(text, cases.tree) for text in usual_claims(cases, None)]
            judge_claims(claims, cases)

        seeds = [seed for seed in tables() if seed[0].endswith(ending)]
        return Reader(seeds, (*damages, damage_bytes), read)

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

        def damage_header(rng: random.Random, data: bytes) -> bytes:
            if data[:1] == b"{":
                return damage_json(rng, data)
            size = int.from_bytes(data[:8], "little")
            head = json.dumps(damage_value(rng, json.loads(data[8 : 8 + size]))).encode()
            return len(head).to_bytes(8, "little") + head + data[8 + size :]

        seeds = [(name, (home / name).read_bytes()) for name in names]
        return Reader(seeds, (damage_bytes, damage_header, damage_header), read)

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

    def form() -> Reader:
        from starlette.requests import Request

        from hilum.serving.limits import Limits, Problem
        from hilum.serving.uploads import Uploads

        async def receive(kind: bytes, body: bytes) -> None:
            rng = random.Random(len(body))  # the network cuts a form anywhere
            cuts = sorted({0, len(body), *(rng.randrange(len(body) + 1) for _ in range(5))})
            messages = [
                {"type": "http.request", "body": body[i:j], "more_body": j < len(body)}
                for i, j in zip(cuts, [*cuts[1:], len(body)], strict=True)
            ]
            waiting = iter(messages)

            async def message() -> dict[str, object]:
                return next(waiting)

            request = Request({"type": "http", "headers": [(b"content-type", kind)]}, message)
            uploads = Uploads(Limits())
            try:
                with contextlib.suppress(Problem):
                    async with uploads.receive(request, 3, lambda: None) as files:
                        assert 1 <= len(files) <= 3
            finally:
                assert uploads.held == 0

        def read(file: Path) -> None:
            kind, _, body = file.read_bytes().partition(b"\n\n")
            asyncio.run(receive(kind, body))

        return Reader(tuple(forms()), (damage_bytes, damage_head), read)

    return {
        "picture": partial(radiographs, pictures(), damage_bytes),
        "dicom": partial(radiographs, dicoms(), damage_bytes, damage_frames, damage_frames),
        "npz": npz, "manifest": manifest, "split": split, "settings": settings, "archive": archive,
        "predictions": predictions, "judged csv": partial(judged, ".csv", damage_table),
        "judged lines": partial(judged, ".jsonl"),
        "judged parquet": partial(judged, ".parquet", damage_head),
        "judged npz": partial(judged, ".npz", damage_zip),
        "run": run_files, "resumed": resumed, "classifier": classifier,
        "checkpoint": checkpoint, "form": form,
    }  # fmt: skip
