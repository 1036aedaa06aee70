"""Run every published experiment as a study, and write docs/reproduction.md from what came out.

``make reproduction DATA=folder`` calls this. Runs that are there already are used again, so that
it can be stopped at any time and started again.
"""

import argparse
import sys
from pathlib import Path

from hilum.cli.study import study
from hilum.errors import HilumError, Interrupted
from hilum.process import own_process

DOCUMENT = Path(__file__).parents[1] / "docs" / "reproduction.md"


def main() -> None:
    """Read the arguments, run the studies, write the document."""
    parser = argparse.ArgumentParser(description="Run every published experiment as a study.")
    parser.add_argument("data", type=Path, help="folder of radiographs")
    parser.add_argument("--out", type=Path, default=Path("studies"), help="folder for studies")
    parser.add_argument("--jobs", type=int, default=1, help="runs that train at once")
    parser.add_argument("--device", help="auto, cpu, cuda, …; default: the recipes'")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="the file to write")
    given = parser.parse_args()
    own_process()
    from hilum.reporting.study.reproduction import write_reproduction
    from hilum.studies.published import published_names
    from hilum.studies.results import read_study

    try:
        for name in published_names():
            study(name, given.data, out=given.out, jobs=given.jobs, device=given.device)
        results = [read_study(given.out / name) for name in published_names()]
        sys.stdout.write(f"Document: {write_reproduction(results, given.document)}\n")
    except HilumError as error:
        sys.stderr.write(f"reproduce: {error}\n")
        sys.exit(130 if isinstance(error, Interrupted) else 2)


if __name__ == "__main__":  # worker processes import this file
    main()
