"""Images of which several findings are told: for tests over classes, findings, and both."""

from pathlib import Path

import numpy as np
from PIL import Image

#: The same images read as classes (those with one label), as findings, and as both.
TREES = ("normal, bar, dot", "{bar, dot}", "normal, abnormal{bar, dot}")


def write_marked(root: Path, counts: dict[str, int], seed: int = 0, size: int = 32) -> Path:
    """Of every split so many images; in turn none, bar, dot and both, two of each patient."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True)
    lines = ["path,label,split,patient_id"]
    for split, n in counts.items():
        for i in range(n):
            image = rng.integers(60, 120, (size, size))
            labels = ["bar"] * (i % 4 in (1, 3)) + ["dot"] * (i % 4 in (2, 3))
            if "bar" in labels:
                image[4:8, 2:28] += 100
            if "dot" in labels:
                image[20:26, 20:26] += 100
            Image.fromarray(image.astype(np.uint8)).save(root / f"{split}{i}.png")
            told = "|".join(labels) or "normal"
            lines.append(f"{split}{i}.png,{told},{split},{split}-{i // 2}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root
