"""hilum models: what networks there are, and their layers."""

from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Json

OTHERS = (
    "A network may also be your own ('module:Class'), or a package's where that is installed "
    "(monai:, torchvision:, timm:, xrv:): see docs/networks.md."
)
EXAMPLE = "hilum models · hilum models covinet --image-size 150"


def models(
    name: Annotated[str | None, typer.Argument(help="A network, for its layer table.")] = None,
    image_size: Annotated[int, typer.Option(help="Height and width in pixels.", min=1)] = 150,
    outputs: Annotated[int, typer.Option(help="How many options it decides between.", min=2)] = 2,
    batch: Annotated[int, typer.Option(help="Batch size, for the memory.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """List the networks, or show the layers of one."""
    from hilum.codec import to_plain
    from hilum.networks.registry import create_network_to_load, describe_network, network_names
    from hilum.networks.summary import Summary, summarise
    from hilum.table import Column
    from hilum.wording import Style

    size = (image_size, image_size)

    def summary_of(network: str, batch: int = 1) -> Summary:
        # as if to load weights: published ones need not be installed for a table of layers
        made = create_network_to_load(network, outputs=outputs, image_size=size, allow_code=True)
        return summarise(made, size, batch)

    if name is None:
        found = {n: summary_of(n) for n in network_names()}
        keys = ("name", "parameters", "multiply_adds", "about")
        rows = [
            (n, s.total_parameters, s.multiply_adds, describe_network(n)) for n, s in found.items()
        ]
        if as_json:
            console.print_json([dict(zip(keys, row, strict=True)) for row in rows])
            return
        console.print_table(
            f"Networks, with {outputs} outputs at {image_size} x {image_size}",
            ["name", "parameters", "multiply-adds", "about"],
            rows,
        )
        console.print_lines(OTHERS)
        return
    summary = summary_of(name, batch)
    if as_json:
        console.print_json({"name": name, "about": describe_network(name), **to_plain(summary)})
        return
    console.print_table(
        f"{name}: {describe_network(name)}",
        ["layer", "name", "output shape", "parameters", "multiply-adds"],
        [
            [r.layer, r.name, " x ".join(map(str, r.output_shape)), r.parameters, r.multiply_adds]
            for r in summary.rows
        ],
    )
    totals = {
        "parameters": summary.total_parameters,
        "trainable parameters": summary.trainable_parameters,
        "multiply-adds": summary.multiply_adds,
        "input (MB)": summary.input_mb,
        "forward and backward (MB)": summary.forward_backward_mb,
        "parameters (MB)": summary.parameters_mb,
        "estimated total (MB)": summary.total_mb,
    }
    console.print_table("Totals", ["", Column("value", style=Style(2))], list(totals.items()))
