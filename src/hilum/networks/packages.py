"""Networks of packages that are no dependencies: MONAI, torchvision, timm and TorchXRayVision.

``network = "torchvision:densenet121"`` in a recipe imports the package when the network is made.
Only networks of the package itself are run, and they are made without weights, so that nothing is
downloaded. Weights that the package publishes are taken from the file that it keeps once it has
fetched them, where a network's name names them: ``torchvision:densenet121.IMAGENET1K_V1``.

Networks that expect images of another scale, or in colour, get theirs from grey ones in [0, 1].
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hilum.errors import RecipeError, in_short, nearest
from hilum.networks.states import State, read_state

_NAME = re.compile(r"[\w.-]*")  # of no file and no address
#: torch.hub's files carry the beginning of their SHA-256.
_DIGEST = re.compile(r"-([0-9a-f]{8,})\.")
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Scaled(nn.Module):
    """A network that gets grey images in [0, 1] as it expects images.

    network: takes (B, C, H, W). mean, std: of its C channels; each is (grey - mean) / std.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std = tuple(mean), tuple(std)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) in [0, 1]. Returns what the network does: logits (B, outputs)."""
        channels = [(images - m) / s for m, s in zip(self.mean, self.std, strict=True)]
        logits: torch.Tensor = self.network(torch.cat(channels, dim=1))
        return logits


@dataclass(frozen=True)
class _Found:
    """A network that a package has.

    make: called with the keywords. mean, std: of the images that it expects, by channel; none
    where it takes grey ones in [0, 1]. url: where weights lie that its name names; else empty.
    files: tells where they may be on this machine. folder: where the package puts them; None where
    that cannot be said in a sentence.
    """

    make: Callable[..., nn.Module]
    keywords: dict[str, Any]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    url: str = ""
    files: Callable[[], Sequence[Path]] = tuple
    folder: Path | None = None


@dataclass(frozen=True)
class _Package:
    """title: for people. module: what is imported. find: a network of it, by (module, its name,
    outputs); the name holds no '/' and no ':'. Raises RecipeError where there is none.
    """

    title: str
    module: str
    find: Callable[[Any, str, int], _Found]


def package_of(name: str) -> str | None:
    """The title of the package that a network's name refers to; None where it is no package."""
    package = _PACKAGES.get(name.partition(":")[0])
    return package.title if package else None


def make(name: str, outputs: int) -> nn.Module:
    """A network of a package, on the default device. Raises RecipeError where it has none."""
    title = package_of(name)
    found = _find(name, outputs)
    try:
        network = found.make(**found.keywords)
    except Exception as error:
        keywords = ", ".join(f"{key}={value!r}" for key, value in found.keywords.items())
        raise RecipeError(
            f"{title}'s {name.partition(':')[2]} cannot be made with {keywords} "
            f"({in_short(error)}). Make it in a class of your own and name that as "
            "'module:Class'."
        ) from error
    return Scaled(network, found.mean, found.std) if found.mean else network


def read_published(name: str) -> tuple[State, dict[str, Any]] | None:
    """The weights that a network's name names, from their file, as of read_state; None: none.

    Raises RecipeError where the file is not there, or is another.
    """
    found = _find(name, 2)
    if not found.url:
        return None
    file = next((path for path in found.files() if path.is_file()), None)
    if file is None:
        place = f", put it into {found.folder}, or" if found.folder else " and"
        raise RecipeError(
            f"The weights of the network '{name}' are not on this machine, and nothing is "
            f"downloaded while training: fetch {found.url}{place} name the file by the key "
            'weights; weights = "none" starts at random.'
        )
    state, facts = read_state(file, RecipeError)
    begins = _DIGEST.search(file.name)
    if begins and not facts["sha256"].startswith(begins[1]):
        raise RecipeError(
            f"{file}: not the published weights: the SHA-256 should begin with {begins[1]} and is "
            f"{facts['sha256']}. Fetch {found.url} again."
        )
    return state, facts


def _find(name: str, outputs: int) -> _Found:
    prefix, _, inner = name.partition(":")
    package = _PACKAGES[prefix]
    module = _import(package, name)
    if not _NAME.fullmatch(inner):
        raise RecipeError(f"{package.title} has no network '{inner}': a name has letters, digits, "
                          "'.', '-' and '_' alone.")  # fmt: skip
    return package.find(module, inner, outputs)


def _import(package: _Package, name: str) -> Any:
    top = package.module.partition(".")[0]
    try:
        with warnings.catch_warnings():  # TorchXRayVision silences all of them when imported
            return importlib.import_module(package.module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == top:
            raise RecipeError(
                f"The network '{name}' needs {package.title}, which is not installed; "
                f"`pip install {top}`."
            ) from None
        raise RecipeError(
            f"{package.title} needs the module '{error.name}', which is not installed."
        ) from None
    except Exception as error:
        raise RecipeError(
            f"The network '{name}' needs {package.title}, which failed when it was imported "
            f"({in_short(error)}): install the build of it, and of what it needs, that goes with "
            f"PyTorch {torch.__version__}."
        ) from error


def _known(title: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    if name not in known:
        raise RecipeError(f"{title} has no network '{name}'.{nearest(name, known)}")
    return name


# ---- the packages ----------------------------------------------------------------------------


def _find_monai(nets: Any, name: str, outputs: int) -> _Found:
    """One of monai.networks.nets. They end in global pooling and take images of any size."""
    networks = {
        n: kind
        for n, kind in vars(nets).items()
        if isinstance(kind, type) and issubclass(kind, nn.Module) and not n.startswith("_")
    }
    keywords = {"spatial_dims": 2, "in_channels": 1, "out_channels": outputs}
    return _Found(networks[_known("MONAI", name, networks)], keywords)


def _find_torchvision(models: Any, name: str, outputs: int) -> _Found:
    """One for classification: those for other tasks would download the weights of a part."""
    kind, _, weights = name.partition(".")
    _known("torchvision", kind, models.list_models(module=models))
    keywords: dict[str, Any] = {"weights": None, "num_classes": outputs}
    if kind in ("googlenet", "inception_v3"):  # by default several logits, of images scaled twice
        keywords |= {"aux_logits": False, "init_weights": True, "transform_input": True}
    mean, std, url = *_IMAGENET, ""
    if weights:
        published = models.get_model_weights(kind).__members__
        if weights not in published:
            raise RecipeError(
                f"torchvision has no weights '{weights}' of {kind}.{nearest(weights, published)}"
            )
        chosen = published[weights]
        images = chosen.transforms()
        mean, std, url = tuple(images.mean), tuple(images.std), chosen.url
    return _Found(partial(models.get_model, kind), keywords, mean, std, url, **_in_hub(url))


def _find_timm(timm: Any, name: str, outputs: int) -> _Found:
    """A registered one; a tag after a dot names weights, as in timm."""
    kind, _, tag = name.partition(".")
    _known("timm", kind, timm.list_models())
    try:
        about = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise RecipeError(f"timm has no weights '{tag}' of {kind} ({in_short(error)}).") from None
    mean, std = (about.mean, about.std) if about else _IMAGENET
    keywords = {"pretrained": False, "in_chans": len(mean), "num_classes": outputs}
    found = partial(_Found, partial(timm.create_model, name), keywords, mean, std)
    if not tag:
        return found()
    if not about.hf_hub_id:
        return found(about.url or "", **_in_hub(about.url or ""))
    file = about.hf_hub_filename or "model.safetensors"
    url = f"https://huggingface.co/{about.hf_hub_id}/resolve/main/{file}"
    return found(url, partial(_cached_by_hub, about.hf_hub_id, file))


def _cached_by_hub(repository: str, file: str) -> tuple[Path, ...]:
    """Where huggingface_hub, by which timm fetches weights, keeps a file, if it does."""
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        return ()
    cached = hub.try_to_load_from_cache(repository, file)
    return (Path(cached),) if isinstance(cached, str) else ()


def _find_xrv(models: Any, name: str, outputs: int) -> _Found:
    """One by the name of its weights; TorchXRayVision makes none without but DenseNet121."""
    whole = (n for n in models.model_urls if n.startswith(("densenet121-", "resnet50-")))
    url = models.model_urls[_known("TorchXRayVision", name, whole)]["weights_url"]
    folder = Path("~/.torchxrayvision/models_data").expanduser()
    place = folder / url.rpartition("/")[2]
    keywords: dict[str, Any] = {"num_classes": outputs}
    if name.startswith("resnet50-"):
        factory = partial(_grey_resnet50, models.torchvision)
    else:
        factory = models.DenseNet
        keywords |= {"in_channels": 1, "weights": None}
    # images in [-1024, 1024]
    return _Found(factory, keywords, (0.5,), (1 / 2048,), url, lambda: (place,), folder)


def _grey_resnet50(torchvision: Any, num_classes: int) -> nn.Module:
    """As TorchXRayVision changes torchvision's, whose own class would fetch weights."""
    network: nn.Module = torchvision.models.get_model(
        "resnet50", weights=None, num_classes=num_classes
    )
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return network


def _in_hub(url: str) -> dict[str, Any]:
    """Where torch.hub, by which torchvision fetches weights, keeps a file."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return {"files": lambda: (folder / url.rpartition("/")[2],), "folder": folder}


_PACKAGES = {
    "monai": _Package("MONAI", "monai.networks.nets", _find_monai),
    "torchvision": _Package("torchvision", "torchvision.models", _find_torchvision),
    "timm": _Package("timm", "timm", _find_timm),
    "xrv": _Package("TorchXRayVision", "torchxrayvision.models", _find_xrv),
}

#: What a network's name begins with, before a colon, where it is one of a package.
PREFIXES = tuple(_PACKAGES)
