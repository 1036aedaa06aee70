"""Fetching a folder of a git branch, without running or checking out anything of the repository."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hilum.errors import DataError
from hilum.fetching.catalogue import GitBranch
from hilum.fetching.download import Access
from hilum.records import Progress

#: No hooks, templates, credentials or large-file filters; give up where nothing comes for long.
_SETTINGS = (
    "core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.autocrlf=false",
    "core.fsmonitor=false", "core.askPass=", "credential.helper=", "init.templateDir=",
    "filter.lfs.smudge=", "filter.lfs.process=", "filter.lfs.required=false",
    "transfer.fsckObjects=true", "transfer.bundleURI=false", "http.followRedirects=initial",
    "http.lowSpeedLimit=1000", "http.lowSpeedTime=60",
)  # fmt: skip


def fetch_branch(
    place: GitBranch, work: Path, access: Access, progress: Progress | None = None
) -> tuple[Path, str]:
    """Fetch the newest commit of a branch and pack its folder as TAR: (archive, commit).

    work: an existing folder for the clone and the archive. Submodules and large-file storage are
    not followed, and files come as they were committed.

    Raises DataError where git is not installed, the protocol is not allowed, or the repository,
    the branch or the folder is not there.
    """
    git = shutil.which("git")
    if git is None:
        raise DataError("git: is not installed, but this data set comes by git; install it.")
    clone, archive = work / "clone.git", work / "branch.tar"
    shutil.rmtree(clone, ignore_errors=True)  # what is left of a broken clone is of no use to git
    options = ("--bare", "--depth=1", "--single-branch", "--no-tags", "--progress", "--no-local")
    where = f"--branch={place.branch}"
    _run([git, "clone", *options, where, "--", place.url, str(clone)], place.url, access, progress)
    here = [git, f"--git-dir={clone}"]
    commit = _run([*here, "rev-parse", "HEAD"], place.url, access).strip()
    what = f"{commit}:{place.folder}"
    _run([*here, "archive", "--format=tar", f"--output={archive}", what], place.url, access)
    shutil.rmtree(clone)
    return archive, commit


def _run(command: Sequence[str], url: str, access: Access, progress: Progress | None = None) -> str:
    """Run git; what it printed. Raises DataError with git's own last line where it fails."""
    program, *arguments = command
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    # GIT_… variables of the caller, such as GIT_DIR in a hook, mean another repository; those of
    # certificates and proxies say how the network is reached.
    environment = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("GIT_") or k.startswith(("GIT_SSL_", "GIT_PROXY_"))
    }
    environment |= {
        "GIT_ALLOW_PROTOCOL": access.git,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }
    said: list[str] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
        with subprocess.Popen(
            [program, *settings, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stderr is not None
            try:
                for line in process.stderr:  # progress ends in \r, which is a line's end here
                    said = [*said[-20:], line.strip()]
                    count = re.match(r"Receiving objects:.*\((\d+)/(\d+)\)", line)
                    if count and progress:
                        progress("fetching by git", int(count[1]), int(count[2]))
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            why = [s for s in said if s.startswith(("fatal:", "error:"))] or said or ["no reason"]
            raise DataError(f"{url}: git could not fetch it ({why[0]}).")
        out.seek(0)
        return out.read()
