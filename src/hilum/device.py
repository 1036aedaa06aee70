"""Which device and number format to compute with."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from hilum.errors import HilumError
from hilum.settings import check_device

Format = Literal["float32", "bfloat16"]


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name; 'auto' takes CUDA, then Apple's MPS, then the CPU.

    Raises HilumError where the device is asked for by name and absent, or the name is of none.
    """
    try:
        check_device(name)
    except ValueError as error:
        raise HilumError(f"device: {error} (found {name!r}).") from None
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        raise HilumError(f"This machine has no device '{name}' that PyTorch can use; try 'auto'.")
    return device


def choose_format(name: str, device: torch.device) -> Format:
    """The number format of a name; 'auto' takes bfloat16 where the device computes it fast.

    A CPU without AVX512-BF16 or AMX emulates bfloat16, several times slower than float32.
    """
    if name == "float32":
        return "float32"
    if name == "bfloat16":
        return "bfloat16"
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and cpu_has_fast_bfloat16()
    return "bfloat16" if fast else "float32"


def cpu_has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware, as far as PyTorch can tell."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def as_channels_last(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in the memory order in which convolutions are fastest."""
    network.to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


@contextmanager
def training_on(device: torch.device) -> Iterator[None]:
    """Train so that the same steps give the same bits again, and can be recorded.

    On a GPU: convolutions by algorithms that add in a fixed order, and a stream of its own, which
    recording a CUDA graph asks for. Elsewhere nothing is changed.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream(device).wait_stream(stream)
        cudnn.deterministic, cudnn.benchmark = before
