"""Make a classifier from PyTorch checkpoints that were trained elsewhere."""

from collections.abc import Mapping
from pathlib import Path

from hilum.classifier.classifier import Classifier
from hilum.decisions import FLAT
from hilum.errors import ClassifierError, nearest
from hilum.labels import LabelTree, Rule, Strategy
from hilum.networks.registry import create_network_to_load
from hilum.networks.states import read_state
from hilum.transforms.preprocess import Preprocessing


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
        state, facts = read_state(path, ClassifierError)
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
