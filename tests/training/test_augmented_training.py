"""What augmentation does to a training run. That it resumes bit for bit: test_resume.py."""

from typing import Any

import torch

from hilum.training.folder import read_history
from hilum.training.run import train


def test_changed_images_teach_the_same(tmp_path, spots, recipe):
    quick = recipe(
        "strategy=flat", "epochs=25", "learning_rate=0.01", "augmentation.rotate=3",
        "augmentation.noise=0.02", "augmentation.gamma=0.2", "augmentation.mixup=0.2",
    )  # fmt: skip
    classifier = train(spots, quick, tmp_path / "run")
    rows = read_history(tmp_path / "run/history.jsonl")
    assert rows[-1]["train_accuracy"] > 0.8
    val = spots.indices("val")
    pixels = spots.pixels(classifier.preprocessing)[val]
    predicted = classifier.predict_pixels(pixels).predicted
    assert (predicted == spots.labels[val]).mean() > 0.8


def test_mirroring_is_noted_where_it_is_switched_on(tmp_path, spots, recipe):
    quick = recipe("epochs=1", "decision.infected.augmentation.mirror=true")
    train(spots, quick, tmp_path / "run")
    lines = (tmp_path / "run/log.txt").read_text().splitlines()
    noted = [line for line in lines if "sides of the heart" in line]
    assert len(noted) == 1
    assert "infected: augmentation.mirror" in noted[0]


def test_the_batch_size_does_not_change_what_a_sample_looks_like(
    tmp_path, spots, recipe, monkeypatch
):
    from hilum.training import step

    seen: dict[Any, Any] = {}
    coming: list[int] = []  # of an epoch, in the order in which they are changed

    def spy_draw(doses, size, *, seed, epoch, indices):
        coming[:] = indices.tolist()
        return draw(doses, size, seed=seed, epoch=epoch, indices=indices)

    def spy_apply(pixels, doses, changes):
        after = apply(pixels, doses, changes)
        for image in after:
            seen.setdefault(coming.pop(0), []).append(image.clone())
        return after

    draw, apply = (vars(step)[name] for name in ("draw_changes", "apply_changes"))
    monkeypatch.setattr(step, "draw_changes", spy_draw)
    monkeypatch.setattr(step, "apply_changes", spy_apply)
    for size in (8, 5):
        quick = recipe("strategy=flat", "epochs=1", "augmentation=full", f"batch_size={size}")
        train(spots, quick, tmp_path / str(size))

    assert len(seen) == 36
    for first, second in seen.values():
        assert torch.equal(first, second)
