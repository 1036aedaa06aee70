"""The embedded data set: synthetic frontal chest radiographs whose findings are known.

Rays pass an analytic body (patient, anatomy), a finding may add tissue to its lungs
(findings), and an exposure turns what arrives into a picture (film). The phantoms
run the main job anywhere and give explanations something known to be checked against. They look
like radiographs but are not evidence: nothing measured on them says anything about patients.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from hilum.errors import DataError, nearest
from hilum.files import put_in_place, write_atomically
from hilum.parsing import read_json
from hilum.phantoms.anatomy import anatomy_of, sample_patient
from hilum.phantoms.film import develop, sample_film
from hilum.phantoms.findings import PhantomLabel, added_tissue, finding_mask
from hilum.records import PixelArray, Progress

MARKER = "PHANTOM.json"
GENERATOR = "hilum phantom"
VERSION = 1
SMALLEST = 32
LABELS: tuple[PhantomLabel, ...] = get_args(PhantomLabel)
FOLDERS = {"normal": "normal", "covid": "infected/covid", "non-covid": "infected/non-covid"}
SPLITS = ("train", "val", "test")
#: Splits draw from streams this far apart, so that no phantom stands in two of them.
STRIDE = 100_000_000
DESCRIPTION = (
    "Synthetic frontal chest radiographs, rendered by Beer-Lambert attenuation through an "
    "analytic body. Nobody was photographed, and nothing measured on them says anything about "
    "patients. masks/ holds the pixels of each finding."
)


def render_phantom(
    label: PhantomLabel, *, seed: int, index: int, size: int = 150
) -> tuple[PixelArray, PixelArray]:
    """Render one synthetic frontal chest radiograph and the mask of its finding.

    label: 'normal' (no finding), 'covid' (peripheral ground-glass patches, mostly in the lower
    zones, on both sides in 73 %) or 'non-covid' (a consolidation in one lobe). seed, index: at
    least 0; each pair is another patient. size: pixels along the edge, at least 32.
    Returns the image and the mask, each (size, size) uint8; the mask is 255 where the finding
    takes at least 6 % of the rays that pass lung, 0 elsewhere, and all 0 for 'normal'.
    A pure function of its arguments. Raises DataError where one is out of range.
    Source of the patterns: Cleverley et al., BMJ 2020;370:m2426, doi:10.1136/bmj.m2426.
    """
    if label not in LABELS:
        raise DataError(f"There is no phantom '{label}'.{nearest(str(label), LABELS)}")
    if size < SMALLEST:
        raise DataError(f"A phantom of {size} pixels shows nothing: take size >= {SMALLEST}.")
    if seed < 0 or index < 0:
        raise DataError(f"Seed and index count from 0; found seed {seed}, index {index}.")
    # One stream for each part: whatever a finding draws, body, exposure and noise stay the same.
    body, exposure, finding, noise = (
        np.random.default_rng([seed, LABELS.index(label), index, part]) for part in range(4)
    )
    anatomy = anatomy_of(sample_patient(body), size)
    added = added_tissue(label, anatomy, finding)
    image = develop(anatomy, added, sample_film(exposure), noise)
    return image, finding_mask(anatomy, added)


def mask_file(root: Path, name: str, finding: str = "") -> Path:
    """Where the mask of a phantom lies, if it has one.

    name: of the image below root. finding: whose mask, where phantoms have several.
    """
    return root / "masks" / finding / (name.removeprefix("images/") if finding else name)


def write_phantoms(
    root: Path,
    *,
    counts: Mapping[str, int],
    seed: int = 0,
    size: int = 150,
    ratio: tuple[int, int, int] = (1, 1, 2),
    progress: Progress | None = None,
) -> None:
    """Write a data set of phantoms, in the layout of real ones, with the masks beside it.

    root: a new or empty folder. counts: images in each of the splits 'train', 'val' and 'test'
    (any of them). ratio: normal : covid : non-covid, in every split alike; the default is the
    imbalance of real training data. progress(what, done, total) is called after each image.

    Makes root/SPLIT/normal/0.png, root/SPLIT/infected/covid/0.png and so on, 8-bit grey;
    root/masks/SPLIT/infected/covid/0.png for each finding; and root/PHANTOM.json. All is made in
    a folder beside root and then renamed, so root is never half a data set. If root already holds
    the same set, nothing is written.

    Raises DataError for arguments out of range, too few images for one of every class, or a
    folder that holds anything else, which is left as it is.
    """
    if seed < 0 or size < SMALLEST:
        raise DataError(
            f"Phantoms need a seed >= 0 and a size >= {SMALLEST}; found seed {seed}, size {size}."
        )
    shares = _class_counts(counts, ratio)
    marker: dict[str, Any] = {
        "generator": GENERATOR,
        "version": VERSION,
        "synthetic": True,
        "description": DESCRIPTION,
        "seed": seed,
        "size": size,
        "counts": dict(counts),
        "classes": shares,
    }
    folders = {
        f"{split}/{FOLDERS[label]}": n for split, of in shares.items() for label, n in of.items()
    }
    write_set(
        root, marker, folders, lambda partial: _write_images(partial, shares, seed, size, progress)
    )


def write_set(
    root: Path, marker: dict[str, Any], folders: Mapping[str, int], write: Callable[[Path], None]
) -> None:
    """Write a set of phantoms, whole or not at all; nothing where it is there already.

    marker: of PHANTOM.json, which tells sets apart. folders: how many images each holds, by its
    name below root. write: writes the images into the folder that it is given. Raises DataError
    where root holds anything else, or cannot be written.
    """
    if _is_written(root, marker, folders):
        return
    partial: Path | None = None
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(
            tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}.", suffix=".partial")
        )
        write(partial)
        # The marker comes last: a folder that has it is complete.
        write_atomically(partial / MARKER, (json.dumps(marker, indent=2) + "\n").encode())
        partial.chmod(0o755)
        if root.is_dir():
            root.rmdir()
        put_in_place(partial, root)
    except OSError as error:
        # Another process may have written the same set meanwhile: then there is nothing to do.
        if not _is_written(root, marker, folders):
            raise DataError(f"The phantoms could not be written to {root}: {error}.") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def is_phantom(root: Path) -> bool:
    """Whether a folder says that its images are phantoms. False where it says nothing.

    Raises DataError if PHANTOM.json is there but cannot be read.
    """
    return _read_marker(root).get("synthetic") is True


def _read_marker(root: Path) -> dict[str, Any]:
    path = root / MARKER
    if not path.is_file():
        return {}
    try:
        marker = read_json(path, DataError)
    except DataError as error:
        raise DataError(f"{error} Delete it if it is foreign.") from None
    if not isinstance(marker, dict) or marker.get("generator") != GENERATOR:
        raise DataError(f"{path} was not written by Hilum: delete it if the images are real.")
    return marker


def _is_written(root: Path, wanted: dict[str, Any], folders: Mapping[str, int]) -> bool:
    """Whether root already is the wanted set. Raises DataError if it is anything but empty."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; give a folder for the phantoms.")
    if not root.is_dir() or not any(root.iterdir()):
        return False
    found = _read_marker(root)
    if not found:
        raise DataError(f"{root} holds something else: give a new folder for the phantoms.")
    different = [key for key, value in wanted.items() if found.get(key) != value]
    if different:
        told = "; ".join(f"{k} is {found.get(k)}, wanted {wanted[k]}" for k in different)
        raise DataError(f"{root} holds other phantoms ({told}): delete it or give a new folder.")
    for folder, n in folders.items():
        there = len(list((root / folder).glob("*.png")))
        if there != n:
            raise DataError(
                f"{root / folder} holds {there} images where PHANTOM.json says {n}: delete {root} "
                "and write the phantoms again."
            )
    return True


def _class_counts(
    counts: Mapping[str, int], ratio: tuple[int, int, int]
) -> dict[str, dict[str, int]]:
    """How many images of each class a split gets, the largest remainder first."""
    if len(ratio) != len(LABELS) or min(ratio) <= 0:
        raise DataError(f"A ratio is three numbers above 0, such as 1, 1, 2; found {ratio}.")
    if not counts:
        raise DataError("No split was asked for: give counts such as {'train': 600, 'val': 120}.")
    shares: dict[str, dict[str, int]] = {}
    for split, n in counts.items():
        if split not in SPLITS:
            raise DataError(f"There is no split '{split}' of phantoms.{nearest(split, SPLITS)}")
        whole = [n * part // sum(ratio) for part in ratio]
        rest = [n * part % sum(ratio) for part in ratio]
        for i in sorted(range(len(ratio)), key=lambda i: -rest[i])[: max(n - sum(whole), 0)]:
            whole[i] += 1
        if min(whole) < 1:
            raise DataError(
                f"{n} images in '{split}' are too few for one of every class at {ratio}."
            )
        shares[split] = dict(zip(LABELS, whole, strict=True))
    return shares


def _write_images(
    root: Path,
    shares: Mapping[str, Mapping[str, int]],
    seed: int,
    size: int,
    progress: Progress | None,
) -> None:
    total = sum(sum(classes.values()) for classes in shares.values())
    done = 0
    for split, classes in shares.items():
        start = SPLITS.index(split) * STRIDE
        for label in LABELS:
            images = root / split / FOLDERS[label]
            masks = root / "masks" / split / FOLDERS[label]
            images.mkdir(parents=True)
            if label != "normal":
                masks.mkdir(parents=True)
            for i in range(classes[label]):
                image, mask = render_phantom(label, seed=seed, index=start + i, size=size)
                Image.fromarray(image).save(images / f"{i}.png")
                if label != "normal":
                    Image.fromarray(mask).save(masks / f"{i}.png")
                done += 1
                if progress is not None:
                    progress("Rendering phantoms", done, total)
