"""The analytic body of the embedded phantom: how bodies vary, and what each ray passes in one.

The distributions of lengths (centimetres) and angles (radians) are rounded adult values chosen so
that the pictures look right. They are not a measurement, and no conclusion about people can rest
on them.

Everything is in centimetres in the body frame: x = 0 on the spine, positive towards the patient's
left (which a frontal radiograph shows on the right of the image); y downwards, 0 halfway between
the apices and the costophrenic angles. Each structure is a closed-form map of how many
centimetres of it lie along the ray through (x, y); no volume is ever stored.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: A map over the image; computed in float32, which is twice as fast as float64 here.
Map = npt.NDArray[np.floating[Any]]

#: Linear attenuation per cm of soft tissue, near 70 keV (NIST tables: water 0.193 at 70 keV).
MU_SOFT = 0.19
#: What a cm of bone adds to the soft tissue that it displaces (a cortical and trabecular mix).
MU_BONE_EXTRA = 0.33
#: Density of inflated lung relative to soft tissue.
LUNG_DENSITY = 0.27
#: Pairs of ribs that are drawn.
RIBS = 10


@dataclass(frozen=True, slots=True)
class Patient:
    """One body and how it stands before the detector."""

    half_widths: tuple[float, float]  # inner half-width of the thorax, patient's right and left
    lung_height: float  # apex to costophrenic angle
    lung_depth: float
    body_depth: float
    wall: float  # soft tissue between the ribs and the skin, at the side
    breast: float  # depth of the breast shadows, 0 for none
    arm_spread: float  # how far the arms are held from the body
    domes: tuple[float, float]  # height of the right and left diaphragm above the angle
    heart_size: float  # 1 is usual
    heart_tilt: float
    mediastinum: float  # half-width
    yaw: float  # shift of the frontal structures against the spine, from turning
    scoliosis: float  # sideways bend of the spine
    rib_drop: float  # how far a rib falls from spine to sternum
    rib_radius: float
    clavicle_height: float
    stomach: float  # radius of the gas bubble, 0 for none
    vessel_strength: float
    vessels: tuple[tuple[float, ...], tuple[float, ...]]  # phases of the pattern, right and left
    rib_wobble: tuple[float, ...]  # irregularity of each rib's height
    tilt: float  # rotation in the image plane
    shift: tuple[float, float]
    field: float  # width of the square field of view


def sample_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient. Uses nothing but rng, so it cannot depend on the class."""

    def normal(mean: float, spread: float) -> float:
        return float(np.clip(rng.normal(mean, spread), mean - 2.5 * spread, mean + 2.5 * spread))

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    width = normal(13.3, 0.9)
    asymmetry = normal(0, 0.025)
    inspiration = normal(0, 1)
    stout = normal(0.1, 0.8)
    body_depth = 22.5 + 1.8 * stout + normal(0, 0.4)
    right_dome = 5.6 - 0.8 * inspiration + normal(0, 0.5)
    return Patient(
        half_widths=(width * (1 + asymmetry), width * (1 - asymmetry)),
        lung_height=width * 1.78 + 0.9 * inspiration + normal(0, 0.8),
        # The chest wall in front and behind takes the rest of the body's depth.
        lung_depth=min(normal(15.0, 0.8), body_depth - 5.5),
        body_depth=body_depth,
        wall=2.0 + 0.6 * stout + abs(normal(0, 0.3)),
        breast=uniform(0.8, 3.0) if rng.random() < 0.5 else 0.0,
        arm_spread=uniform(1.0, 8.0),
        domes=(right_dome, right_dome - uniform(0.5, 1.8)),
        heart_size=normal(1.0, 0.08),
        heart_tilt=normal(0.65, 0.12),
        mediastinum=normal(2.7, 0.2),
        yaw=normal(0, 0.6),
        scoliosis=normal(0, 0.35),
        rib_drop=normal(10.5, 1.2),
        rib_radius=normal(0.62, 0.05),
        clavicle_height=normal(0, 0.8),
        stomach=uniform(1.0, 2.8) if rng.random() < 0.6 else 0.0,
        vessel_strength=uniform(0.7, 1.5),
        vessels=(_phases(rng), _phases(rng)),
        rib_wobble=tuple(normal(0, 0.13) for _ in range(RIBS)),
        tilt=normal(0, 0.035),
        shift=(normal(0, 0.7), normal(0.6, 0.9)),
        field=2 * width + uniform(5.0, 13.0) + 1.2 * stout,
    )


def _phases(rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(rng.uniform(0, 2 * np.pi, 12).tolist())


@dataclass(frozen=True, slots=True)
class Lung:
    """One lung of a patient on the image grid; all maps (size, size).

    side: -1 for the patient's right, +1 for the left. depth: cm of lung along the ray. across: 0
    on the midline, 1 at the lateral wall. down: 0 at the apex, 1 at the costophrenic angle; dome:
    cm below the diaphragm's dome (negative above it).
    """

    side: int
    depth: Map
    across: Map
    down: Map
    dome: Map


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A patient without finding, on the image grid. attenuation: the sum of mu * cm per ray."""

    x: Map
    y: Map
    attenuation: Map
    right: Lung
    left: Lung


def body_grid(patient: Patient, size: int) -> tuple[Map, Map]:
    """Body coordinates (cm) of the pixel centres, each (size, size)."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * patient.field
    col, row = line[None, :], line[:, None]
    cos, sin = math.cos(patient.tilt), math.sin(patient.tilt)
    x = cos * col + sin * row + patient.shift[0]
    y = -sin * col + cos * row + patient.shift[1]
    return x, y


def anatomy_of(patient: Patient, size: int) -> Anatomy:
    """Trace every ray through the patient. size: pixels along the square field's edge."""
    x, y = body_grid(patient, size)
    apex = -patient.lung_height / 2
    # Structures in front of the spine slide sideways when the patient is turned.
    front = x - patient.yaw
    spine = x - patient.scoliosis * np.sin(y / 8)

    core = _core_depth(patient, front, y, apex)
    right = _lung(patient, x, y, -1, core)
    left = _lung(patient, x, y, 1, core)
    lungs = right.depth + left.depth

    airway = _airway(front, y, apex)
    soft = _body_depth(patient, x, y, apex)
    gas = airway + _stomach_depth(patient, x, y)
    # Air displaces tissue and cannot be thicker than the body that holds it.
    soft = np.maximum(soft - (1 - LUNG_DENSITY) * lungs - gas, 0.15 * soft)
    soft += _vessels(patient, right, front, y, apex) + _vessels(patient, left, front, y, apex)
    bone = (
        _ribs(patient, x, y, apex)
        + _spine_depth(spine, y)
        + _clavicles(patient, front, y, apex)
        + _shoulder_bones(patient, x, y, apex)
    )
    attenuation = MU_SOFT * soft + MU_BONE_EXTRA * bone
    return Anatomy(x, y, attenuation, right, left)


def smooth_step(value: Map) -> Map:
    """0 below 0, 1 above 1, smooth between."""
    t: Map = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def chord(squared_distance: Map, radius: float) -> Map:
    """Length in cm of the ray inside a cylinder or sphere that it passes at a distance."""
    length: Map = 2 * np.sqrt(np.maximum(radius * radius - squared_distance, 0))
    return length


def _tube(squared_distance: Map, radius: float) -> Map:
    """A bone: a cortical shell around a core that attenuates half as much."""
    return chord(squared_distance, radius) - 0.5 * chord(squared_distance, 0.7 * radius)


def _segment(x: Map, y: Map, start: tuple[float, float], end: tuple[float, float]) -> Map:
    """Squared distance to the segment between two points."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.square(x - start[0] - along * dx) + np.square(y - start[1] - along * dy)


def _body_depth(p: Patient, x: Map, y: Map, apex: float) -> Map:
    """Soft tissue from skin to skin: torso, neck, shoulders, arms, breasts."""
    ax = np.abs(x)
    width = max(p.half_widths) + p.wall
    torso = p.body_depth * np.sqrt(np.maximum(1 - np.square(ax / width), 0))
    torso *= 0.45 + 0.55 * smooth_step((y - apex + 3) / 9)
    torso *= smooth_step((y - apex + 4.5 - 0.1 * ax) / 2.5)
    neck = 12 * np.sqrt(np.maximum(1 - np.square(ax / (4.9 + 0.25 * p.wall)), 0))
    neck *= 1 - smooth_step((y - apex - 2) / 6)
    shoulder = 13.5 * np.sqrt(np.clip((y - apex + 5 - 0.33 * ax) / 4, 0, 1))
    shoulder *= np.sqrt(np.maximum(1 - np.square(np.square(ax / (width + 7.5))), 0))
    shoulder *= 1 - smooth_step((y - apex - 4) / 10)
    arm_x = width + 3.0
    arms = chord(
        _segment(ax, y, (arm_x, apex + 4.0), (arm_x + p.arm_spread, apex + 27)), 3.6 + 0.6 * p.wall
    )
    # A soft maximum: where two parts overlap, the joint has no crease.
    joined = np.square(torso * torso) + np.square(neck * neck)
    joined += np.square(shoulder * shoulder) + np.square(arms * arms)
    depth: Map = np.sqrt(np.sqrt(joined))
    if p.breast:
        away = np.square((ax - 7.0) / 6.0) + np.square((y - 4.5) / 6.0)
        depth += p.breast * np.sqrt(np.maximum(1 - away, 0)) * (depth > 1)
    return depth


def _core_depth(p: Patient, x: Map, y: Map, apex: float) -> Map:
    """Mediastinum, great vessels and heart: what keeps lung out of the middle of the chest."""
    # Great vessels widen it above, the hila and the right atrium in the middle.
    flare = 0.6 * smooth_step((apex + 6.5 - y) / 4) + 0.5 * np.exp(-np.square(y - apex - 11) / 12)
    bulge = np.where(x < 0, flare + 0.25, flare - 0.15)
    core: Map = 15 * np.sqrt(np.maximum(1 - np.square(x / (p.mediastinum - 0.3 + bulge)), 0))
    knob = np.square(x - 2.3) + np.square(y - (apex + 6.2))
    trunk = np.square(x - 2.5) + np.square(y - (apex + 9.6))
    core += 2.2 * chord(knob, 1.75) + 1.3 * chord(trunk, 2.0)
    # Deep inspiration pulls the heart down and upright with the left diaphragm.
    size = p.heart_size
    rest = p.lung_height / 2 - p.domes[1] - 4.2 * size
    cos, sin = math.cos(p.heart_tilt), math.sin(p.heart_tilt)
    dx, dy = x - 1.9, y - rest
    long_axis = (cos * dx + sin * dy) / (6.6 * size)
    short_axis = (-sin * dx + cos * dy) / (5.1 * size)
    heart: Map = 11 * size * np.sqrt(np.maximum(1 - long_axis**2 - short_axis**2, 0))
    return core + heart


def _lung(p: Patient, x: Map, y: Map, side: int, core: Map) -> Lung:
    lateral = x * side
    width = p.half_widths[0 if side < 0 else 1]
    dome_height = p.domes[0 if side < 0 else 1]
    apex_x = 0.36 * width
    down = (y + p.lung_height / 2) / p.lung_height
    inside = np.clip(down, 0, 1)
    up = 1 - inside
    outer = apex_x + (width - apex_x) * np.sqrt(1 - up * up * np.sqrt(up))
    near_apex = 1 - np.minimum(inside / 0.16, 1)
    inner = apex_x * (1 - np.sqrt(1 - near_apex * near_apex))
    centre, half = (inner + outer) / 2, (outer - inner) / 2 + 1e-3
    u = np.abs((lateral - centre) / half)
    cavity = p.lung_depth * np.sqrt(np.maximum(1 - u * u * u, 0))
    cavity *= 0.45 + 0.55 * smooth_step(down / 0.4)
    cavity *= down > 0
    bend = (lateral - 0.42 * width) / width
    angle = p.lung_height / 2
    edge = angle - dome_height + np.where(bend > 0, np.float32(13.5), np.float32(5.0)) * bend * bend
    dome = y - edge
    # The dome is a sharp edge; behind it the posterior sulcus still holds some lung.
    cavity *= 0.86 * np.clip(1 - dome / 0.5, 0, 1) + 0.14 * np.clip(1 - dome / 5, 0, 1)
    return Lung(side, np.maximum(cavity - core, 0), lateral / (outer + 1e-3), down, dome)


def _airway(x: Map, y: Map, apex: float) -> Map:
    """Trachea and main bronchi: air in front of the spine."""
    carina = apex + 8.0
    trachea = chord(np.square(x - 0.15), 0.85) * (1 - smooth_step((y - carina + 0.3) / 0.6))
    right = chord(_segment(x, y, (0.0, carina), (-2.8, carina + 2.6)), 0.6)
    left = chord(_segment(x, y, (0.3, carina), (3.6, carina + 2.2)), 0.55)
    air: Map = np.maximum(np.maximum(trachea, right), left)
    return air


def _stomach_depth(p: Patient, x: Map, y: Map) -> Map:
    if not p.stomach:
        return np.zeros_like(x)
    top = p.lung_height / 2 - p.domes[1] + 0.7 + p.stomach * 0.7
    away = np.square((x - 6.0) / 1.5) + np.square((y - top) / 0.75)
    return chord(away, p.stomach)


def _vessels(p: Patient, lung: Lung, x: Map, y: Map, apex: float) -> Map:
    """Pulmonary vessels: streaks that leave the hilum, branch and thin out; with the hilum."""
    phases = p.vessels[0 if lung.side < 0 else 1]
    vascular = np.zeros_like(x)
    air = lung.depth > 0
    rows, cols = np.flatnonzero(air.any(axis=1)), np.flatnonzero(air.any(axis=0))
    if rows.size == 0:
        return vascular
    # Only the lung's own rectangle is computed: trigonometry is what costs most here.
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    dx = lung.side * x[box] - 3.6
    dy = y[box] - (apex + (10.3 if lung.side < 0 else 9.6))
    radius = np.sqrt(dx * dx + dy * dy) + 1e-3
    angle = np.arctan2(dy, dx + 0.5)
    streaks = np.zeros_like(dx)
    for i, waves in enumerate((7, 11, 16, 23)):
        bend = 0.05 * math.sin(phases[i + 4]) * radius + 0.12 * np.sin(radius * 0.9 + phases[i + 8])
        wave = np.cos(waves * (angle + bend) + phases[i])
        # Finer branches appear farther out, where their spacing equals that of the stems.
        reach = (radius - 1.6 * i) / 6.5
        near = np.maximum(1 - reach * reach, 0)
        streaks += np.maximum(wave - 0.45, 0) * near * near
    close = np.maximum(1 - np.square(dx + 0.4) / 10 - np.square(dy) / 18, 0)
    hilum = 1.7 * close * close
    in_lung = np.minimum(lung.depth[box] / 5, 1)
    vascular[box] = p.vessel_strength * (0.9 * streaks + hilum) * in_lung
    return vascular


def _ribs(p: Patient, x: Map, y: Map, apex: float) -> Map:
    """Ribs as tilted hoops: seen from the front, each is half an ellipse on either side.

    The upper branch is posterior, the lower anterior; the anterior ends in cartilage, which does
    not show. At the side the hoop runs along the ray and looks dense.
    """
    depth = np.zeros_like(x)
    ax = np.abs(x)
    wall = np.where(x < 0, np.float32(p.half_widths[0]), np.float32(p.half_widths[1])) + 0.1
    step = p.lung_height * 0.92 / RIBS
    for i in range(RIBS):
        share = (i + 0.4) / RIBS
        reach = 0.36 + 0.64 * math.sqrt(1 - (1 - min(share * 1.15, 1)) ** 2.4)
        half = p.rib_drop * (0.45 + 0.55 * min(share * 1.8, 1)) / 2
        top = apex - 0.9 + step * i + p.rib_wobble[i]
        near = (y > top - 1.5) & (y < top + 2 * half + 1.5)
        rows = np.flatnonzero(near.any(axis=1))
        if rows.size == 0:
            continue
        band = slice(rows[0], rows[-1] + 1)
        u = ax[band] / (wall[band] * reach)
        v = (y[band] - (top + half)) / half
        ring = np.sqrt(u * u + v * v) + 1e-4
        slope = np.sqrt(np.square(u / (wall[band] * reach)) + np.square(v / half)) / ring
        distance = (ring - 1) / (slope + 1e-4)
        tube = _tube(np.square(distance), p.rib_radius)
        tube *= 1 + 0.9 * np.square(u * u)
        posterior = smooth_step((ax[band] - 1.2) / 1.0)
        # The lower a rib, the farther to the side its cartilage begins.
        anterior = smooth_step((u - 0.40 - 0.045 * max(i - 4, 0)) / 0.2)
        depth[band] += tube * np.where(v < 0, posterior, 0.85 * anterior)
    return depth


def _spine_depth(x: Map, y: Map) -> Map:
    """Vertebral bodies with paler discs between them."""
    body = 2.9 * np.sqrt(np.maximum(1 - np.square(np.square(x / 2.0)), 0))
    disc = np.square(np.square(np.cos(y * (math.pi / 2.5))))
    process = 0.9 * chord(np.square(x) + np.square((np.mod(y + 0.6, 2.5) - 1.25) * 0.8), 0.55)
    column: Map = 0.36 * body * (1 - 0.45 * disc) + 0.6 * process
    return column


def _clavicles(p: Patient, x: Map, y: Map, apex: float) -> Map:
    depth = np.zeros_like(x)
    for side, width in zip((-1, 1), p.half_widths, strict=True):
        lateral = x * side
        along = (lateral - 1.6) / (width * 0.95)
        height = apex + 3.4 + p.clavicle_height - 2.6 * along - 0.9 * np.sin(along * (2 * math.pi))
        tube = _tube(np.square(y - height) * 0.85, 0.78)
        tube *= smooth_step((lateral - 1.5) / 0.5) * (1 - smooth_step((along - 1) / 0.05))
        depth += 1.15 * tube
    return depth


def _shoulder_bones(p: Patient, x: Map, y: Map, apex: float) -> Map:
    """Scapulae and humeri."""
    ax = np.abs(x)
    width = max(p.half_widths)
    joint = (width + p.wall + 2.0, apex + 3.0)
    away = np.square(ax - joint[0]) + np.square(y - joint[1])
    head = 0.55 * chord(away, 2.3)
    elbow = (joint[0] + 1.0 + p.arm_spread, apex + 27)
    shaft = _tube(_segment(ax, y, joint, elbow), 1.15)
    # The blade: a thin triangle between its medial border, its spine and its lateral border.
    medial = ax - (0.80 * width + 0.05 * (y - apex))
    lateral = (width + p.wall + 0.4) - ax - 0.28 * (y - apex - 3)
    upper = y - (apex + 1.2 + 0.2 * (width - ax))
    inside = np.minimum(np.minimum(medial, lateral), upper)
    blade = 0.3 * smooth_step(inside / 0.5) + 0.45 * np.exp(-np.square(inside - 0.25) / 0.06)
    bones: Map = np.maximum(head, shaft) + blade * (inside > -0.6)
    return bones
