"""The command line: a module per verb, each one call into the library; parsing and printing only.

A verb imports what it needs when it runs, so that ``hilum --help`` answers at once.
"""

import inspect
import os
import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand

from hilum import console
from hilum.errors import HilumError, Interrupted
from hilum.files import check_there
from hilum.process import own_process
from hilum.stores import on_disk

__all__ = ["main", "study"]  # main begins all verbs; scripts/reproduce.py runs study alone

app = typer.Typer(
    name="hilum",
    help="From a folder of chest radiographs to a classifier that says how far it can be trusted.",
    epilog="Research software: not a medical device. Try first: hilum demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from hilum import __version__

        console.print_lines(f"hilum {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (in any place).")
    ] = False,
) -> None:
    pass  # both are acted on before a verb runs


#: In the order of --help. A verb is the function of its name in the module of its name, which also
#: holds its EXAMPLE; "_" follows what is a keyword of Python. One of several steps is a typer.Typer
#: of them in the place of the function.
VERBS = (
    "demo", "get", "audit", "split", "train", "evaluate", "calibrate", "explain", "compare",
    "judge", "runs", "report", "predict", "watch", "export", "capsule", "serve", "study", "search",
    "models", "import_", "cache",
)  # fmt: skip


class _Verb(TyperCommand):
    """A verb, whose data and classifier may be URLs, and whose other paths are this machine's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises BadParameter for an empty path, which pathlib takes for the working folder."""
        words = self.make_parser(ctx).parse_args(list(args))[0]
        rest: list[str] = super().parse_args(ctx, args)
        for param in self.params:
            word, value = words.get(param.name), ctx.params.get(param.name)
            paths = value if isinstance(value, list | tuple) else [value]
            empty = word == "" or (isinstance(word, list | tuple) and "" in word)
            if empty and any(isinstance(path, Path) for path in paths):
                said = "the path is empty; '.' is the working folder."
                raise typer.BadParameter(said, ctx=ctx, param=cast(Any, param))
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Raises DataError for others, and for a classifier or data that are not there."""
        for name, value in ctx.params.items():
            if not isinstance(value, Path):
                continue
            if name not in ("data", "classifier"):
                on_disk(value)
            elif ":/" not in str(value):  # no URL
                check_there(value)  # before a verb takes seconds to load what it needs
        return super().invoke(ctx)


def _help(action: Callable[..., None]) -> str:
    """What a verb says it does, a line to each paragraph, which a terminal of any width wraps."""
    paragraphs = (inspect.getdoc(action) or "").split("\n\n")
    return "\n\n".join(text.replace("\n", " ") for text in paragraphs)


for _verb in VERBS:
    _module = import_module(f"hilum.cli.{_verb}")
    _epilog = f"[bold]Example[/bold]: {_module.EXAMPLE}"
    _action = getattr(_module, _verb)
    if isinstance(_action, typer.Typer):
        app.add_typer(_action, name=_verb, epilog=_epilog)
        for _step in _action.registered_commands:
            _step.cls = _Verb
            _step.help = _step.callback and _help(_step.callback)
    else:
        app.command(_verb.rstrip("_"), help=_help(_action), epilog=_epilog, cls=_Verb)(_action)


#: What ends a verb and is no fault of the program; the library could not foresee where it comes.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (OSError, "cannot be read or written ({reason})."),
    (RecursionError, "is nested too deep to be read."),
    (MemoryError, "needs more memory than there is."),
    (pickle.UnpicklingError, "is refused: reading it would run code from the file."),
)


def _in_words(error: Exception) -> str:
    """A sentence with the name of the file, or with those on the command line where it has none."""
    names = [getattr(error, name, None) for name in ("filename", "filename2")]
    files = [os.fsdecode(name) for name in names if isinstance(name, str | bytes)]
    files = files or [given for given in sys.argv[2:] if Path(given).exists()]
    sentence = next(sentence for kind, sentence in _REASONS if isinstance(error, kind))
    reason = getattr(error, "strerror", None) or error
    where = " and ".join(files) or "What was given"
    return f"{where}: {sentence.format(reason=reason)} With --debug it is shown where."


_INTERRUPTED = 130  # exit code after Ctrl-C


#: What typer raises of words that it does not understand. It does not name the class itself, which
#: is one of Click's, or of its own copy of that.
_USAGE: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError"
)


def _misunderstood(error: Any) -> str:
    """What is wrong with a command line, and where it says how it should be."""
    said = error.ctx.command_path.split() if error.ctx else ["hilum"]
    words = error.format_message() or "Missing command"
    words += "" if words.endswith((".", "?")) else "."
    return f"{words} See: {console.command(*said, '--help')}"


def main(interrupted: Callable[[], bool] = lambda: False) -> None:
    """Run the command line. Exit codes: 0 done, 1 some files failed, 2 refused, 3 an alarm of
    `hilum watch`, 130 interrupted.

    interrupted: whether Ctrl-C was pressed, of which libraries make other errors while they load.
    """
    debug = "--debug" in sys.argv
    sys.argv = [a for a in sys.argv if a != "--debug"]
    sys.argv += [] if sys.argv[1:] else ["--help"]
    own_process()
    try:
        # not standalone: typer would end the process by itself, and say what is wrong its own way
        code = app(prog_name="hilum", standalone_mode=False) or 0
        if code == _INTERRUPTED:  # what typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
        sys.exit(code)
    except _USAGE as error:
        console.refuse(_misunderstood(error))
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        console.refuse("Interrupted.")
        sys.exit(_INTERRUPTED)
    except Exception as error:
        if interrupted() and not isinstance(error, Interrupted):
            console.refuse("Interrupted.")
            sys.exit(_INTERRUPTED)
        if debug or not isinstance(error, (HilumError, *(kind for kind, _ in _REASONS))):
            raise
        if not (isinstance(error, HilumError) and error.told):
            console.refuse(str(error) if isinstance(error, HilumError) else _in_words(error))
        sys.exit(_INTERRUPTED if isinstance(error, Interrupted) else 2)
    finally:
        console.finish()
