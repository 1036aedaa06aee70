"""The server as a process, over real sockets."""

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hilum.classifier.classifier import Classifier
from hilum.cli.serve import serve
from hilum.errors import HilumError
from tests.serving.conftest import png

#: A server whose networks, if asked to, compute until it is to stop, so that a request is in
#: flight when the signal comes.
_PROGRAM = """
import sys, threading
import uvicorn
from hilum.classifier.classifier import Classifier
from hilum.serving.app import create_app
from hilum.serving.limits import Limits
from hilum.serving.run import open_socket, serve

class Slow(Classifier):
    def predict_pixels(self, *given, **more):
        print("computing", flush=True)
        asked_to_stop.wait()
        return super().predict_pixels(*given, **more)

def handle_exit(*given, real=uvicorn.Server.handle_exit):
    real(*given)
    asked_to_stop.set()

uvicorn.Server.handle_exit = handle_exit
asked_to_stop = threading.Event()
if sys.argv[2] == "at once":
    asked_to_stop.set()
found = Slow.load(sys.argv[1], device="cpu")
with open_socket("127.0.0.1", 0, None) as listening:
    app = create_app(found, limits=Limits(upload_seconds=float(sys.argv[3])))
    print(listening.getsockname()[1], flush=True)
    serve(app, listening)
print("stopped", flush=True)
"""


class Running:
    def __init__(self, python: str, folder: Path, until: str, upload_seconds: float) -> None:
        command = [python, "-c", _PROGRAM, str(folder), until, str(upload_seconds)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def stop(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def folder(bare: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("run") / "classifier"
    bare.save(found)
    return found


@pytest.fixture(scope="module")
def hasty(python, folder) -> Iterator[Running]:
    """A server that gives senders a second."""
    running = Running(python, folder, until="at once", upload_seconds=1)
    yield running
    running.process.kill()
    running.process.communicate()


def test_a_request_in_flight_is_answered_before_it_stops(python, folder):
    running = Running(python, folder, until="asked to stop", upload_seconds=30)
    answers = []

    def send() -> None:
        answers.append(
            httpx.post(f"{running.url}/v1/predictions", files={"files": ("Mrs Example", png())})
        )

    sender = threading.Thread(target=send)
    sender.start()
    assert running.line() == "computing"
    out, log = running.stop()
    sender.join()

    assert answers[0].status_code == 200
    assert answers[0].json()["predictions"][0]["status"] == "ok"
    assert out.strip() == "stopped"
    assert running.process.returncode == 0
    assert log == ""  # and no name in it
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/health")


def test_slow_senders_are_dropped_while_others_are_served(hasty):
    head = (
        b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", hasty.port), timeout=30) as body,
        socket.create_connection(("127.0.0.1", hasty.port), timeout=30) as header,
        socket.create_connection(("127.0.0.1", hasty.port), timeout=30) as silent,
    ):
        body.sendall(head)
        header.sendall(head[:40])
        served = httpx.post(f"{hasty.url}/v1/predictions", files={"files": png()})
        ends = [_read_to_end(s) for s in (body, header, silent)]

    assert served.status_code == 200
    assert ends[0].startswith(b"HTTP/1.1 408 ")
    assert json.loads(ends[0].partition(b"\r\n\r\n")[2])["status"] == 408
    assert ends[1:] == [b"", b""]


def test_a_sender_that_hangs_up_harms_nobody(hasty):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=30) as sender:
        sender.sendall(b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\n")
        sender.sendall(
            b"Content-Length: 9\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
        )

    assert httpx.post(f"{hasty.url}/v1/predictions", files={"files": png()}).status_code == 200


def test_a_large_sender_can_read_why_it_is_refused(hasty):
    files = {"files": b"x" * (65 << 20)}

    answer = httpx.post(f"{hasty.url}/v1/predictions", files=files, timeout=30)

    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_hilum_serve_refuses_what_would_be_open_to_all(folder):
    with pytest.raises(HilumError, match="needs a token"):
        serve(folder, host="0.0.0.0", port=0)


def test_hilum_serve_refuses_a_port_that_is_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HilumError, match=f"Cannot listen on 127.0.0.1, port {port}"):
            serve(folder, port=port)


def _read_to_end(sender: socket.socket) -> bytes:
    found = b""
    while chunk := sender.recv(1 << 16):
        found += chunk
    return found
