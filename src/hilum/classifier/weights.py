"""Weights: networks made of them, and their bytes, which are safetensors."""

from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from hilum.classifier.files import NetworkEntry, read_part
from hilum.errors import ClassifierError
from hilum.networks.ensemble import join_networks
from hilum.networks.registry import create_network_to_load
from hilum.transforms.preprocess import Preprocessing


def load_network(
    folder: Path, entry: NetworkEntry, preprocessing: Preprocessing, allow_code: bool
) -> nn.Module:
    """The network of an entry, with its weights. Raises ClassifierError where they do not fit."""
    data = read_part(folder, entry.weights, entry.sha256, "the weights are")

    def create() -> nn.Module:
        return create_network_to_load(
            entry.name,
            outputs=entry.outputs,
            image_size=preprocessing.image_size,
            allow_code=allow_code,
        )

    first = create()
    try:
        weights = safetensors.torch.load(data)
        # before the others are made: a file of one network may say that it holds a hundred
        named = join_networks([first] * entry.members, mirror=entry.mirror).state_dict()
        if len(named) != len(weights):
            raise RuntimeError(f"{len(weights)} tensors instead of {len(named)}")
        members = [first, *(create() for _ in range(entry.members - 1))]
        network = join_networks(members, mirror=entry.mirror)
        network.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        raise ClassifierError(
            f"{folder / entry.weights}: these weights do not fit the network '{entry.name}' "
            f"({error})."
        ) from None
    return network


def pack_weights(state: dict[str, torch.Tensor]) -> bytes:
    """A network's state as safetensors."""
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    data: bytes = safetensors.torch.save(plain)
    return data
