"""Work on a search in a process of its own, as another machine would.

Usage: search_worker.py FOLDER OUT URL TRIALS, where FOLDER holds the data in spots/.
"""

import sys
from pathlib import Path

from hilum.search.search import run_search
from tests.search.small import small_search

if __name__ == "__main__":
    folder, out = map(Path, sys.argv[1:3])
    run_search(small_search(folder), out, storage=sys.argv[3], trials=int(sys.argv[4]))
