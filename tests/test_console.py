"""What a terminal is shown: sentences, commands, and the table of a training."""

from pathlib import Path

import pytest

from hilum.console import Trained, print_write_up, shown, wrapped
from hilum.evaluation.evaluate import evaluate
from hilum.pipeline import WriteUp
from hilum.radiographs.dataset import open_dataset
from tests.marked import TREES, write_marked
from tests.untrained import untrained


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("", [""]),
        ("a\x1b[2J\rb\u202ec\td", [r"a\x1b[2J\rb\u202ec", "d"]),
        ("  → words that are wrapped", ["  → words that are", "    wrapped"]),
        ("one\n  - two words and more", ["one", "  - two words and", "    more"]),
        ("see /a/path/that/is/long/enough now", ["see", "/a/path/that/is/long/enough", "now"]),
        (
            "  hilum train my data --out runs/x --resume",
            ["  hilum train my data --out runs/x --resume"],
        ),
        ("Go on with it: hilum serve the run", ["Go on with", "it: hilum serve the run"]),
        (
            "It needs pip install 'hilum[onnx]' first",
            ["It needs", "pip install 'hilum[onnx]'", "first"],
        ),
    ],
)
def test_sentences_are_wrapped_and_what_may_be_copied_is_not(text: str, lines: list[str]) -> None:
    assert wrapped(shown(text), 20).split("\n") == lines


def test_the_table_of_a_training_has_a_line_for_each_decision() -> None:
    training = Trained()
    for decision, epoch, now in (("root", 1, 10.0), ("root", 2, 40.0), ("infected", 1, 60.0)):
        training.add(
            {
                "decision": decision, "epoch": epoch, "epochs": 12,
                "train_loss": 0.5, "train_accuracy": 0.75,
                "monitor_loss": None, "monitor_accuracy": None,
                "learning_rate": 0.1, "seconds": 10.0, "images_per_second": 123.4,
            },
            now,
        )  # fmt: skip
    assert training.text(80).splitlines()[2:] == [
        "          epoch   loss  accuracy       loss   accuracy  images/s        left",
        "root       2/12  0.500     0.750          —          —       123           —",
        "infected   1/12  0.500     0.750          —          —       123  1 min 50 s",
    ]


@pytest.mark.parametrize("tree", TREES)
def test_what_was_held_out_is_told_of_classes_and_of_findings(
    tree: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = open_dataset(write_marked(tmp_path / "data", {"train": 8, "val": 12}), tree=tree)
    evaluation = evaluate(untrained(dataset), dataset, "val")
    print_write_up(WriteUp(Path("report.html"), (Path("run"),), "val", {"run": evaluation}, ()), "")
    said = capsys.readouterr().out
    chooses, findings = bool(dataset.tree.decisions), bool(dataset.tree.findings)
    assert ("\naccuracy " in said, "recall of normal" in said) == (chooses, chooses)
    assert ("AUROC, mean over findings" in said, "\nFindings\n" in said) == (findings, findings)
    assert "root" not in said
