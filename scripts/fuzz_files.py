"""Sound files of every kind that Hilum reads, to be damaged."""

import base64
import contextlib
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Seed = tuple[str, bytes]  # a file's name and its content


class RefusedError(Exception):
    """A command refused what it was given."""


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
        raise RefusedError(f"{sys.argv}: {silence.getvalue()}") from stop
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


def tables() -> Iterator[Seed]:
    """Tables of predictions, as `hilum judge` takes them."""
    rng = np.random.default_rng(0)
    names = ("normal", "covid")
    truth, score = rng.integers(0, 2, 30), rng.random(30)
    said = enumerate(zip(truth.tolist(), score.tolist(), strict=True))
    rows = [(f"{i}.png", names[t], f"{s:.3f}", f"p{i // 2}", "MF"[i % 2], names[s > 0.5])
            for i, (t, s) in said]  # fmt: skip
    head = ("path", "label", "p_covid", "patient", "sex", "predicted")
    yield "table.csv", "\n".join(",".join(row) for row in (head, *rows)).encode()
    lines = (json.dumps(dict(zip(head, row, strict=True))) for row in rows)
    yield "table.jsonl", "\n".join(lines).encode()
    import pyarrow as arrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    columns = dict(zip(head, map(list, zip(*rows, strict=True)), strict=True))
    parquet.write_table(arrow.table(columns), buffer)
    yield "table.parquet", buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, y_true=truth, y_prob=np.column_stack([1 - score, score]))
    yield "table.npz", buffer.getvalue()


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


def forms() -> Iterator[Seed]:
    """Files as a browser sends them, in forms and in JSON: the type, an empty line, the body."""
    picture = next(pictures())[1]
    for names in (("a.png",), ("a.png", 'b"\\.png', "c\u00e9.dcm")):
        boundary = "----form"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            f"Content-Type: image/png\r\n\r\n".encode()
            + picture
            + b"\r\n"
            for name in names
        ]
        head = f"multipart/form-data; boundary={boundary}\n\n".encode()
        yield "form", head + b"".join(parts) + f"--{boundary}--\r\n".encode()
        coded = base64.b64encode(picture).decode()
        body = json.dumps({"files": [{"name": name, "content": coded} for name in names]})
        yield "json", b"application/json\n\n" + body.encode()


@cache
def capsules(folder: Path) -> tuple[Seed, Seed, Seed]:
    """A capsule, and two results of it."""
    from hilum.capsule import aggregate, archive, result, run
    from hilum.classifier.classifier import Classifier
    from hilum.codec import to_plain
    from hilum.evaluation.bands import Bands

    home = trained(folder) / "classifier"
    model = Classifier.load(home, device="cpu")
    asked = (aggregate.Asked("covid: recall>=0.5", "covid", 0.4),)
    said = {"rule": model.rule, "strategy": model.strategy}

    def cases(seed: int) -> aggregate.Cases:
        rng = np.random.default_rng(seed)
        truth = rng.permutation(np.arange(150 + seed) % 3)
        predictions = model.decide({"flat": rng.normal(size=(len(truth), 3)) + np.eye(3)[truth]})
        p_values = rng.uniform(0.01, 1, len(truth))
        return aggregate.choose_cases(
            model.tree, truth, replace(predictions, gate_p_values=p_values)
        )

    own = archive.Home(aggregate.aggregate(model.tree, cases(0), asked, **said), asked)
    files = {f"classifier/{p.name}": p.read_bytes() for p in sorted(home.glob("[!lrtv]*"))}
    about = json.loads(files["classifier/classifier.json"])
    about |= dict.fromkeys(("validation", "reference", "thumbnails"))
    files["classifier/classifier.json"] = json.dumps(about).encode()
    files["home.json"] = json.dumps(to_plain(own)).encode()
    file = folder / "capsule.zip"
    digest = archive.pack(files, "1", file)
    found = [("capsule.zip", file.read_bytes())]
    for seed in (1, 2):
        there = cases(seed)
        sexes = Bands.of(["female" if k % 2 else "male" for k in there.truth], ("female", "male"))
        aggregates = aggregate.aggregate(
            model.tree, there, asked, attributes={"sex": sexes}, gate=model.gate, **said
        )
        local = run.recalibrate(model, there)
        site = result.SiteResult(digest, f"B{seed}", "2026-01-01", "1", own.aggregates, aggregates,
                                 local)  # fmt: skip
        found.append(("result.json", signed(to_plain(site))))
    return found[0], found[1], found[2]


def signed(site: dict[str, Any]) -> bytes:
    """The file of a result, which may be none, with a signature that holds."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    canonical = json.dumps(site, separators=(",", ":"), ensure_ascii=False)
    text = f"hilum capsule result 1\n{site['capsule']}\n{canonical}"
    sides = {"key": key.public_key().public_bytes_raw(), "signature": key.sign(text.encode())}
    told = {"format": 1, "result": site}
    told |= {name: base64.b64encode(data).decode() for name, data in sides.items()}
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()


@cache
def watched(folder: Path) -> tuple[Path, Path]:
    """A classifier that images can be held against, and such images."""
    from hilum.phantoms.phantom import write_phantoms

    data, home = folder / "calibration", folder / "calibrated"
    write_phantoms(data, counts={"train": 12, "val": 40, "test": 40}, seed=3, size=48)
    shutil.copytree(trained(folder) / "classifier", home)
    command("calibrate", home, data, "--split", "val")
    return home, data / "test"


@cache
def study(folder: Path) -> Path:
    """The folder of a study with two variants."""
    same = 'image_size = 32\nepochs = 1\ndevice = "cpu"\n'
    settings = (
        'name = "small"\nquestion = "Which?"\nrecipe = "naive-flat"\nseeds = 2\nfolds = 0\n'
        f"[variants.one]\n{same}[variants.two]\n{same}batch_size = 8\n"
    )
    file = folder / "small.toml"
    file.write_text(settings)
    command("study", file, phantoms(folder), "--out", folder / "studies")
    return folder / "studies" / "small"
