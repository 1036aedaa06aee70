"""Whole data sets: from a server, a git repository and kagglehub, all of them on this machine."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import filelock
import numpy as np
import pytest

from hilum.codec import to_plain
from hilum.errors import DataError
from hilum.fetching import catalogue
from hilum.fetching.catalogue import DataSet, GitBranch, KaggleHandle, MendeleyArchive, known_sets
from hilum.fetching.get import ACCESS, NOTE, _inspect, _Task, get_data
from hilum.radiographs.layouts import read_layout
from tests.fetching.conftest import LOOPBACK, Web, touch

PAGE = "https://example.org/data"


def known(name: str) -> DataSet:
    return catalogue.find_set(name)


def archive(*names: str) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as content:
        for name in names:
            content.writestr(name, b"")
    return buffer.getvalue()


# ---- the catalogue -------------------------------------------------------------------------------


def test_every_set_is_described_and_lies_behind_https() -> None:
    assert {s.name for s in known_sets()} == {
        "chest-xray-150", "covid19-radiography", "kaggle-pneumonia", "kermany", "pneumoniamnist",
    }  # fmt: skip
    for data_set in known_sets():
        assert data_set.source.licence
        assert data_set.source.meaning.endswith(".")
        addresses = [data_set.page, *(f.url for f in data_set.file)]
        addresses += [data_set.git.url] if data_set.git else []
        addresses += [data_set.mendeley.api] if data_set.mendeley else []
        assert all(a.startswith("https://") for a in addresses)


def test_a_wrong_name_or_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set 'kermani' to get\. Did you mean 'kermany'"):
        catalogue.find_set("kermani")
    with pytest.raises(DataError, match=r"no images of 32 x 32 pixels; expected one of 28, 64, 12"):
        get_data(known("pneumoniamnist"), tmp_path / "out", size=32)
    with pytest.raises(DataError, match=r"kermany: comes in one size only"):
        get_data(known("kermany"), tmp_path / "out", size=28)
    assert not list(tmp_path.iterdir())


# ---- one file ------------------------------------------------------------------------------------


def npz() -> bytes:
    arrays = {
        f"{split}_{what}": np.zeros((3, 28, 28) if what == "images" else (3, 1), np.uint8)
        for split in ("train", "val", "test")
        for what in ("images", "labels")
    }
    np.savez(buffer := io.BytesIO(), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def small_set(web: Web, body: bytes, md5: str | None = None) -> DataSet:
    web.files["/p.npz"] = body
    real = known("pneumoniamnist")
    file = real.file[0].model_copy(
        update={"url": f"{web.address}/p.npz", "md5": md5 or hashlib.md5(body).hexdigest()}
    )
    return real.model_copy(update={"file": (file,)})


def test_pneumoniamnist_comes_as_one_file(web: Web, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"

    got = get_data(small_set(web, npz()), out, size=28, access=LOOPBACK)

    assert got.images == {split: {"normal": 3} for split in ("train", "val", "test")}
    assert got.origin.sha256 == hashlib.sha256(npz()).hexdigest()
    assert "counts are not those" in got.notes[-1]  # 9 images are not the 5,856
    assert sorted(p.name for p in out.iterdir()) == [NOTE, "pneumoniamnist.npz"]
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    assert len(read_layout(out).found) == 9
    note = json.loads((out / NOTE).read_text())
    assert note["licence"] == "CC BY 4.0"
    assert "children" in note["meaning"]
    assert note["sha256"] == to_plain(got)["sha256"]


def test_a_broken_download_leaves_no_folder_and_goes_on(web: Web, tmp_path: Path) -> None:
    data_set, out = small_set(web, npz()), tmp_path / "out"
    web.cut = [100, 100, 100]
    with pytest.raises(DataError, match="300 bytes are kept"):
        get_data(data_set, out, access=LOOPBACK)
    assert not out.exists()

    get_data(data_set, out, access=LOOPBACK)

    assert web.asked[-1] == "bytes=300-"
    assert (out / "pneumoniamnist.npz").read_bytes() == npz()


def test_what_was_not_meant_is_not_kept(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has the MD5 [0-9a-f]{32}, expected 0{32}; it was remove"):
        get_data(small_set(web, npz(), "0" * 32), tmp_path / "out", access=LOOPBACK)
    with pytest.raises(DataError, match=r"zenodo.org/records/10519652 gives today is not the data"):
        get_data(small_set(web, b"<html>"), tmp_path / "out", access=LOOPBACK)

    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(web: Web, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    for name in ("full", "full/mine.txt", "link"):
        with pytest.raises(DataError, match=r"exists already; remove it, or name another folder"):
            get_data(small_set(web, npz()), tmp_path / name, access=LOOPBACK)
    (tmp_path / "empty").mkdir()
    assert get_data(small_set(web, npz()), tmp_path / "empty", access=LOOPBACK).images


def test_two_processes_do_not_fetch_one_folder(web: Web, tmp_path: Path) -> None:
    (tmp_path / ".out.hilum-get").mkdir()
    with (
        filelock.FileLock(tmp_path / ".out.hilum-get" / ".lock"),
        pytest.raises(DataError, match="out: another process is fetching it"),
    ):
        get_data(small_set(web, npz()), tmp_path / "out", access=LOOPBACK)
    assert web.asked == []


# ---- Mendeley Data -------------------------------------------------------------------------------


def mendeley(web: Web, body: bytes, **details: str) -> DataSet:
    web.files["/files/1"] = body
    told = {
        "download_url": f"{web.address}/files/1",
        "sha256_hash": hashlib.sha256(body).hexdigest(),
        **details,
    }
    files = [{"filename": "other.tar.gz", "content_details": told}]
    files += [{"filename": "x.zip", "content_details": told}]
    web.files["/api/datasets/abc/files?folder_id=root&version=2"] = json.dumps(files).encode()
    place = MendeleyArchive(
        dataset="abc", version=2, file="x.zip", max_bytes=10_000, api=f"{web.address}/api"
    )
    return DataSet(
        name="kermany", about="kaggle-pneumonia", page=PAGE, layout="kaggle-pneumonia",
        mendeley=place,
    )  # fmt: skip


KERMANY = (
    "chest_xray/train/NORMAL/IM-0115-0001.jpeg",
    "chest_xray/train/PNEUMONIA/BACTERIA-30629-0001.jpeg",
    "chest_xray/test/NORMAL/IM-0001-0001.jpeg",
    "chest_xray/test/PNEUMONIA/VIRUS-1980593-0002.jpeg",
    "chest_xray/train/.DS_Store",
    "__MACOSX/chest_xray/train/NORMAL/._IM-0115-0001.jpeg",
)


def test_kermany_comes_by_the_address_that_the_host_tells(web: Web, tmp_path: Path) -> None:
    got = get_data(mendeley(web, archive(*KERMANY)), tmp_path / "out", access=LOOPBACK)

    assert got.images["train"] == {"NORMAL": 1, "bacteria": 1}
    assert got.images["test"] == {"NORMAL": 1, "virus": 1}
    assert "not known beforehand" in got.origin.checked
    assert len([p for p in (tmp_path / "out").rglob("*") if p.is_file()]) == 4 + 1


def test_what_mendeley_tells_is_not_trusted(web: Web, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for details, why in (
        ({"download_url": "file:///etc/hostname"}, "leads to 'file:'"),
        ({"sha256_hash": "0" * 64}, "has the SHA256"),
    ):
        with pytest.raises(DataError, match=why):
            get_data(mendeley(web, archive(*KERMANY), **details), out, access=LOOPBACK)
    with pytest.raises(DataError, match=r"x\.zip: '\.\./evil' leads out of the folder"):
        get_data(mendeley(web, archive(*KERMANY, "../evil")), out, access=LOOPBACK)
    data_set = mendeley(web, archive(*KERMANY))
    listing = "/api/datasets/abc/files?folder_id=root&version=2"
    for answer, why in ((b"[]", "does not list x.zip"), (b'["x"]', "a list of files any more")):
        web.files[listing] = answer
        with pytest.raises(DataError, match=why):
            get_data(data_set, out, access=LOOPBACK)
    assert not out.exists()
    assert not (tmp_path / "evil").exists()


# ---- git -----------------------------------------------------------------------------------------

IMAGES = (
    "dataset/train/normal/0.jpg", "dataset/train/infected/covid/0.jpg",
    "dataset/train/infected/non-covid/0.jpg", "dataset/val/normal/0.jpg",
)  # fmt: skip


def git(root: Path, *words: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", *who, *words]
    return subprocess.run(
        command, cwd=root, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose images lie in a folder of the branch 'data'."""
    root = touch(tmp_path / "repository", "README.md")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "code")
    git(root, "switch", "--quiet", "-c", "data")
    touch(root, *IMAGES, "notebooks/evil.py")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "data")
    return root


def by_git(repository: Path, *, branch: str = "data", about: str = "kaggle-pneumonia") -> DataSet:
    place = GitBranch(url=repository.as_uri(), branch=branch, folder="dataset")
    return DataSet(name="x", about=about, page=PAGE, layout="split-folders", git=place)


def test_a_branch_comes_by_git(repository: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    got = get_data(
        by_git(repository), tmp_path / "out", access=LOOPBACK,
        progress=lambda *step: told.append(step),
    )  # fmt: skip

    assert got.images == {
        "train": {"normal": 1, "covid": 1, "non-covid": 1},
        "val": {"normal": 1},
    }
    assert got.origin.commit == git(repository, "rev-parse", "data")
    assert "fetching by git" in {what for what, _, _ in told}
    there = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert there == {*(i.removeprefix("dataset/") for i in IMAGES), NOTE}


def test_known_files_that_differ_are_refused(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nothing of it was kept\. train/normal/0\.jpg: expected t"
    ):
        get_data(by_git(repository, about="chest-xray-150"), tmp_path / "out", access=LOOPBACK)
    assert not (tmp_path / "out").exists()


def test_links_in_a_repository_are_refused(repository: Path, tmp_path: Path) -> None:
    (repository / "dataset" / "train" / "evil").symlink_to("/etc")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "link")

    with pytest.raises(DataError, match=r"'train/evil' is a link"):
        get_data(by_git(repository), tmp_path / "out", access=LOOPBACK)


def test_neither_hooks_nor_filters_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own template with a hook, and a repository that asks for large-file storage."""
    template, ran = tmp_path / "template", tmp_path / "ran"
    hook = touch(template, "hooks/post-checkout") / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[init]\n\ttemplateDir = {template}\n[filter "lfs"]\n\tsmudge = touch {ran}\n'
    )
    monkeypatch.setenv("HOME", str(home))
    (repository / "dataset" / ".gitattributes").write_text("*.jpg filter=lfs\n")
    (repository / IMAGES[0]).write_text("an image")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "attributes")

    get_data(by_git(repository), tmp_path / "out", access=LOOPBACK)

    assert not ran.exists()


def test_what_git_cannot_fetch_is_told(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        DataError, match=r"git could not fetch it \(fatal: .*branch nowhere not fou"
    ):
        get_data(by_git(repository, branch="nowhere"), out, access=LOOPBACK)
    with pytest.raises(DataError, match=r"git could not fetch it \(fatal: "):
        get_data(by_git(repository, branch="main"), out, access=LOOPBACK)  # has no dataset/
    with pytest.raises(DataError, match=r"transport 'file' not allowed"):
        get_data(by_git(repository), out)


def test_git_must_be_there(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DataError, match=r"git: is not installed"):
        get_data(by_git(repository), tmp_path / "out", access=LOOPBACK)


# ---- Kaggle --------------------------------------------------------------------------------------


@pytest.fixture
def kagglehub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the library: a cache with the radiography database in miniature."""
    folder = touch(
        tmp_path / "kaggle-cache",
        "COVID-19_Radiography_Dataset/COVID/images/COVID-1.png",
        "COVID-19_Radiography_Dataset/COVID/masks/COVID-1.png",
        "COVID-19_Radiography_Dataset/Normal/images/Normal-1.png",
    )

    def dataset_download(handle: str) -> str:
        sys.stdout.write("Downloading …\n")
        if handle != "owner/name":
            raise OSError("403 Client Error")
        return str(folder)

    module = types.ModuleType("kagglehub")
    module.dataset_download = dataset_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return folder


def on_kaggle(handle: str) -> DataSet:
    return DataSet(
        name="x", about="covid19-radiography", page=PAGE, layout="covid19-radiography",
        kaggle=KaggleHandle(handle=handle),
    )  # fmt: skip


def test_kaggle_comes_through_kagglehub(
    kagglehub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got = get_data(on_kaggle("owner/name"), tmp_path / "out")

    assert got.images == {"train": {"COVID": 1, "Normal": 1}}
    assert capsys.readouterr().out == ""
    assert kagglehub.is_dir()


def test_what_kagglehub_cannot_do_is_told(
    kagglehub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"kagglehub could not download it \(403 Client Error\)"):
        get_data(on_kaggle("owner/other"), tmp_path / "out")
    (kagglehub / "evil").symlink_to("/etc")
    with pytest.raises(DataError, match=r"evil: is a link"):
        get_data(on_kaggle("owner/name"), tmp_path / "out")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError, match=r"not installed: pip install kagglehub\. Or download it a"):
        get_data(on_kaggle("owner/name"), tmp_path / "out")


# ---- the real images -----------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_images_are_recognised(shared_data: Path, tmp_path: Path) -> None:
    """By the SHA-256 of known files and by their counts."""
    task = _Task(known("chest-xray-150"), None, tmp_path, ACCESS, None)
    shutil.copytree(
        shared_data / "chest-xray-150",
        task.ready,
        copy_function=lambda file, to: Path(to).symlink_to(file),
    )

    images, notes = _inspect(task)

    assert images["train"] == {"normal": 1341, "covid": 1345, "non-covid": 2530}
    assert notes == ()
