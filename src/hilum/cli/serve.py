"""hilum serve: a classifier behind a web page and an API."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Device, Runtime, Trained

EXAMPLE = "hilum serve runs/first"


def serve(
    classifier: Trained,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="A file with the token that requests must carry as their bearer token."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Pages of this origin may ask from a browser, too, such as "
            "https://viewer.example; may be repeated."
        ),
    ] = None,
    runtime: Runtime = "auto",
    max_bytes: Annotated[
        int | None,
        typer.Option(
            help="The most bytes that one request may send. [dim]Default: 64 MiB.[/dim]",
            min=1,
        ),
    ] = None,
    max_files: Annotated[
        int | None,
        typer.Option(help="The most files in one request. [dim]Default: 16.[/dim]", min=1, max=64),
    ] = None,
    device: Device = None,
) -> None:
    """Serve a classifier to a browser and to programs, until Ctrl-C.

    The page is at /, the API is described at /docs and, for programs, at /openapi.json. Nothing
    that is sent is stored or logged.
    """
    from hilum.exporting.runtime import load_to_run
    from hilum.serving.access import check_origin, read_token
    from hilum.serving.app import create_app
    from hilum.serving.limits import Limits
    from hilum.serving.run import open_socket
    from hilum.serving.run import serve as run

    given = {"bytes": max_bytes, "files": max_files}
    chosen = {name: value for name, value in given.items() if value is not None}
    chosen["held_bytes"] = max(Limits().held_bytes, chosen.get("bytes", 0))
    limits = Limits(**chosen)
    token = None if token_file is None else read_token(token_file)
    origins = [check_origin(origin) for origin in allow_origin or ()]
    with open_socket(host, port, token) as listening:  # refused before anything takes long
        _, app, _ = load_to_run(
            classifier,
            runtime,
            device,
            lambda model, kind: create_app(
                model, token=token, limits=limits, runtime=kind, origins=origins
            ),
            say=console.say,
        )
        shown = f"[{host}]" if ":" in host else host
        console.say(
            f"Serving {classifier} at http://{shown}:{listening.getsockname()[1]} "
            "(research software, not a diagnosis; Ctrl-C stops)"
        )
        run(app, listening)
