"""The layer table of a network, as users of torchsummary know it.

The definitions are those of torchsummary (https://github.com/sksq96/pytorch-summary): every value
takes 4 bytes (float32), 1 MB is 1024 x 1024 bytes, and the forward/backward size is twice that of
all listed outputs, for activations and their gradients. In-place layers count in full, so that it
is an upper estimate. Two things differ: a parameter that several layers share counts once, and
multiply-adds are counted as well.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from hilum.networks.contract import evaluating

_BYTES = 4
_MB = 1024**2
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_CONTAINERS = (nn.Sequential, nn.ModuleList)
_Hook = Callable[[nn.Module, tuple[Any, ...], Any], None]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One call of one layer.

    layer: its type and the number of the call, such as 'Conv2d-1'. name: its attribute path in
    the network, such as 'block.conv1'. output_shape: with the batch first. parameters: those that
    it holds itself and that no row above has counted. multiply_adds: of a convolution or linear
    layer for the whole batch, 0 for any other.
    """

    layer: str
    name: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The layer table of a network with its totals; sizes in MB of 1024 x 1024 bytes."""

    input_shape: tuple[int, ...]
    rows: tuple[LayerRow, ...]
    total_parameters: int
    trainable_parameters: int
    multiply_adds: int
    input_mb: float
    forward_backward_mb: float
    parameters_mb: float

    DERIVED: ClassVar[tuple[str, ...]] = ("total_mb",)

    @property
    def total_mb(self) -> float:
        """The estimated memory of one training step: input, activations, gradients, weights."""
        return self.input_mb + self.forward_backward_mb + self.parameters_mb


def summarise(network: nn.Module, image_size: tuple[int, int], batch: int = 1) -> Summary:
    """Run a network once on blank images and write down what each layer gives.

    network: takes (batch, 1, height, width). image_size: (height, width) in pixels. Layers are
    listed in the order in which they finish, a layer that is used twice twice. Containers that
    only chain their layers (Sequential, ModuleList) get no row, nor does what returns anything
    but one tensor. The network runs in eval mode without gradients and is left as it was.
    """
    shape = (batch, 1, *image_size)
    rows: list[LayerRow] = []
    counted: set[nn.Parameter] = set()
    weight = next(network.parameters(), torch.empty(0))  # for its dtype and device
    with evaluating(network), torch.no_grad():
        images = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        hooks = [
            module.register_forward_hook(_recorder(name, rows, counted))
            for name, module in network.named_modules()
            if name and not isinstance(module, _CONTAINERS)
        ]
        try:
            network(images)
        finally:
            for hook in hooks:
                hook.remove()
    parameters = list(network.parameters())
    total = sum(p.numel() for p in parameters)
    outputs = sum(math.prod(row.output_shape) for row in rows)
    return Summary(
        input_shape=shape,
        rows=tuple(rows),
        total_parameters=total,
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        multiply_adds=sum(row.multiply_adds for row in rows),
        input_mb=math.prod(shape) * _BYTES / _MB,
        forward_backward_mb=2 * outputs * _BYTES / _MB,
        parameters_mb=total * _BYTES / _MB,
    )


def _recorder(name: str, rows: list[LayerRow], counted: set[nn.Parameter]) -> _Hook:
    """A forward hook that appends one row for the module called name."""

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            return
        new = set(module.parameters(recurse=False)) - counted
        counted.update(new)
        rows.append(
            LayerRow(
                layer=f"{type(module).__name__}-{len(rows) + 1}",
                name=name,
                output_shape=tuple(output.shape),
                parameters=sum(p.numel() for p in new),
                multiply_adds=_multiply_adds(module, output),
            )
        )

    return record


def _multiply_adds(module: nn.Module, output: torch.Tensor) -> int:
    if isinstance(module, _CONVOLUTIONS):
        # weight: (out channels, in channels / groups, kernel …)
        return output.numel() * math.prod(module.weight.shape[1:])
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    return 0
