"""Ways to damage a file: its bytes, its values, its cells, and what is compressed in it."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import tomli_w

Damage = Callable[[random.Random, bytes], bytes]

_ODD_BYTES = (b"", b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\n", b"%s" * 3)
_ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 3, 10**30, 10**400, 1e308, float("nan"), float("-inf"), "", "x", "\ud800",
    "\0", "../x", "nan", "=1+1", [], {}, [[]], [1, "x", None], {"": 0}, {"name": 5}, ["x"] * 300,
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


def damage_head(rng: random.Random, data: bytes, size: int = 300) -> bytes:
    """Damage the beginning of a file, where what it says of itself stands."""
    return damage_bytes(rng, data[:size]) + data[size:]


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
