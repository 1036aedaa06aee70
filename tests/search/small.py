"""A search on the data set of bright spots."""

import tomllib
from pathlib import Path
from typing import Any

from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe
from hilum.search.search import plan_search
from hilum.search.space import Space
from hilum.search.trials import Search
from tests.spots import write_spots
from tests.studies.small import RECIPE

SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": {"choices": [4, 8]},
}


def small_search(folder: Path, space: Any = SPACE, assignments: Any = (), **changes: Any) -> Search:
    recipe = Recipe.from_dict(tomllib.loads(RECIPE)).override(assignments)
    if not (folder / "spots").is_dir():
        write_spots(folder / "spots", {"train": 20, "val": 2, "test": 2})
    data = open_dataset(folder / "spots")
    return plan_search(recipe, data, Space.from_dict(space), **{"block_size": 1, **changes})
