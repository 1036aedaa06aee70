"""hilum cache: what is kept of your data, and clearing it."""

from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Json

EXAMPLE = "hilum cache · hilum cache --clear"


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all but the salts that is in no use.")
    ] = False,
    salts: Annotated[
        bool,
        typer.Option(
            "--salts",
            help="With --clear: remove them, too. Patients of DICOM files then get other names.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what the cache holds: decoded pixels and the like, which are made anew when missing."""
    from hilum.errors import DataError
    from hilum.radiographs.cache import cache_folder
    from hilum.radiographs.kept import cache_contents, cache_limit, clear_cache
    from hilum.table import Column
    from hilum.wording import Style

    if salts and not clear:
        raise DataError("--salts says what to clear: give it with --clear.")
    limit, folder = cache_limit(), cache_folder()
    used = clear_cache(salts=salts) if clear else []
    found = cache_contents()
    if as_json:
        console.print_json(
            {"folder": folder, "limit": limit, "contents": found, "in_use": list(map(str, used))}
        )
        return
    size = Column("MB", style=Style(1, 1e-6))
    console.print_table(
        f"{folder}, {'cleared' if clear else 'the cache'}",
        ["folder", "holds", "files", size],
        [[kept.folder, kept.holds, kept.files, float(kept.bytes)] for kept in found],
    )
    if used:
        console.say(f"{len(used)} files stay, because a process uses them.")
    most = "no limit" if limit is None else f"at most {limit / 1e9:g} GB"
    console.say(f"Limit: {most}, the oldest unused removed first (HILUM_CACHE_LIMIT).")
