"""The Kaggle pneumonia set, and the Mendeley archive that it was made of.

``chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}``; the names of the files say whether a
pneumonia is bacterial or viral, and which images are of one patient.

Source: Kermany et al. 2018, doi:10.1016/j.cell.2018.02.010; data doi:10.17632/rscbjbr9sj.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePath

from hilum.errors import DataError, Problems, plural
from hilum.radiographs.layouts.listing import (
    SPLITS,
    Found,
    Layout,
    Listing,
    no_images,
    subfolders,
    walk,
)

NORMAL, PNEUMONIA, BACTERIA, VIRUS = "NORMAL", "PNEUMONIA", "bacteria", "virus"

#: Kaggle names a pneumonia person12_virus_34.jpeg, Mendeley VIRUS-1000050-0001.jpeg; a normal
#: image is IM-0115-0001.jpeg, NORMAL2-IM-0123-0001.jpeg or NORMAL-1049278-0001.jpeg.
_PNEUMONIA = re.compile(
    r"(?P<kaggle>person\d+_(bacteria|virus))_\d+|(?P<mendeley>(BACTERIA|VIRUS)-\d+)-\d+",
    re.IGNORECASE,
)
_NORMAL = re.compile(r"((?:NORMAL\d*-)?IM-\d+|NORMAL-\d+)-\d+")


def _top(root: Path) -> Path:
    """The folder that holds the splits: root, or chest_xray in it."""
    inner = root / "chest_xray"
    return inner if inner.is_dir() and not (root / "train").is_dir() else root


def _matches(root: Path) -> bool:
    train = _top(root) / "train"
    if not (train / NORMAL).is_dir() or not (train / PNEUMONIA).is_dir():
        return False
    if {p.name for p in subfolders(train)} != {NORMAL, PNEUMONIA}:
        return False
    first = next((names[0] for _, names in walk(train / PNEUMONIA)), "")
    return bool(_PNEUMONIA.match(first))


def _read(root: Path) -> Listing:
    top = _top(root)
    found: list[Found] = []
    others: list[PurePath] = []
    problems = Problems(root)
    folders = {p.name: p for p in subfolders(top)}
    # Kaggle's archive holds a second copy of itself, as chest_xray/chest_xray.
    strange = sorted(set(folders) - {*SPLITS, "chest_xray"})
    if strange:
        raise DataError(
            f"{top}: the folder '{strange[0]}' stands beside the splits; expected "
            f"{', '.join(SPLITS)} only."
        )
    for split, folder in ((s, folders[s]) for s in SPLITS if s in folders):
        for directory, names in walk(folder, others):
            label = directory.relative_to(folder).parts
            for name in names:
                path = directory / name
                image = _image(path, split, label)
                if image is None:
                    problems.add(
                        "not named or placed as in the Kaggle pneumonia set "
                        "(NORMAL/IM-0115-0001.jpeg, PNEUMONIA/person12_virus_34.jpeg)",
                        "remove them, or read the folders alone with the layout 'split-folders'",
                        path.relative_to(root).as_posix(),
                        noun="image",
                    )
                else:
                    found.append(image)
    problems.check()
    left_out = no_images(others, root)
    return _with_usable_splits(Listing(root, LAYOUT.name, tuple(found), (), left_out))


def _image(path: Path, split: str, label: tuple[str, ...]) -> Found | None:
    if label == (NORMAL,):
        match = _NORMAL.match(path.name)
        return Found(path, split, (NORMAL,), match[1] if match else None)
    match = _PNEUMONIA.match(path.name)
    if label != (PNEUMONIA,) or match is None:
        return None
    # The number counts on its own among bacteria and viruses: person1 is two children.
    patient = match["kaggle"] or match["mendeley"]
    kind = BACTERIA if BACTERIA in patient.casefold() else VIRUS
    return Found(path, split, (PNEUMONIA, kind), patient)


def _with_usable_splits(listing: Listing) -> Listing:
    """The 16 images of Kaggle's val, which hold no viral pneumonia, are read as train."""
    counts = Counter((f.split, f.labels) for f in listing.found)
    classes = {f.labels for f in listing.found}
    n = sum(k for (split, _), k in counts.items() if split == "val")
    lacking = sorted("/".join(c) for c in classes if not counts["val", c])
    if not n or not lacking:
        return listing
    found = [
        Found(f.path, "train" if f.split == "val" else f.split, f.labels, f.group)
        for f in listing.found
    ]
    found.sort(key=lambda f: SPLITS.index(f.split))
    note = (
        f"val holds {plural(n, 'image')} and none of {', '.join(lacking)}, so nothing can be "
        "monitored on it: it is read as part of train. Hold blocks out of train instead, or "
        "make a split of your own."
    )
    return replace(listing, found=tuple(found), notes=(*listing.notes, note))


LAYOUT = Layout(
    name="kaggle-pneumonia",
    looks="chest_xray/train/NORMAL/… and PNEUMONIA/person1_virus_2.jpeg, and val, test likewise",
    names=("chest_xray",),
    matches=_matches,
    read=_read,
)
