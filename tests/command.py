"""Running `hilum …` within a test."""

import sys
from typing import Any

import pytest

from hilum import cli


def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: Any
) -> tuple[Any, str, str]:
    """Run `hilum ARGUMENTS` through its real entry point: (exit code, stdout, stderr)."""
    monkeypatch.setattr(sys, "argv", ["hilum", *map(str, arguments)])
    code: Any = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err
