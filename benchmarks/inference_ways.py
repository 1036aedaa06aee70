"""The ways to classify that bench_inference.py compares, each at work in a process of its own."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def work(way: str, classifier: Path, scratch: Path, images: int) -> None:
    """Answer orders from standard input, a line of JSON each, until it ends."""
    files = sorted((scratch / "files").iterdir())
    chosen = [files[k * len(files) // images] for k in range(images)]  # twice, if there are fewer
    of_files, of_decoded, fill_table = (_plain if way == "plain" else _hilum)(way, classifier)

    def answer(what: str, batch: int = 0, out: str = "") -> Any:
        if what == "say":
            return of_files(chosen[:32])
        if what == "folder":
            began = time.perf_counter()
            done = fill_table(scratch / "files", scratch / out)
            return {"images": done, "seconds": time.perf_counter() - began}
        decode, classify = of_decoded
        given = decode(chosen) if what == "decoded" else chosen
        call = classify if what == "decoded" else of_files
        seconds = []
        for start in range(0, images, batch):
            part = given[start : start + batch]
            began = time.perf_counter()
            call(part)
            seconds.append(time.perf_counter() - began)
        return seconds

    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)


#: Of a way: what files are; how they are decoded, and what decoded images are; and, of Hilum, how
#: many radiographs below a folder it wrote to a table. Probabilities are a list for each network.
Way = tuple[Callable[[Any], Any], tuple[Callable[[Any], Any], Callable[[Any], Any]], Any]


def _plain(_: str, folder: Path) -> Way:
    import notebook_inference as notebook
    import torch

    from hilum.classifier.classifier import Classifier

    model = Classifier.load(folder, device="cpu")
    networks = notebook.create_networks([n.state_dict() for n in model.networks.values()])

    def decode(paths: Sequence[Path]) -> torch.Tensor:
        return torch.stack([notebook.read(path) for path in paths])

    def classify(images: torch.Tensor) -> list[Any]:
        return [probs.tolist() for probs in notebook.classify(networks, images)]

    return lambda paths: classify(decode(paths)), (decode, classify), None


def _hilum(way: str, folder: Path) -> Way:
    from hilum.process import own_process

    own_process()  # before PyTorch is imported, as the command line does
    from hilum.classifier.classifier import Classifier
    from hilum.exporting.runtime import run_by_onnx
    from hilum.prediction.predict import predict_files
    from hilum.radiographs.image import read_radiograph

    model = Classifier.load(folder, device="cpu")
    run = run_by_onnx(model) if way == "onnx" else model

    def decode(paths: Sequence[Path]) -> Any:
        return np.stack([model.preprocessing.to_pixels(read_radiograph(path)) for path in paths])

    def said(found: Any) -> list[Any]:
        return [found.decision_probs[d.name].tolist() for d in model.tree.decisions]

    def fill_table(files: Path, out: Path) -> int:
        classify = run.predict_pixels
        return predict_files(model, [str(files)], out, classify=classify, runtime=way).images

    return (
        lambda paths: said(run.predict(paths)),
        (decode, lambda pixels: said(run.predict_pixels(pixels))),
        fill_table,
    )
