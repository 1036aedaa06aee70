"""Compiling the networks: that training goes through what torch.compile gives.

What it makes on a GPU needs one; on a CPU compiling takes minutes, so that it is stood in for.
"""

import torch

from hilum.training.run import train


def test_steps_go_through_the_compiled_network(spots, recipe, tmp_path, monkeypatch):
    plain = train(spots, recipe("epochs=1", "strategy=flat"), tmp_path / "plain")
    calls = []

    def stand_in(network):
        def forward(images):
            calls.append(len(images))
            return network(images)

        return forward

    monkeypatch.setattr(torch, "compile", stand_in)
    quick = recipe("epochs=1", "strategy=flat", "compile=true")
    compiled = train(spots, quick, tmp_path / "compiled")
    assert sum(calls) == len(spots.indices("train"))
    for one, other in zip(
        plain.networks["flat"].parameters(), compiled.networks["flat"].parameters(), strict=True
    ):
        assert torch.equal(one, other)
