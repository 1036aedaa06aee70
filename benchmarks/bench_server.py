"""How many radiographs a second the server answers, and how late, by the number of clients.

`hilum serve` runs in a process of its own, on loopback; the clients are in this one, each of which
sends one radiograph after the other, over a connection that it keeps. What they take is in the
figures, since they share the machine. Without a classifier an untrained COVINet cascade of the
published size (150 x 150, two networks) serves, which computes as a trained one does.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from cascade import phantoms, untrained

from hilum.radiographs.layouts import list_images
from hilum.records import evenly_spaced

CLIENTS = (1, 8, 64)
FILES = 64
_START_SECONDS = 120

#: As the command does it, which settles how its process gets memory and lets threads wait, too.
_SERVE = """
from hilum.process import own_process
own_process()
import typer
from hilum.cli.serve import serve
typer.run(serve)
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classifier", type=Path, help="default: an untrained COVINet cascade")
    parser.add_argument("--data", type=Path, help="a folder of radiographs; default: phantoms")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="at a time, each")
    parser.add_argument("--seconds", type=float, default=20, help="of each round")
    parser.add_argument("--runtime", choices=("torch", "onnx"), default="torch")
    parser.add_argument(
        "--hostile", type=Path, help="a folder of files that clients more send meanwhile"
    )
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as scratch:
        folder = options.classifier or untrained(Path(scratch) / "classifier")
        files = read(options.data) if options.data else rendered()
        hostile = [p.read_bytes() for p in sorted((options.hostile or Path(scratch)).glob("*.*"))]
        rounds = measure(folder, files, options.clients, options.seconds, options.runtime, hostile)
    report = {
        "rounds": rounds,
        "settings": {
            "classifier": "untrained COVINet cascade" if options.classifier is None else "given",
            "files": "phantoms (JPEG)" if options.data is None else "given",
            "seconds": options.seconds,
            "runtime": options.runtime,
        },
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("hilum", "torch", "uvicorn", "fastapi")},
        },
    }
    for one in rounds:
        print(
            f"{one['clients']:>3} clients: {one['per_second']:.1f} requests per second, median "
            f"{one['median_ms']:.0f} ms, 99th percentile {one['p99_ms']:.0f} ms, "
            f"{one['errors']} errors of {one['requests']}, {one['hostile']} hostile beside them, "
            f"/health after {one['health_ms']:.0f} ms at most; memory {one['before_mb']:.0f} MB "
            f"before, {one['after_mb']:.0f} MB after, {one['peak_mb']:.0f} MB at most"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if any(one["errors"] for one in rounds) else 0


def rendered() -> list[bytes]:
    files = []
    for image in phantoms(FILES):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def read(folder: Path) -> list[bytes]:
    found = list_images(folder)
    return [found[row].read_bytes() for row in evenly_spaced(len(found), FILES)]


def measure(
    folder: Path,
    files: Sequence[bytes],
    clients: Sequence[int],
    seconds: float,
    runtime: str,
    hostile: Sequence[bytes] = (),
) -> list[dict[str, Any]]:
    """A round for each number of clients, all against one server.

    hostile: what as many clients more send meanwhile; each round is then made without them first.
    """
    command = [
        sys.executable, "-c", _SERVE, str(folder), "--port", "0", "--runtime", runtime,
        "--device", "cpu",
    ]  # fmt: skip
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        url = wait_for(server)
        asyncio.run(load(url, files, 1, 1.0))  # warm
        rounds = []
        for n, sent in [(n, sent) for n in clients for sent in ([], hostile)[: 1 + bool(hostile)]]:
            before = memory_mb(server.pid)
            found = asyncio.run(beside(url, files, n, seconds, sent))
            after, peak = memory_mb(server.pid), memory_mb(server.pid, "VmHWM:")
            rounds.append({**found, "before_mb": before, "after_mb": after, "peak_mb": peak})
        return rounds
    finally:
        server.terminate()
        server.communicate(timeout=60)


def wait_for(server: "subprocess.Popen[str]") -> str:
    """The address that the server says it listens on."""
    assert server.stderr
    ready, _, _ = select.select([server.stderr], [], [], _START_SECONDS)
    line = server.stderr.readline() if ready else ""
    url = next((word for word in line.split() if word.startswith("http://")), None)
    if url is None:
        raise SystemExit(f"The server did not start: {line}{server.stderr.read()}")
    return url


async def beside(
    url: str, files: Sequence[bytes], clients: int, seconds: float, hostile: Sequence[bytes]
) -> dict[str, Any]:
    """load, while as many clients send hostile files, and one asks whether the server lives."""
    others = [asyncio.create_task(load(url, hostile, clients, seconds))] if hostile else []
    watch = asyncio.create_task(slowest_health(url))
    found = await load(url, files, clients, seconds)
    watch.cancel()
    answered = await asyncio.gather(*others)
    return {
        **found,
        "hostile": sum(one["requests"] for one in answered),
        "health_ms": 1000 * await watch,
    }


async def slowest_health(url: str) -> float:
    """Ask for /health ten times a second until cancelled: the longest time to an answer."""
    host, port = url.removeprefix("http://").split(":")
    slowest = 0.0
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(asyncio.CancelledError):
        while True:
            sent = time.perf_counter()
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                await reader.readuntil(b'"ok"}')
            finally:
                slowest = max(slowest, time.perf_counter() - sent)
            await asyncio.sleep(0.1)
    writer.close()
    return slowest


async def load(url: str, files: Sequence[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Send for so many seconds, and wait for every answer.

    Over plain streams: a client library's pool of 64 connections takes more time than the server.
    """
    latencies: list[float] = []
    outcomes: Counter[str] = Counter()
    host, port = url.removeprefix("http://").split(":")
    requests = [request_with(data) for data in files]
    began = time.perf_counter()
    until = began + seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        turn = number
        while time.perf_counter() < until:
            sent = time.perf_counter()
            writer.write(requests[turn % len(requests)])
            outcomes[await outcome_of(reader)] += 1
            latencies.append(time.perf_counter() - sent)
            turn += 1
        writer.close()

    await asyncio.gather(*(client(i) for i in range(clients)))
    took = time.perf_counter() - began
    return {
        "clients": clients,
        "requests": len(latencies),
        "per_second": len(latencies) / took,
        "median_ms": 1000 * float(np.median(latencies or [0.0])),
        "p99_ms": 1000 * float(np.quantile(latencies or [0.0], 0.99)),
        "errors": sum(n for outcome, n in outcomes.items() if outcome != "ok"),
        "outcomes": dict(outcomes),
    }


def request_with(data: bytes) -> bytes:
    part = b'Content-Disposition: form-data; name="files"; filename="a.jpg"'
    body = b"--b\r\n" + part + b"\r\n\r\n" + data + b"\r\n--b--\r\n"
    head = (
        "POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def outcome_of(reader: asyncio.StreamReader) -> str:
    """'ok', or what came instead: the status of the answer or of its item."""
    status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    length = next(f for f in fields if f.lower().startswith("content-length:")).partition(":")[2]
    body = json.loads(await reader.readexactly(int(length)))
    code = status.split()[1]
    if code != "200":
        return code
    (item,) = body["predictions"]
    return str(item["status"])


def memory_mb(process: int, what: str = "VmRSS:") -> float:
    """What the server holds now; VmHWM: at most since it started. Linux only."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition(what)[2].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
