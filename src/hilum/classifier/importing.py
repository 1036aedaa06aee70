"""Make a classifier from PyTorch checkpoints that were trained elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hilum.classifier.classifier import Classifier
from hilum.classifier.weights import load_tensors
from hilum.decisions import FLAT
from hilum.errors import ClassifierError, nearest
from hilum.files import sha256
from hilum.labels import LabelTree, Rule, Strategy
from hilum.networks.registry import create_network_to_load
from hilum.transforms.preprocess import Preprocessing

_STATE_KEYS = ("model_state_dict", "state_dict", "model")


def import_checkpoints(
    network: str,
    tree: LabelTree,
    files: Mapping[str, Path],
    *,
    image_size: tuple[int, int] = (150, 150),
    rule: Rule = "route",
) -> Classifier:
    """Make a classifier from one checkpoint per decision.

    network: registered name, or 'module:Class', whose code then runs; its weights must have the
    checkpoint's names and shapes. files: by decision name, one for each decision of the tree (a
    cascade), or one called 'flat'. A file holds a state dict, bare or under 'model_state_dict'.
    Files are never unpickled: they are read with weights_only=True.
    Raises ClassifierError where files and decisions, or weights and network, do not match.
    """
    strategy: Strategy = "flat" if set(files) == {FLAT} else "cascade"
    decisions = tree.networks(strategy)
    names = [d.name for d in decisions]
    for name in files:
        if name not in names:
            raise ClassifierError(f"'{tree}' has no decision '{name}'.{nearest(name, names)}")
    missing = [name for name in names if name not in files]
    if missing:
        raise ClassifierError(f"No checkpoint was given for the decision(s) {', '.join(missing)}.")
    networks, sources = {}, {}
    for decision in decisions:
        path = files[decision.name]
        state, facts = _read_state(path)
        module = create_network_to_load(
            network,
            outputs=decision.outputs,
            image_size=image_size,
            allow_code=True,  # the caller named it, not a file
        )
        try:
            module.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ClassifierError(
                f"{path}: these weights do not fit the network '{network}' with "
                f"{decision.outputs} outputs at {image_size[0]} x {image_size[1]}: {error}"
            ) from None
        networks[decision.name] = module
        sources[decision.name] = facts
    return Classifier(
        tree=tree,
        strategy=strategy,
        rule=rule,
        preprocessing=Preprocessing(image_size=image_size),
        networks=networks,
        network_names=dict.fromkeys(names, network),
        provenance={
            "name": "imported",
            "imported": sources,
            "notes": ["The weights were imported; what they were trained on is not recorded here."],
        },
    )


def _read_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The state dict of a checkpoint, and what else it says of itself."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ClassifierError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise ClassifierError(f"{path}: cannot be read ({error.strerror}).") from None
    content = load_tensors(data, path, ClassifierError)
    state = content
    if isinstance(content, dict):
        state = next((content[key] for key in _STATE_KEYS if key in content), content)
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(k, str) for k in state)
        or not all(isinstance(v, torch.Tensor) for v in state.values())
    ):
        raise ClassifierError(f"{path}: holds no state dict, bare or under 'model_state_dict'.")
    if all(key.startswith("module.") for key in state):  # saved from nn.DataParallel
        state = {key.removeprefix("module."): value for key, value in state.items()}
    figures = {
        key: value
        for key, value in content.items()
        if content is not state and isinstance(value, int | float | str)
    }
    return state, {"file": path.name, "sha256": sha256(data), **figures}
