"""Build what would be released, and try it as a stranger would; nothing is uploaded.

``make release`` calls this. Every step works in a fresh environment below --work, which is removed
at the end, and its time and the disk space of what it made are printed. The packages come from the
index once, as --pins names them, and are then installed from the folder that they were put into
(--wheelhouse), by pip and by uv alike: so both get the same build of PyTorch, and times are those
of installing, not of a network.
"""

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Of the tests: what the documentation says, the labels, recipes and tables, and all of data.
TESTS = ("tests/test_docs.py", "tests/test_labels.py", "tests/test_recipe.py",
         "tests/test_table.py", "tests/radiographs/test_layouts.py")  # fmt: skip
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
          "--bounding-set=-all", "--inh-caps=-all")  # fmt: skip
#: The first word is the one folder that can be written, in memory; then the command.
READ_ONLY = """
mount --bind / / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs "$1" && shift && exec "$@"
"""
TOKEN = "0123456789abcdef0123456789abcdef"


class ReleaseError(Exception):
    """A step did not do what it should; the text says which and how."""


class NotTriedError(Exception):
    """A step cannot be tried here; the text says why."""


def call(*words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a program prints to standard output; ReleaseError with all it said, if it fails."""
    asked = [str(word) for word in words]
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        asked, cwd=cwd, env={**clean, **(env or {})}, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise ReleaseError(
            f"{' '.join(asked)}\nends with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def megabytes(path: Path) -> float:
    """What the files below a path take, links not followed."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if not p.is_symlink()]
    return sum(p.stat().st_size for p in files if p.is_file()) / 1e6


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def command_of(environment: Path, name: str) -> Path:
    """A command that a virtual environment has."""
    return python_of(environment).with_name(f"{name}.exe" if os.name == "nt" else name)


class Release:
    """The steps, in their order; each is a method and leaves what later ones need.

    python: what environments are made of. pins: a file of constraints. work: an empty folder.
    """

    def __init__(self, python: str, pins: Path, wheelhouse: Path, work: Path, dist: Path) -> None:
        self.python, self.pins, self.wheelhouse = python, pins, wheelhouse
        self.work, self.dist = work, dist
        self.tools, self.installed = work / "tools", work / "installed"
        self.version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
            "version"
        ]
        self.wheel = dist / f"hilum-{self.version}-py3-none-any.whl"
        self.sdist = dist / f"hilum-{self.version}.tar.gz"

    def environment(self, path: Path) -> Path:
        """A fresh virtual environment; its interpreter."""
        call(self.python, "-m", "venv", path)
        return python_of(path)

    def build(self) -> Path:
        """Wheel and sdist, and what twine and check-wheel-contents say of them."""
        pip = (self.environment(self.tools), "-m", "pip", "--disable-pip-version-check")
        call(*pip, "install", "--quiet", "--upgrade", "pip>=25.1")
        call(*pip, "install", "--quiet", "--group", "release", cwd=ROOT)
        for old in (self.wheel, self.sdist):
            old.unlink(missing_ok=True)
        call(pip[0], "-m", "build", "--outdir", self.dist, ROOT)
        call(pip[0], "-m", "twine", "check", "--strict", self.wheel, self.sdist)
        call(command_of(self.tools, "check-wheel-contents"), self.wheel)
        return self.dist

    def download(self) -> Path:
        """What Hilum needs, as pinned, into the wheelhouse."""
        pip = (python_of(self.tools), "-m", "pip", "--disable-pip-version-check")
        call(*pip, "download", "--quiet", "--requirement", self.pins, "--dest", self.wheelhouse)
        return self.wheelhouse

    def wheel_by_pip(self) -> Path:
        """`pip install hilum` in a fresh environment."""
        pip = (self.environment(self.installed), "-m", "pip", "--disable-pip-version-check")
        house = ("--no-index", "--find-links", self.wheelhouse)
        call(*pip, "install", "--quiet", *house, "--constraint", self.pins, self.wheel)
        call(*pip, "check")
        said = call(command_of(self.installed, "hilum"), "--version").split()[-1]
        if said != self.version:
            raise ReleaseError(f"hilum --version says {said}, pyproject.toml {self.version}.")
        return self.installed

    def demo(self) -> Path:
        """`hilum demo` in an empty folder."""
        return self._demo(self.work / "demo", command_of(self.installed, "hilum"))

    def served_read_only(self) -> Path:
        """The demo's classifier, served by nobody; only a folder in memory can be written.

        As the container does it (Dockerfile, compose.yaml), without one.
        """
        if sys.platform != "linux" or os.geteuid() or not shutil.which("setpriv"):
            raise NotTriedError("it needs root on Linux, unshare and setpriv")
        run = next((self.work / "demo/demo").glob("*-demo"))
        (self.work / "token").write_text(TOKEN, encoding="ascii")
        film = next((self.work / "demo/demo/phantoms/test").rglob("*.png"))
        scratch = self.work / "scratch"
        scratch.mkdir()
        words = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", scratch, *NOBODY,
                 command_of(self.installed, "hilum"), "serve", run, "--host", "0.0.0.0",
                 "--port", "0", "--token-file", self.work / "token"]  # fmt: skip
        env = {"PATH": os.environ["PATH"], "HOME": f"{scratch}", "HILUM_CACHE": f"{scratch}/hilum"}
        env |= {"TMPDIR": f"{scratch}", "MPLCONFIGDIR": f"{scratch}/matplotlib"}
        server = subprocess.Popen(
            [str(word) for word in words], cwd="/", env=env, stderr=subprocess.PIPE, text=True
        )
        said: list[str] = []
        try:
            assert server.stderr is not None
            for line in server.stderr:
                said.append(line)
                if "http://" in line:
                    break
            else:
                raise ReleaseError(f"hilum serve, as nobody, says:\n{''.join(said)}")
            status = Path(f"/proc/{server.pid}/status").read_text("ascii")
            if "Uid:\t65534\t65534" not in status or "CapEff:\t0000000000000000" not in status:
                raise ReleaseError(f"The server is not nobody's:\n{status}")
            (port,) = re.findall(r"http://[0-9.]+:([0-9]+)", said[-1])
            self._ask(f"http://127.0.0.1:{port}", film)
        finally:
            server.terminate()
            server.communicate()
        if server.returncode:
            raise ReleaseError(f"SIGTERM ends the server with {server.returncode}, not 0.")
        return self.work / "token"

    def wheel_by_uv(self) -> Path:
        """`uv tool install hilum`, and `uvx hilum demo`, from the wheelhouse."""
        uv = shutil.which("uv")
        if uv is None:
            raise NotTriedError("there is no uv on the path")
        home = self.work / "uv"
        env = {"UV_TOOL_DIR": f"{home}/tools", "UV_TOOL_BIN_DIR": f"{home}/bin",
               "UV_CACHE_DIR": f"{home}/cache"}  # fmt: skip
        house = ("--quiet", "--no-config", "--no-index", "--find-links", self.wheelhouse,
                 "--find-links", self.dist, "--python", self.python)  # fmt: skip
        call(uv, "tool", "install", *house, "--constraints", self.pins, "hilum", env=env)
        call(home / f"bin/hilum{'.exe' if os.name == 'nt' else ''}", "--version")
        self._demo(
            home / "demo", uv, "tool", "run", *house, "--constraints", self.pins, "hilum", env=env
        )
        return home / "tools"

    def tests_of_sdist(self) -> Path:
        """Some of the tests, in what the sdist unpacks to, with Hilum built from it."""
        place = self.work / "sdist"
        with tarfile.open(self.sdist) as archive:
            archive.extractall(place, filter="data")
        python = self.environment(place / "environment")
        (unpacked,) = place.glob("hilum-*")
        call(
            python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
            "--find-links", self.wheelhouse, "--constraint", unpacked / "requirements-dev.lock",
            unpacked, "pytest", "hypothesis", "httpx",
        )  # fmt: skip
        said = call(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, cwd=unpacked)
        sys.stdout.write(f"  {said.splitlines()[-1]}\n")
        return place / "environment"

    def bill_of_materials(self) -> Path:
        """What the wheel brought, as CycloneDX."""
        out = self.dist / f"hilum-{self.version}.cdx.json"
        call(
            command_of(self.tools, "cyclonedx-py"), "environment", "--output-reproducible",
            "--pyproject", ROOT / "pyproject.toml", "--output-file", out,
            python_of(self.installed),
        )  # fmt: skip
        named = {part["name"] for part in json.loads(out.read_text("utf-8"))["components"]}
        if not {"torch", "numpy"} <= named:
            raise ReleaseError(f"{out} does not name what Hilum runs on: {sorted(named)}")
        return out

    def _demo(self, folder: Path, *words: object, env: Mapping[str, str] | None = None) -> Path:
        folder.mkdir(parents=True)
        call(*words, "demo", cwd=folder, env={"HILUM_CACHE": str(folder / "cache"), **(env or {})})
        if not (folder / "demo/report.html").is_file():
            raise ReleaseError(f"hilum demo left no report in {folder}.")
        return folder

    def _ask(self, url: str, film: Path) -> None:
        """Health without a token; a prediction with one, and none without."""
        with urllib.request.urlopen(f"{url}/health") as answer:
            answer.read()
        body = {"files": [{"content": base64.b64encode(film.read_bytes()).decode("ascii")}]}
        request = urllib.request.Request(
            f"{url}/v1/predictions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise ReleaseError(
                    f"Without a token the answer is {error.code}, not 401."
                ) from None
        else:
            raise ReleaseError("The server answers without a token.")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request) as answer:
            (found,) = json.load(answer)["predictions"]
        if found["status"] != "ok":
            raise ReleaseError(f"The server did not read {film}: {found}")


#: The steps by their names, in order.
STEPS: dict[str, Callable[[Release], Path]] = {
    "build": Release.build,
    "download": Release.download,
    "wheel": Release.wheel_by_pip,
    "sbom": Release.bill_of_materials,
    "demo": Release.demo,
    "serve": Release.served_read_only,
    "uv": Release.wheel_by_uv,
    "sdist": Release.tests_of_sdist,
}


def main() -> None:
    """Read the arguments and go through the steps; the exit code is 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python", default=sys.executable, help="what environments are made of; this"
    )
    pins = ROOT / "requirements.lock"
    parser.add_argument("--pins", type=Path, default=pins, help="constraints; requirements.lock")
    parser.add_argument("--wheelhouse", type=Path, help="folder of packages, used again; temporary")
    parser.add_argument("--work", type=Path, help="where it is tried; temporary")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where packages go; dist")
    parser.add_argument("--skip", nargs="*", default=[], choices=STEPS, help="steps to leave out")
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="hilum-release-", dir=given.work)).resolve()
    work.chmod(0o755)  # that the server's user may read it
    house = (given.wheelhouse or work / "wheelhouse").resolve()
    release = Release(given.python, given.pins.resolve(), house, work, given.dist.resolve())
    try:
        for name, step in STEPS.items():
            if name in given.skip:
                sys.stdout.write(f"{name:10} left out\n")
                continue
            begun = time.monotonic()
            try:
                left = step(release)
            except NotTriedError as why:
                sys.stdout.write(f"{name:10} not tried: {why}\n")
                continue
            seconds = time.monotonic() - begun
            sys.stdout.write(f"{name:10} {seconds:6.0f} s {megabytes(left):8.0f} MB\n")
            sys.stdout.flush()
    except ReleaseError as error:
        sys.stderr.write(f"check_release: {error}\n")
        sys.exit(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(f"Ready, and not uploaded: {release.wheel.name}, {release.sdist.name}\n")


if __name__ == "__main__":
    main()
