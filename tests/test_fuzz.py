"""A few damaged files for the readers that are quick; scripts/fuzz.py gives all of them more."""

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz.py"


def test_damaged_files_are_read_or_refused(tmp_path: Path, python: str) -> None:
    quick = "picture,dicom,npz,manifest,settings,archive,form"
    arguments = [
        "--inputs",
        "300",
        "--seed",
        "5",
        "--only",
        quick,
        "--keep",
        str(tmp_path / "found"),
    ]

    done = subprocess.run([python, SCRIPT, *arguments], capture_output=True, text=True, check=False)

    assert done.stdout == "300 inputs, 0 findings, seed 5\n"
    assert not (tmp_path / "found").exists()
