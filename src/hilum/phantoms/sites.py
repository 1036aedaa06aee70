"""Phantoms of several sites: where one hospital differs from the next, with the truth known.

A site is how somebody photographs whom: exposure, tube and detector, display, collimation,
markers, habitus, framing, and how the files are made. Every quantity is drawn from a range of the
site's own, so that two sites may overlap, or not at all. A folder may mix sites by class, as those
do that were put together from two sources, and its labels may be wrong in the way that grading
makes them: criteria that choose recipes can then be held against what happens at a site that no
folder of training has seen (benchmarks/bench_criteria.py).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from hilum.errors import DataError
from hilum.phantoms.anatomy import Patient, anatomy_of, sample_patient
from hilum.phantoms.film import Film, develop, sample_film
from hilum.phantoms.findings import PhantomLabel, added_tissue, finding_mask
from hilum.phantoms.phantom import FOLDERS, LABELS
from hilum.records import PixelArray

#: From, to; drawn evenly.
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Site:
    """How one site photographs, and whom. The defaults are those of every other phantom.

    photons, blur, black, white, contrast, brightness: of film.Film. shutter: how often an edge is
    collimated, and by how much at most, as a share of it. marker: how often a film has one.
    marker_height: as a share of the edge. stout: added to the depth of wall and body, in
    centimetres. field: by how much more (> 1) or less of the patient a film shows than usual.
    arms: how far they are held from the body, in centimetres; None as usual. aspect: width over
    height of the film, which shows more along its longer side. side: pixels of that side. quality:
    of JPEG, 1 to 95. prevalence: of LABELS, sums to 1.
    """

    name: str
    photons: Range = (1200.0, 8000.0)
    blur: Range = (0.0022, 0.0042)
    black: Range = (0.32, 0.55)
    white: Range = (0.98, 1.16)
    contrast: Range = (3.2, 5.2)
    brightness: Range = (0.42, 0.56)
    shutter: Range = (0.35, 0.035)
    marker: float = 0.85
    marker_height: Range = (0.05, 0.085)
    stout: Range = (0.0, 0.0)
    field: Range = (1.0, 1.0)
    arms: Range | None = None
    aspect: Range = (1.0, 1.0)
    side: Range = (150.0, 150.0)
    quality: Range = (90.0, 95.0)
    prevalence: tuple[float, float, float] = (0.25, 0.25, 0.5)


#: Eight sites. None is the mean of the others, and each is unlike the rest in several things.
SITES: Final = {
    site.name: site
    for site in (
        Site("north", black=(0.30, 0.42), contrast=(4.4, 5.6), aspect=(0.96, 1.04)),
        Site("harbour", black=(0.45, 0.60), white=(1.05, 1.22), contrast=(2.6, 3.6),
             photons=(700.0, 2500.0), field=(1.04, 1.16), aspect=(1.12, 1.30), side=(112.0, 140.0),
             quality=(55.0, 80.0)),
        Site("children", stout=(-1.6, -0.7), field=(0.88, 0.98), black=(0.36, 0.52),
             brightness=(0.46, 0.60), arms=(5.0, 11.0), aspect=(1.15, 1.40)),
        Site("portable", photons=(300.0, 1200.0), blur=(0.0045, 0.0075), contrast=(2.4, 3.4),
             white=(1.06, 1.26), field=(1.05, 1.22), shutter=(0.1, 0.03), marker=1.0,
             marker_height=(0.08, 0.12), stout=(0.3, 1.5), aspect=(1.0, 1.22),
             prevalence=(0.1, 0.4, 0.5)),
        Site("archive", blur=(0.0038, 0.0060), contrast=(5.2, 7.0), brightness=(0.36, 0.46),
             shutter=(0.8, 0.075), side=(84.0, 112.0), quality=(35.0, 60.0)),
        Site("digital", photons=(6000.0, 16000.0), blur=(0.0014, 0.0024), black=(0.22, 0.36),
             white=(1.12, 1.30), contrast=(2.2, 3.2), marker=0.4, aspect=(0.82, 0.92)),
        Site("screening", prevalence=(0.8, 0.1, 0.1), field=(0.92, 1.02), shutter=(0.9, 0.05),
             brightness=(0.50, 0.62), contrast=(3.8, 5.4), black=(0.40, 0.54), marker=0.0),
        Site("mission", photons=(500.0, 1800.0), brightness=(0.34, 0.44), black=(0.48, 0.66),
             stout=(-0.8, 0.4), field=(1.0, 1.24), side=(96.0, 150.0), quality=(40.0, 90.0),
             aspect=(0.85, 1.2)),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grading:
    """How often labels are wrong, as grading makes them.

    confused: the share of the infected whose kind of infection is exchanged. missed: the share of
    the infected that is called normal where a finding can hardly be seen, falling to none where it
    takes a tenth of the picture. imagined: the share of the normal that is called infected.
    """

    confused: float = 0.0
    missed: float = 0.0
    imagined: float = 0.0


#: No label is wrong.
TRUE: Final = Grading()
#: Of a film's edge: findings that take more are never missed.
_PLAIN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class SiteFilm:
    """One film: (H, W) uint8 as its file shows it, what it truly shows, and what it is called."""

    pixels: PixelArray
    truth: PhantomLabel
    label: PhantomLabel


def render_film(
    site: Site,
    truth: PhantomLabel,
    *,
    seed: int,
    index: int,
    size: int = 150,
    grading: Grading = TRUE,
) -> SiteFilm:
    """Render one patient as a site would show it. A pure function of its arguments.

    seed, index: at least 0; each pair is another patient, the same at every site but for what a
    site changes in whom it photographs. size: pixels along the edge at which rays are traced; the
    site's side is of a size of 150. Raises DataError where one is out of range.
    """
    if seed < 0 or index < 0 or size < 32:
        raise DataError("A film needs a seed and an index from 0, and a size from 32.")
    body, exposure, finding, noise, own, graded = (
        np.random.default_rng([seed, LABELS.index(truth), index, part]) for part in range(6)
    )
    aspect = _drawn(own, site.aspect)
    patient = _of_site(sample_patient(body), site, aspect, own)
    anatomy = anatomy_of(patient, size)
    added = added_tissue(truth, anatomy, finding)
    film = _exposed(sample_film(exposure), site, own)
    shown = _as_file(develop(anatomy, added, film, noise), site, aspect, size, own)
    share = float((finding_mask(anatomy, added) > 0).mean())
    return SiteFilm(shown, truth, _graded(truth, share, grading, graded))


def write_folder(
    root: Path,
    sources: Mapping[str, Mapping[str, float]],
    n: int,
    *,
    seed: int,
    grading: Grading = TRUE,
    size: int = 150,
    prevalence: tuple[float, float, float] = (0.25, 0.25, 0.5),
) -> dict[str, PhantomLabel]:
    """Write a folder of labelled films, which may come from other sites by class.

    root: new. sources: of each class, from which sites and with which weights. n: films.
    Makes root/train/normal/0.jpg, root/train/infected/covid/0.jpg and so on, by the labels given,
    in an order that tells nothing; returns what each name below root truly shows.
    """
    rng = np.random.default_rng([seed, 0x517E])
    truths: dict[str, PhantomLabel] = {}
    numbers = dict.fromkeys(LABELS, 0)
    for index, place in enumerate(rng.choice(len(LABELS), n, p=prevalence)):
        truth = LABELS[place]
        names, weights = zip(*sources[truth].items(), strict=True)
        site = SITES[str(rng.choice(names, p=np.array(weights) / sum(weights)))]
        film = render_film(site, truth, seed=seed, index=index, size=size, grading=grading)
        name = f"train/{FOLDERS[film.label]}/{numbers[film.label]}.jpg"
        numbers[film.label] += 1
        truths[name] = truth
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(film.pixels).save(root / name, quality=95)
    return truths


def _drawn(rng: np.random.Generator, span: Range) -> float:
    return float(rng.uniform(*span))


def _of_site(patient: Patient, site: Site, aspect: float, rng: np.random.Generator) -> Patient:
    """The patient as one of those whom a site photographs, and as it lets them stand."""
    stout, wide = _drawn(rng, site.stout), _drawn(rng, site.field)
    return replace(
        patient,
        wall=max(patient.wall + 0.6 * stout, 1.0),
        body_depth=max(patient.body_depth + 1.8 * stout, patient.lung_depth + 4.0),
        field=patient.field * wide * max(aspect, 1 / aspect),
        arm_spread=patient.arm_spread if site.arms is None else _drawn(rng, site.arms),
    )


def _exposed(film: Film, site: Site, rng: np.random.Generator) -> Film:
    """A film of the site: its marker and place stay as they were drawn."""
    often, most = site.shutter
    shutters = [_drawn(rng, (0, most)) if rng.random() < often else 0.0 for _ in range(4)]
    low, high = (math.log(photons) for photons in site.photons)
    return replace(
        film,
        photons=math.exp(_drawn(rng, (low, high))),
        blur=_drawn(rng, site.blur),
        black=_drawn(rng, site.black),
        white=_drawn(rng, site.white),
        contrast=_drawn(rng, site.contrast),
        brightness=_drawn(rng, site.brightness),
        marker_height=_drawn(rng, site.marker_height),
        shutters=(shutters[0], shutters[1], shutters[2], shutters[3]),
        marker=(film.marker or "L") if rng.random() < site.marker else "",
    )


def _as_file(
    shown: PixelArray, site: Site, aspect: float, size: int, rng: np.random.Generator
) -> PixelArray:
    """The picture as the site's files hold it: cut to its sides, made smaller, and compressed."""
    longer, shorter = _drawn(rng, site.side) * size / 150, min(aspect, 1 / aspect)
    cut = round(size * (1 - shorter) / 2)
    kept = slice(cut, size - cut)
    part = shown[kept] if aspect > 1 else shown[:, kept]
    scale = longer / size
    sides = [max(round(side * scale), 16) for side in part.shape[::-1]]
    resized = cv2.resize(part, sides, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(_drawn(rng, site.quality))]
    file = cv2.imencode(".jpg", resized, quality)[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def _graded(
    truth: PhantomLabel, share: float, grading: Grading, rng: np.random.Generator
) -> PhantomLabel:
    """What a film is called. share: of its pixels that the finding takes."""
    chance, kind = rng.random(2)
    if truth == "normal":
        return truth if chance >= grading.imagined else ("covid" if kind < 0.5 else "non-covid")
    if chance < grading.missed * max(0.0, 1 - share / _PLAIN_SHARE):
        return "normal"
    if kind < grading.confused:
        return "non-covid" if truth == "covid" else "covid"
    return truth
