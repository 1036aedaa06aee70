"""What reads the files that Hilum keeps and goes on with, or that come back from elsewhere."""

import contextlib
import hashlib
import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fuzz_damages import Damage, damage_bytes, damage_json, damage_table, damage_value, damage_zip
from fuzz_files import RefusedError, capsules, command, phantoms, signed, study, trained, watched
from fuzz_readers import Reader

_JSON: Sequence[Damage] = (damage_json, damage_json, damage_json, damage_bytes)


def damage_capsule(rng: random.Random, data: bytes) -> bytes:
    """Damage a file in a capsule whose manifest fits again."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        files = {name: old.read(name) for name in old.namelist()}
    name = rng.choice([n for n in files if n.endswith(".json")])
    files[name] = damage_json(rng, files[name])
    if name != "manifest.json":
        manifest = json.loads(files["manifest.json"])
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    return buffer.getvalue()


def damage_signed(rng: random.Random, data: bytes) -> bytes:
    """Damage a result of a capsule before it is signed."""
    site = json.loads(data)["result"]
    place = rng.choice(("there", "there", *site))
    site[place] = damage_value(rng, site[place])
    return signed(site)


def kept_readers(folder: Path) -> dict[str, Callable[[], Reader]]:
    """Every reader by name; making one makes what it reads."""

    def capsule() -> Reader:
        from hilum.capsule.archive import opened
        from hilum.capsule.result import Signed, SiteResult
        from hilum.reporting.capsule_page import write_capsule_page

        def read(file: Path) -> None:
            with opened(file) as inside:
                home = inside.home.aggregates
                found = SiteResult(inside.hash, "", "", "", home, home, None)
                write_capsule_page(Signed(found, "AAAA", ""), folder / "page.html", file.name)

        return Reader(capsules(folder)[:1], (damage_zip, damage_capsule, damage_capsule), read)

    def results() -> Reader:
        _, first, second = capsules(folder)
        other = folder / "other.json"
        other.write_bytes(second[1])

        def read(file: Path) -> None:
            with contextlib.suppress(RefusedError):
                command("capsule", "read", file, other, *["--json"] * (file.stat().st_size % 2))

        return Reader([first], (damage_signed, damage_signed, damage_bytes), read)

    def bulk(name: str, *damages: Damage) -> Reader:
        from hilum.classifier.classifier import Classifier
        from hilum.prediction.predict import predict_files

        model = Classifier.load(trained(folder), device="cpu")
        out = folder / f"bulk {name}"
        again = partial(predict_files, model, [str(phantoms(folder))], out / name)
        sound = again().images

        def check() -> None:
            assert again().images == sound

        return inside(out, check, damages, ".lock")

    def parts() -> Reader:
        from hilum.classifier.classifier import Classifier
        from hilum.prediction.parts import make_part, predict_parts
        from hilum.prediction.predict import made_by
        from hilum.prediction.table import Table

        model = Classifier.load(trained(folder), device="cpu")
        table, out = Table.of(model), folder / "parts"
        make = lambda chunks: (make_part(model, table, chunk, out) for chunk in chunks)  # noqa: E731
        made, inputs = made_by(model, table, "torch"), [str(phantoms(folder))]

        again = partial(predict_parts, model, inputs, out, make, made=made, size=8)
        sound = again().images

        def check() -> None:
            assert again().images == sound

        return inside(out, check, _JSON, ".lock")

    def watch() -> Reader:
        from hilum.classifier.classifier import Classifier
        from hilum.reporting.watch_page import write_watch_page
        from hilum.watching.watch import watch_images

        home, data = watched(folder)
        model, out = Classifier.load(home, device="cpu"), folder / "watch"
        for some in (data / "infected", data):
            watch_images(model, [str(some)], out=out)
        labels = out / "label-these.csv"
        rows = labels.read_text().splitlines()
        labels.write_text("\n".join([rows[0], *(row.replace(",,", ",covid,") for row in rows[1:])]))

        def check() -> None:
            given = None if rng.random() < 0.5 else labels
            found = watch_images(model, [str(data)], out=out, labels=given)
            write_watch_page(found, out / "watch.html")

        rng = random.Random(0)
        return inside(out, check, (damage_json, damage_table, damage_bytes), "watch.json")

    def studies() -> Reader:
        from hilum.studies.results import read_study

        out = study(folder)
        return inside(out, lambda: read_study(out).sentences, _JSON, "plan.json")

    return {
        "capsule": capsule, "results": results, "parts": parts, "watch": watch, "study": studies,
        "bulk csv": partial(bulk, "table.csv", damage_json, damage_bytes),
        "bulk lines": partial(bulk, "table.jsonl", damage_json, damage_bytes),
        "bulk parquet": partial(bulk, "table.parquet", damage_json, damage_bytes),
    }  # fmt: skip


def inside(
    root: Path, read: Callable[[], object], damages: Sequence[Damage], *spared: str
) -> Reader:
    """What reads a folder in which a file is damaged; afterwards the folder is as it was."""
    sound = root.with_name(f"{root.name} as it was")
    shutil.copytree(root, sound)
    seeds = [
        (p.name, p.read_bytes())
        for p in sorted(root.iterdir())
        if p.is_file() and p.suffix != ".html" and not p.name.endswith(spared)
    ]

    def read_one(file: Path) -> None:
        try:
            shutil.copyfile(file, root / file.name)
            read()
        finally:
            shutil.rmtree(root)
            shutil.copytree(sound, root)

    return Reader(seeds, damages, read_one)
