"""Train COVINet the way the published notebooks do: what Hilum is measured against.

A Dataset that opens and decodes one file with Pillow per item, a DataLoader without workers,
float32, contiguous tensors, one-hot labels turned back with torch.max, accuracy as a mean over
batches, a checkpoint after every epoch. Uses nothing of Hilum. Run by bench_training.py.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

BATCH = 32
LEARNING_RATE = 1e-3
SIZE = 150  # height and width in pixels


class Radiographs(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Folders by label. An item is an image (1, 150, 150) in [0, 1] and its one-hot label."""

    def __init__(self, folder: Path) -> None:
        labels = sorted(p.name for p in folder.iterdir())
        one_hot = torch.eye(len(labels))
        self.items = [
            (path, one_hot[k])
            for k, label in enumerate(labels)
            for path in sorted((folder / label).iterdir())
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        path, label = self.items[index]
        with Image.open(path) as file:
            image = file if file.mode == "L" else file.convert("L")
            if image.size != (SIZE, SIZE):
                image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            pixels = torch.from_numpy(np.array(image, dtype=np.float32)) / 255
        return pixels.unsqueeze(0), label


class Net(nn.Module):
    """COVINet as it is usually written: the layers of hilum.networks.published, none in place."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.dropout = nn.Dropout2d(0.2)
        self.fc1 = nn.Linear(32 * 23 * 23, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.dropout(self.conv1(x)))
        x = functional.relu(self.conv2(x))
        x = self.dropout(functional.max_pool2d(x, 2))
        x = functional.relu(self.conv3(x))
        x = functional.relu(self.dropout(functional.avg_pool2d(x, 3)))
        logits: torch.Tensor = self.fc1(torch.flatten(x, 1))
        return logits


def train_once(data: Path, out: Path, *, epochs: int, seed: int) -> dict[str, Any]:
    """Train on data/train, look at data/val after every epoch, leave out/checkpoint.pt."""
    torch.manual_seed(seed)
    began = time.perf_counter()
    train_set, val_set = Radiographs(data / "train"), Radiographs(data / "val")
    train_loader = DataLoader(train_set, batch_size=BATCH, shuffle=True, num_workers=0)
    val_loader = DataLoader(val_set, batch_size=BATCH, num_workers=0)
    net = Net(outputs=len(train_set.items[0][1]))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    losses: list[dict[str, float]] = []
    for epoch in range(1, epochs + 1):
        sums = {"train": 0.0, "val": 0.0}
        accuracies: dict[str, list[float]] = {"train": [], "val": []}
        net.train()
        for images, one_hot in train_loader:
            target = torch.max(one_hot, 1)[1]
            optimizer.zero_grad()
            logits = net(images)
            loss = criterion(logits, target)
            loss.backward()
            optimizer.step()
            sums["train"] += loss.item() * len(images)
            accuracies["train"].append(_accuracy(logits, target))
        net.eval()
        with torch.no_grad():
            for images, one_hot in val_loader:
                target = torch.max(one_hot, 1)[1]
                logits = net(images)
                sums["val"] += criterion(logits, target).item() * len(images)
                accuracies["val"].append(_accuracy(logits, target))
        losses.append({"train": sums["train"] / len(train_set), "val": sums["val"] / len(val_set)})
        torch.save(
            {
                "epochs": epoch,
                "model_state_dict": net.state_dict(),
                "optimizer_state_dict": optimizer.state_dict(),
                "train_loss": losses[-1]["train"],
                "training_accuracy": sum(accuracies["train"]) / len(accuracies["train"]),
                "test_loss": losses[-1]["val"],
                "test_accuracy": sum(accuracies["val"]) / len(accuracies["val"]),
            },
            out / "checkpoint.pt",
        )
    return {
        "seconds": time.perf_counter() - began,
        "images": len(train_set) * epochs,
        "loss": losses,
        "ru_maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def _accuracy(logits: torch.Tensor, target: torch.Tensor) -> float:
    return (torch.max(logits, 1)[1] == target).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Called by bench_training.py.")
    parser.add_argument("--worker", type=Path, required=True, metavar="OUT")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    result = train_once(options.data, options.worker, epochs=options.epochs, seed=options.seed)
    (options.worker / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
