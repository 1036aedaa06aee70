"""States of networks: read from files, and fitted to a network that starts from them.

Nothing is ever unpickled: weights are safetensors, or PyTorch files with weights_only=True.
"""

import io
import pickle
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from hilum.errors import HilumError, RecipeError, plural
from hilum.files import sha256

State = dict[str, torch.Tensor]

_STATE_KEYS = ("model_state_dict", "state_dict", "model")
#: Names of DenseNets' layers in files of PyTorch before 0.4: norm.1 is norm1 today.
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.")
#: What PyTorch's files begin with: ZIP archives, and before version 1.6 pickles of protocol 2 on.
_BEGINNINGS = (b"PK\x03\x04", b"\x80")
#: How many names a sentence lists.
_LISTED = 6
#: Layers of whole networks that TorchXRayVision published, which no code of theirs makes again.
_LAYERS = (
    *(f"torchxrayvision.models.{n}" for n in ("DenseNet", "_DenseBlock", "_DenseLayer")),
    "torchxrayvision.models._Transition",
    *(f"torch.nn.modules.pooling.{n}" for n in ("MaxPool2d", "AvgPool2d")),
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.batchnorm.BatchNorm2d",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.linear.Linear",
)


class _Part(nn.Module):
    """Stands for any layer in a file: it holds its tensors, and runs nothing."""


def load_tensors(data: bytes, path: Path, error: type[HilumError]) -> Any:
    """What a PyTorch file holds; nothing in it is run. path: for the message. Raises error."""
    if not data.startswith(_BEGINNINGS):
        raise error(f"{path}: not a PyTorch checkpoint: neither a ZIP archive nor a pickle.")
    try:
        with torch.serialization.safe_globals([(_Part, name) for name in _LAYERS]):
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return content.state_dict() if isinstance(content, _Part) else content
    except pickle.UnpicklingError:
        raise error(
            f"{path}: refused: reading it would run code from the file. Save the state dict alone: "
            "torch.save(model.state_dict(), FILE)."
        ) from None
    except Exception as failure:  # of a damaged file PyTorch raises of many kinds
        first = str(failure).partition("\n")[0] or type(failure).__name__
        raise error(f"{path}: not a PyTorch checkpoint ({first}).") from None


def read_state(path: Path, error: type[HilumError]) -> tuple[State, dict[str, Any]]:
    """The state dict in a file, and what else it says of itself, with its name and SHA-256.

    path: safetensors, or a PyTorch checkpoint that holds it bare or under 'model_state_dict'.
    Raises error where there is no such file, or no state dict in it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise error(f"{path}: there is no such file.") from None
    except OSError as failure:
        raise error(f"{path}: cannot be read ({failure.strerror}).") from None
    facts = {"file": path.name, "sha256": sha256(data)}
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load(data), facts
        except SafetensorError as failure:
            raise error(f"{path}: damaged, or not safetensors ({failure}).") from None
    content = load_tensors(data, path, error)
    state = content
    if isinstance(content, dict):
        state = next((content[key] for key in _STATE_KEYS if key in content), content)
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(k, str) for k in state)
        or not all(isinstance(v, torch.Tensor) for v in state.values())
    ):
        raise error(f"{path}: holds no state dict, bare or under 'model_state_dict'.")
    if all(key.startswith("module.") for key in state):  # saved from nn.DataParallel
        state = {key.removeprefix("module."): value for key, value in state.items()}
    figures = {
        key: value
        for key, value in content.items()
        if content is not state and isinstance(value, int | float | str)
    }
    return state, {**facts, **figures}


@dataclass(frozen=True, eq=False)
class Start:
    """The weights that a network's training starts from, under the network's own names.

    file, sha256: where they were. tensors: how many the network has. adapted: names of those whose
    colour channels were added up. at_random: names of those that are not loaded. unused: names in
    the file that the network has no place for.
    """

    file: str
    sha256: str
    state: State
    tensors: int
    adapted: tuple[str, ...] = ()
    at_random: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """What run.json and the classifier say of it."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "loaded": len(self.state),
            "adapted": list(self.adapted),
            "at_random": list(self.at_random),
            "unused": list(self.unused),
        }

    def sentence(self, decision: str) -> str:
        """What was loaded and what was not, for a decision's network."""
        parts = [
            f"'{decision}' starts from {self.file} (SHA-256 {self.sha256[:16]}…): "
            f"{len(self.state):,} of {plural(self.tensors, 'tensor')} loaded"
        ]
        if self.adapted:
            parts.append(f"colour channels added up in {_some(self.adapted)}")
        if self.at_random:
            parts.append(f"at random: {_some(self.at_random)}")
        if self.unused:
            parts.append(f"not used: {_some(self.unused)}")
        return "; ".join(parts) + "."


def fit_state(
    state: Mapping[str, torch.Tensor], network: nn.Module, name: str, facts: Mapping[str, Any]
) -> Start:
    """What a network takes of a state.

    Every tensor of the network has to be in the state under the same name, but for a prefix that
    all names have here or there ('backbone.'), and in the same shape. Two may differ: the first
    convolution of a network for grey images, for which three colour channels are added up, because
    a grey image has three equal ones; and the last linear layer, which then starts at random.
    name: the network's. facts: 'file' and 'sha256'.
    Raises RecipeError where the rest does not fit.
    """
    own = network.state_dict()
    theirs = {_OLD_NAME.sub(r"\1\2.", key): value for key, value in state.items()}
    within = _common_part(own)
    names = {key: key.removeprefix(within) for key in own}
    prefix = _find_prefix(theirs, names.values(), within)
    last = [n for n, module in network.named_modules() if isinstance(module, nn.Linear)][-1:]
    first = next((key for key, value in own.items() if value.ndim == 4), None)
    taken: State = {}
    adapted, at_random, missing = [], [], []
    for key, value in own.items():
        found = theirs.get(prefix + names[key])
        if found is not None and key == first and _has_colours(found, value):
            found = found.sum(dim=1, keepdim=True)
            adapted.append(key)
        fits = found is not None and found.shape == value.shape
        of_last = key.rpartition(".")[0] in last
        if found is not None and fits:
            taken[key] = found.to(value.dtype)
            continue
        at_random.append(key)
        if not of_last and not key.endswith("num_batches_tracked"):
            what = "not there" if found is None else f"{tuple(found.shape)}"
            missing.append(f"{key} should be {tuple(value.shape)} and is {what}")
    if missing or not taken:
        of = len(own)
        what = f"of its {of} tensors {of - len(at_random)} fit" if taken else "none of them fits"
        raise RecipeError(
            f"{facts['file']}: these weights do not fit the network '{name}': {what}"
            + (f"; {missing[0]}." if missing else ".")
        )
    used = {prefix + names[key] for key in taken}
    return Start(
        str(facts["file"]),
        str(facts["sha256"]),
        taken,
        len(own),
        tuple(adapted),
        tuple(at_random),
        tuple(key for key in theirs if key not in used),
    )


def _has_colours(found: torch.Tensor, grey: torch.Tensor) -> bool:
    return (
        found.ndim == 4
        and found.shape[1] == 3
        and grey.shape == (found.shape[0], 1, *found.shape[2:])
    )


def _common_part(names: Iterable[str]) -> str:
    """What all names begin with, up to their first dot, as those of a network in another do."""
    first = {name.partition(".")[0] + "." if "." in name else "" for name in names}
    return first.pop() if len(first) == 1 else ""


def _find_prefix(theirs: Mapping[str, torch.Tensor], own: Collection[str], likely: str) -> str:
    """What stands before the network's own names in the state; of the best the likely one, or
    the shortest.
    """
    some = list(own)[:3]
    found = {key[: -len(name)] for name in some for key in theirs if key.endswith(name)}
    ordered = sorted(found | {""}, key=lambda p: (p != likely, len(p), p))
    return max(ordered, key=lambda p: sum(p + name in theirs for name in own))


def _some(names: tuple[str, ...]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest:,} more" if rest > 0 else "")
