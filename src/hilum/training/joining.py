"""How the processes of a training find each other, or are started.

`torchrun` says in the environment who a process is and where all meet (RANK, WORLD_SIZE,
LOCAL_RANK, MASTER_ADDR, MASTER_PORT). `hilum train --devices N` starts the others itself, with the
same words on their command line and such an environment, and is the first of them.
"""

import datetime
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore, ProcessGroup, Store
from torch.distributed.rendezvous import TCPStore, rendezvous  # type: ignore[attr-defined]

from hilum.device import choose_device
from hilum.errors import TrainingError, in_short, plural
from hilum.training.peers import GRACE, Peers
from hilum.training.world import ALONE, LONGEST, Several, World

#: Seconds within which all processes have to come to where they meet.
PATIENCE = 120.0
_HOME = "127.0.0.1"
_POLL = 0.2


@dataclass(frozen=True)
class Place:
    """Who a process is, and where all meet. local: which one of its machine."""

    rank: int
    size: int
    local: int
    address: str
    port: int


def place_in(environment: Mapping[str, str]) -> Place | None:
    """The place that torchrun gives a process; None where there is one process, or no torchrun.

    Raises TrainingError where it is incomplete.
    """
    if environment.get("WORLD_SIZE", "1") == "1":
        return None
    found = {}
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"):
        text = environment.get(name, "")
        if not text.isdecimal():
            raise TrainingError(
                f"WORLD_SIZE says that several processes train together, but {name} is "
                f"'{text}'; expected a number. Start them by torchrun, or unset WORLD_SIZE."
            )
        found[name] = int(text)
    address, rank, size = environment.get("MASTER_ADDR", ""), found["RANK"], found["WORLD_SIZE"]
    if not address or rank >= size:
        wrong = "MASTER_ADDR is not set" if not address else f"RANK is {rank} of {size}"
        raise TrainingError(f"The environment of torchrun is not whole: {wrong}.")
    return Place(rank, size, found["LOCAL_RANK"], address, found["MASTER_PORT"])


@contextmanager
def joined(devices: int | None = None, device: str = "auto") -> Iterator[World]:
    """The world of this process, until the end of what is done in it.

    devices: how many processes train on this machine, a GPU or a part of the CPU each; the others
    are started. None: as torchrun says, and otherwise one. device: the recipe's. Raises
    TrainingError where processes do not come, cannot be started, or are lost on the way.
    """
    place = place_in(os.environ)
    if place and devices not in (None, place.size):
        raise TrainingError(
            f"torchrun started {place.size} processes, and {devices} devices were asked for: leave "
            "--devices out."
        )
    if place is None and devices in (None, 1):
        yield ALONE
        return
    with ExitStack() as stack:
        others = None
        if place is None:
            assert devices is not None
            _refuse_without_devices(devices, device)
            meeting: Store = TCPStore(_HOME, 0, devices, is_master=True, wait_for_workers=False)
            place = Place(0, devices, 0, _HOME, meeting.port)  # type: ignore[attr-defined]
            others = stack.enter_context(_started(place))
        else:
            meeting = _meeting(place)
        store = PrefixStore("hilum", meeting)
        _wait_for_all(store, place, others)
        peers = Peers(place.rank, place.size, _links(store, place))
        with peers.watched():
            group = _group(store, place, peers)
            world = Several(place.rank, place.size, place.local, group, store, peers)
            try:
                yield world
            finally:
                # With a process gone NCCL would wait for it; what ends needs no tidying up.
                if distributed.is_initialized() and distributed.get_backend() == "gloo":
                    distributed.destroy_process_group()


# ---- the others of this machine ------------------------------------------------------------------


def _refuse_without_devices(devices: int, device: str) -> None:
    kind = choose_device(device).type
    if kind == "cuda":
        found = torch.cuda.device_count()
    else:
        found = (os.cpu_count() or 1) if device == "cpu" else 0
    if not 1 <= devices <= found:
        of = "processor core" if device == "cpu" else "GPU"
        raise TrainingError(
            f"{plural(devices, 'device')} were asked for, and there are {plural(found, of)}. "
            "Ask for as many, or with --device cpu for processes that share the CPU."
        )


@contextmanager
def _started(place: Place) -> Iterator["list[subprocess.Popen[bytes]]"]:
    """The other processes of this machine, which share its cores evenly with this one."""
    before = torch.get_num_threads()
    threads = max(1, before // place.size)
    common = {
        "WORLD_SIZE": place.size,
        "LOCAL_WORLD_SIZE": place.size,
        "MASTER_ADDR": place.address,
        "MASTER_PORT": place.port,
        "OMP_NUM_THREADS": threads,
    }
    command = [sys.executable, "-m", "hilum", *sys.argv[1:]]
    others: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(1, place.size):
            own = {**common, "RANK": rank, "LOCAL_RANK": rank}
            environment = {**os.environ, **{name: str(value) for name, value in own.items()}}
            others.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C reaches this process, which tells the others
                )
            )
        torch.set_num_threads(threads)
        yield others
    finally:
        torch.set_num_threads(before)
        deadline = time.monotonic() + GRACE
        for other in others:
            try:
                other.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                other.kill()
                other.wait()


# ---- meeting -------------------------------------------------------------------------------------


def _meeting(place: Place) -> Store:
    """The store where all meet: that of torchrun, or of the first process."""
    where = f"{place.address}:{place.port}"
    hosted_here = place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    deadline = time.monotonic() + PATIENCE
    while not hosted_here:  # PyTorch's own attempts say more on the way than one sentence
        try:
            socket.create_connection((place.address, place.port), _POLL + PATIENCE / 10).close()
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"{where}: nobody answers where the processes were to meet (MASTER_ADDR, "
                    f"MASTER_PORT): {error.strerror or error}. Rank {place.rank} waited for "
                    f"{PATIENCE:.0f} seconds."
                ) from None
            time.sleep(_POLL)
    patience = datetime.timedelta(seconds=PATIENCE)
    try:
        store: Store = next(rendezvous("env://", timeout=patience))[0]
        return store
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"{where}: the processes cannot meet ({in_short(error)}).") from None


def _wait_for_all(
    store: Store, place: Place, others: "list[subprocess.Popen[bytes]] | None"
) -> None:
    """Raises TrainingError where a process does not come in time."""
    deadline = time.monotonic() + PATIENCE
    try:
        store.set(f"here {place.rank}", "")
        for rank in range(place.size):
            while not store.check([f"here {rank}"]):
                ended = others[rank - 1].poll() if others else None
                if ended is not None or time.monotonic() > deadline:
                    why = f"ended (exit code {ended})" if ended is not None else "did not come"
                    raise TrainingError(
                        f"The process of rank {rank} of {place.size} {why}; nothing was begun."
                    )
                time.sleep(_POLL / 4)
    except RuntimeError as error:
        raise TrainingError(f"Where the processes meet is gone ({in_short(error)}).") from None


def _links(store: Store, place: Place) -> dict[int, socket.socket]:
    """The connections of Peers: to the first process, or of the first process to all others."""
    try:
        if place.rank == 0:
            return _accepted(store, place)
        store.wait(["peers"], datetime.timedelta(seconds=PATIENCE))
        port, token = store.get("peers").decode().split()
        link = socket.create_connection((place.address, int(port)), PATIENCE)
        link.sendall(f"{token} {place.rank:08}".encode())
        return {0: link}
    except (RuntimeError, OSError) as error:
        raise TrainingError(
            f"Rank {place.rank} cannot be connected with the first process, at {place.address} "
            f"({in_short(error)}): the machines have to reach each other at all ports."
        ) from None


def _accepted(store: Store, place: Place) -> dict[int, socket.socket]:
    token = secrets.token_hex(16)
    found: dict[int, socket.socket] = {}
    home = place.address in (_HOME, "localhost")
    with socket.create_server((_HOME if home else "", 0), backlog=place.size) as server:
        server.settimeout(PATIENCE)
        store.set("peers", f"{server.getsockname()[1]} {token}")
        while len(found) + 1 < place.size:
            link, _ = server.accept()
            link.settimeout(PATIENCE)
            said = b""
            with suppress(OSError):
                said = link.recv(len(token) + 9, socket.MSG_WAITALL)
            given, _, rank = said.decode("ascii", "replace").partition(" ")
            if secrets.compare_digest(given, token):
                found[int(rank)] = link
            else:
                link.close()  # a stranger
    return found


def _group(store: Store, place: Place, peers: Peers) -> ProcessGroup:
    """Over which tensors are sent: NCCL between GPUs, gloo between CPUs.

    They first meet within a bounded time; later one may wait for another for long.
    """
    cuda = torch.cuda.is_available() and distributed.is_nccl_available()
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    if place.address in (_HOME, "localhost") and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # whatever the machine calls itself
    try:
        distributed.init_process_group(
            backend,
            store=store,
            rank=place.rank,
            world_size=place.size,
            timeout=datetime.timedelta(seconds=PATIENCE),
        )
        group: ProcessGroup = distributed.new_group(backend=backend, timeout=LONGEST)
        return group
    except RuntimeError as error:
        raise peers.reason(error) from None
