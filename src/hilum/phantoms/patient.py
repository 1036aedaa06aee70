"""Who the embedded phantom shows: the natural variation between bodies and how they stand.

Lengths are in centimetres, angles in radians. The distributions are rounded adult values chosen
so that the pictures look right. They are not a measurement, and no conclusion about people can
rest on them.
"""

from dataclasses import dataclass

import numpy as np

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
