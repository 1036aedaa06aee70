"""hilum explain: why does a classifier decide as it does?"""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Device, Json, Layout, SkipDamaged, Trained, open_data

EXAMPLE = "hilum explain runs/first image.png folder/ --out explained --data DATA"


def explain(
    classifier: Trained,
    images: Annotated[list[Path], typer.Argument(help="Image files and folders of them.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the pictures, explanation.json and index.html.")
    ] = Path("explanation"),
    method: Annotated[
        str | None,
        typer.Option(
            help="Attributions, comma-separated, such as gradcam,ig,occlusion. "
            "[dim]Default: all.[/dim]"
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Layer of the feature maps and of Grad-CAM. "
            "[dim]Default: the last convolution.[/dim]"
        ),
    ] = None,
    decision: Annotated[
        str | None,
        typer.Option(
            help="Explain this decision or finding only. [dim]Default: all on the way to the "
            "class, and what is called present.[/dim]"
        ),
    ] = None,
    pair: Annotated[
        bool, typer.Option(help="Set the feature maps of two images side by side.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The classifier's data: nearest training images, comparisons for errors, and, "
            "of phantoms or with boxes, how well the maps find the findings."
        ),
    ] = None,
    sanity: Annotated[
        bool, typer.Option(help="Check that the maps depend on what was learned. Takes a while.")
    ] = False,
    layout: Layout = None,
    skip_damaged: SkipDamaged = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Explain radiographs: attributions, feature maps, and how far to trust them."""
    from hilum.classifier.classifier import Classifier
    from hilum.explanation.attribution import METHODS
    from hilum.explanation.explain import EXPLANATION_FILE
    from hilum.explanation.explain import explain as run_explanation
    from hilum.explanation.localisation import localisation_table, say_unmeasured
    from hilum.reporting.explain_page import write_explanation_page

    model = Classifier.load(classifier, device=device or "auto")
    with console.progress_bar() as progress:
        dataset = None
        if data:
            dataset = open_data(
                data,
                tree=model.tree,
                layout=layout,
                skip_damaged=skip_damaged,
                progress=progress,
            )
        found = run_explanation(
            model,
            images,
            out,
            methods=METHODS
            if method is None
            else [name.strip() for name in method.split(",") if name.strip()],
            layer=layer,
            decision=decision,
            pair=pair,
            dataset=dataset,
            sanity=sanity,
            progress=progress,
        )
    page = write_explanation_page(found, out / "index.html")
    if as_json:
        beside = {"reading": dataset.reading()} if dataset else {}
        console.print_json(found, **beside)
        return
    odd = sum(i.is_odd for i in found.images)
    console.print_table(
        "Explained: research software, not a diagnosis",
        ["image", "truth", "predicted", "pictures", *(["referral"] if odd else [])],
        [
            [i.name, i.truth or None, "" if i.is_odd else i.called, len(i.pictures)]
            + ([i.referral] if odd else [])
            for i in found.images
        ],
    )
    console.say_odd(odd, len(found.images), "what their pictures show")
    if any(score.measured for score in found.localisation):
        table = localisation_table(
            "Do the maps find the findings? With 95 % intervals", found.localisation
        )
        console.print_table(table.caption, table.columns, table.rows)
    console.print_lines(*say_unmeasured(found.localisation))
    if found.sanity:
        console.print_table(
            "Do the maps depend on what was learned? Similarity to maps of random weights",
            ["method", "decision", "similarity", "verdict"],
            [[s.method, s.decision, s.final, s.verdict] for s in found.sanity],
        )
    notes = (f"Note: {note}" for note in found.notes)
    console.print_lines(*notes, f"Written: {page}, {out / EXPLANATION_FILE}")
