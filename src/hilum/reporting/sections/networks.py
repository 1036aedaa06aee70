"""The report's section on the networks: what each is, layer by layer."""

from typing import Any

from hilum.errors import RecipeError
from hilum.networks.registry import create_network_to_load, describe_network
from hilum.networks.summary import summarise
from hilum.reporting.subject import Subject


def describe_networks(subject: Subject) -> dict[str, Any]:
    """One entry per different network (kind, outputs, image size), and who uses it.

    A network that is not registered here, or whose image size is not recorded, has no table and
    says why.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in subject.runs:
        for decision, about in (run.info.get("networks") or {}).items():
            key = (about.get("name"), about.get("outputs"), run.image_size)
            if key not in found:
                found[key] = {"users": [], **_describe(*key)}
            user = f"{run.name}, decision {decision}" if subject.several else decision
            found[key]["users"].append(user)
    return {
        "kinds": list(found.values()),
        "cascade": any(run.strategy == "cascade" for run in subject.runs),
        "imported": any(run.imported for run in subject.runs),
        "trained": any(not run.imported for run in subject.runs),
    }


def _describe(
    name: str | None, outputs: int | None, image_size: tuple[int, int] | None
) -> dict[str, Any]:
    title = str(name or "not recorded")
    about: dict[str, Any] = {"name": title, "what": "", "summary": None, "reason": ""}
    if name is None or outputs is None or image_size is None:
        return {**about, "reason": "its name, outputs or image size are not recorded"}
    try:
        network = create_network_to_load(name, outputs=outputs, image_size=image_size)
    except RecipeError as error:
        return {**about, "reason": str(error)}
    return {**about, "what": describe_network(name), "summary": summarise(network, image_size)}
