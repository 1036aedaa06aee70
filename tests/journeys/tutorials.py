"""The tutorials as they stand: every command and every snippet of a page, in order."""

import re
import shlex
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from hilum import cli

ROOT = Path(__file__).parents[2]
#: What the tests add to a verb's command, so that it takes seconds.
SMALL = {
    "train": ["--set", "image_size=32", "--set", "epochs=3", "--set", "passes=0",
              "--device", "cpu"],
    "predict": ["--runtime", "torch"],
    "serve": ["--runtime", "torch", "--device", "cpu", "--port", "0"],
}  # fmt: skip
#: Where `hilum serve` listens, as pages tell it.
ADDRESS = "http://127.0.0.1:8000"


@dataclass
class Step:
    """A command or a snippet of a page, and what it printed; of `hilum serve`, /v1/classifier."""

    text: str
    out: str
    err: str = ""


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text. What is fenced as text is not run."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.S | re.M)
    return [(language, text) for language, text in found if language != "text"]


def follow(name: str, folder: Path) -> list[Step]:
    """Do what docs/tutorials/NAME.md says, in a folder; what every step printed.

    Blocks without a language are commands, python is run in one namespace, and each line of
    what is shown has to be in what the step before it printed, but for its numbers.
    """
    steps: list[Step] = []
    namespace: dict[str, Any] = {}
    servers: list[str] = []
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for language, text in blocks(ROOT / "docs/tutorials" / f"{name}.md"):
            if language == "shown":
                printed = _plain(steps[-1].out + steps[-1].err)
                for line in text.splitlines():
                    assert _plain(line) in printed, f"{steps[-1].text}: {line}"
                continue
            assert language in ("", "python"), f"{name}.md has a block of '{language}'"
            for part in [text] if language else text.splitlines():
                url = servers[-1] if servers else ADDRESS
                given = part.replace(ADDRESS, url)
                if language:
                    steps.append(_snippet(given, namespace))
                elif part.startswith("hilum serve "):
                    servers.append(stack.enter_context(_Server(part)).url)
                    with urllib.request.urlopen(f"{servers[-1]}/v1/classifier") as answer:
                        steps.append(Step(part, answer.read().decode()))
                elif part.startswith("hilum "):
                    steps.append(_verb(given, patch))
                else:
                    assert part.startswith("curl "), f"{name}.md: nobody runs '{part}'"
                    done = subprocess.run(
                        shlex.split(given), capture_output=True, text=True, check=True
                    )
                    steps.append(Step(part, done.stdout, done.stderr))
    return steps


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\d+", "#", text).split())


def _snippet(text: str, namespace: dict[str, Any]) -> Step:
    with redirect_stdout(StringIO()) as out:
        exec(text, namespace)
    return Step(text, out.getvalue())


def _verb(line: str, patch: pytest.MonkeyPatch) -> Step:
    words = shlex.split(line)
    patch.setattr(sys, "argv", [*words, *SMALL.get(words[1], [])])
    code: Any = 0
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
    assert code == 0, f"{line} ends with {code}: {err.getvalue()}"
    return Step(line, out.getvalue(), err.getvalue())


class _Server:
    """`hilum serve` in a process of its own, stopped as Ctrl-C would."""

    def __init__(self, line: str) -> None:
        words = [sys.executable, "-m", *shlex.split(line), *SMALL["serve"]]
        self._process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> "_Server":
        assert self._process.stderr is not None
        (self.url,) = re.findall(r"http://[\w.:]+", self._process.stderr.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()
        assert self._process.returncode == 0
