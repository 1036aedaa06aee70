"""Phantoms of which any number of findings may be present, each independently of the others.

They have a known truth for everything that is done with findings: which are present, and where.
"""

import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from hilum.errors import DataError, nearest
from hilum.files import write_atomically
from hilum.phantoms.anatomy import Anatomy, anatomy_of, sample_patient
from hilum.phantoms.film import develop, sample_film
from hilum.phantoms.findings import (
    NOTICEABLE,
    consolidation,
    drawn_tissue,
    effusion,
    finding_mask,
    ground_glass,
    nodule,
)
from hilum.phantoms.phantom import GENERATOR, SMALLEST, SPLITS, STRIDE, write_set
from hilum.records import PixelArray, Progress

#: The findings, and in which share of the phantoms each is present.
FINDINGS: dict[str, float] = {
    "cardiomegaly": 0.25,
    "consolidation": 0.2,
    "effusion": 0.2,
    "nodule": 0.2,
    "opacities": 0.2,
}
VERSION = 1
_DRAWN = {
    "consolidation": consolidation,
    "effusion": effusion,
    "nodule": nodule,
    "opacities": ground_glass,
}
#: How many times its usual size an enlarged heart has.
_ENLARGED = (1.18, 1.38)


def render_findings(
    present: Collection[str], *, seed: int, index: int, size: int = 150
) -> tuple[PixelArray, dict[str, PixelArray]]:
    """Render a synthetic radiograph with some of FINDINGS, and the mask of each.

    seed, index: at least 0; each pair is another patient, the same whatever is present. size:
    pixels along the edge, at least 32. Returns the image, and by finding its mask, each (size,
    size) uint8: 255 where it takes at least 6 % of the rays that would arrive without it.
    A pure function of its arguments. Raises DataError where one is out of range.
    """
    for name in present:
        if name not in FINDINGS:
            raise DataError(f"There is no finding '{name}' of phantoms.{nearest(name, FINDINGS)}")
    if size < SMALLEST or seed < 0 or index < 0:
        raise DataError(
            f"A phantom needs a size of at least {SMALLEST} and a seed and index from 0; found "
            f"{size}, {seed} and {index}."
        )
    # a stream for each part, so that what is present changes nothing else
    parts = np.random.SeedSequence([seed, index]).spawn(3 + len(FINDINGS))
    body, exposure, noise, *own = (np.random.default_rng(part) for part in parts)
    rng_of = dict(zip(FINDINGS, own, strict=True))
    patient = sample_patient(body)
    usual = anatomy_of(patient, size)
    anatomy, masks = usual, {}
    if "cardiomegaly" in present:
        larger = patient.heart_size * float(rng_of["cardiomegaly"].uniform(*_ENLARGED))
        anatomy = anatomy_of(replace(patient, heart_size=larger), size)
        masks["cardiomegaly"] = _where_denser(usual, anatomy)
    added = np.zeros_like(anatomy.x)
    for name, draw in _DRAWN.items():
        if name in present:
            tissue = drawn_tissue(draw, anatomy, rng_of[name])
            masks[name] = finding_mask(anatomy, tissue)
            added = np.maximum(added, tissue)
    image = develop(anatomy, added, sample_film(exposure), noise)
    return image, {name: masks[name] for name in FINDINGS if name in present}


def write_findings(
    root: Path,
    *,
    counts: Mapping[str, int],
    seed: int = 0,
    size: int = 150,
    progress: Progress | None = None,
) -> None:
    """Write a data set of such phantoms: a table with the columns path, label and split.

    root: a new or empty folder. counts: images in each of 'train', 'val' and 'test' (any of them).
    Makes root/images/SPLIT/0.png and so on, root/masks/FINDING/SPLIT/0.png for what is present,
    root/manifest.csv and root/PHANTOM.json; nothing where they are there already. Raises DataError
    as phantom.write_phantoms does.
    """
    if seed < 0 or size < SMALLEST or not counts or min(counts.values()) < 1:
        raise DataError(
            f"Phantoms need a seed >= 0, a size >= {SMALLEST} and images in every split; found "
            f"{seed}, {size} and {dict(counts)}."
        )
    for split in counts:
        if split not in SPLITS:
            raise DataError(f"There is no split '{split}' of phantoms.{nearest(split, SPLITS)}")
    marker = {
        "generator": GENERATOR,
        "version": VERSION,
        "synthetic": True,
        "description": "Synthetic frontal chest radiographs with independent findings: nothing "
        "measured on them says anything about patients. masks/ holds the pixels of each finding.",
        "task": "findings",
        "seed": seed,
        "size": size,
        "counts": dict(counts),
    }

    def write(partial: Path) -> None:
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["path", "label", "split"])
        done, total = 0, sum(counts.values())
        for split, n in counts.items():
            (partial / "images" / split).mkdir(parents=True)
            for i in range(n):
                index = SPLITS.index(split) * STRIDE + i
                chances = np.random.default_rng([seed, index, 1]).random(len(FINDINGS))
                present = [f for f, c in zip(FINDINGS, chances, strict=True) if c < FINDINGS[f]]
                image, masks = render_findings(present, seed=seed, index=index, size=size)
                Image.fromarray(image).save(partial / "images" / split / f"{i}.png")
                for name, mask in masks.items():
                    folder = partial / "masks" / name / split
                    folder.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(mask).save(folder / f"{i}.png")
                label = "|".join(present) or "No finding"
                rows.writerow([f"images/{split}/{i}.png", label, split])
                done += 1
                if progress is not None:
                    progress("Rendering phantoms", done, total)
        write_atomically(partial / "manifest.csv", table.getvalue().encode())

    write_set(root, marker, {f"images/{split}": n for split, n in counts.items()}, write)


def _where_denser(usual: Anatomy, other: Anatomy) -> PixelArray:
    """Where another body takes noticeably more of the rays: (size, size) uint8, 255 there."""
    taken = 1 - np.exp(usual.attenuation - other.attenuation)
    return np.where(taken >= NOTICEABLE, 255, 0).astype(np.uint8)
