"""Archives that a stranger could send: each is refused in one sentence, and nothing is written."""

import contextlib
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import DataError
from hilum.fetching.unpack import Limits, unpack

GOOD = {"a/1.png": b"one", "a/2.png": b"two", "b/ü.png": b"three"}


def zipped(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def tarred(path: Path, *members: tarfile.TarInfo | str) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = 3 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"one") if info.isreg() else None)
    return path


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o4777
    return info


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def refused(archive: Path, why: str, limits: Limits | None = None) -> None:
    into = archive.parent / "out"
    with pytest.raises(DataError, match=why) as caught:
        unpack(archive, into, limits=limits or Limits())
    assert archive.name in str(caught.value)
    assert not into.exists()


def test_zip_and_tar_unpack_alike(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    zipped(tmp_path / "a.zip", GOOD)
    assert unpack(tmp_path / "a.zip", tmp_path / "1", progress=lambda *s: told.append(s)) == 3
    assert contents(tmp_path / "1") == GOOD
    assert told[-1] == ("unpacking", 3, 3)

    folder = member("./a", tarfile.DIRTYPE)
    assert unpack(tarred(tmp_path / "a.tar", folder, "./a/1.png"), tmp_path / "2") == 1
    assert contents(tmp_path / "2") == {"a/1.png": b"one"}


def test_what_systems_leave_behind_stays_out(tmp_path: Path) -> None:
    extra = {"__MACOSX/a/._1.png": b"x", "a/.DS_Store": b"x", ".git/config": b"x"}

    assert unpack(zipped(tmp_path / "a.zip", GOOD | extra), tmp_path / "out") == 3
    assert contents(tmp_path / "out") == GOOD


def test_permissions_are_ordinary(tmp_path: Path) -> None:
    info = tarfile.TarInfo("1.png")
    info.mode = 0o6777

    unpack(tarred(tmp_path / "a.tar", info), tmp_path / "out")

    assert (tmp_path / "out" / "1.png").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.png", "leads out of the folder"),
        ("a/../../evil.png", "leads out of the folder"),
        ("a/" + 252 * "n" + ".png", "no file can have"),
        (130 * "é", "no file can have"),
        ("/etc/evil.png", "is not a relative name"),
        ("C:/evil.png", "is not a relative name"),
        ("..\\evil.png", "is not a relative name"),
        ("a/\x1b[2J.png", "has a name that no file should have"),
        ("a/" * 600 + "x", "has a name that no file should have"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, why: str) -> None:
    refused(zipped(tmp_path / "a.zip", {"a/1.png": b"one", name: b"x"}), why)
    refused(tarred(tmp_path / "a.tar", "a/1.png", name), why)


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a/1.png": b"one", "a/evil0.png": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"evil0", b"evil\0"))

    refused(archive, "has a name that no file should have")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    refused(
        tarred(tmp_path / "a.tar", "1.png", member("evil", kind, "/etc/passwd")),
        "'evil' is (a link|neither a plain file nor a folder)",
    )


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("evil")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")

    refused(tmp_path / "a.zip", "'evil' is (a link|neither a file nor a folder)")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("a/1.png", "a/1.png"), "'a/1.png' occurs twice"),
        (("a/1.png", "a/./1.png"), "'a/1.png' occurs twice"),
        (("a", "a/1.png"), "'a' occurs twice"),
        (("a/1.png", "a"), "'a' occurs twice"),
        (("a/1.png", "a/1.PNG"), "'a/1.PNG' differs from 'a/1.png' only in its case"),
        (("a/1.png", "A/2.png"), "'A' differs from 'a' only in its case"),
        (("\u00fc.png", "u\u0308.png"), "only in its case"),
    ],
)
def test_names_that_collide_are_refused(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    refused(tarred(tmp_path / "a.tar", *names), why)


def test_bombs_are_refused(tmp_path: Path) -> None:
    limits = Limits(files=10, ratio=20, small=1000)
    big = zipped(tmp_path / "big.zip", {"0.png": b"\0" * 100_000})
    many = zipped(tmp_path / "many.zip", {f"{i}.png": b"" for i in range(11)})

    refused(big, r"would unpack to more than the [\d,]+ bytes", limits)
    refused(many, "holds more than 10 files and folders", limits)


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    """Fifield 2019: many entries of the directory mean the same bytes."""
    noise = bytes(range(256)) * 40
    archive = zipped(tmp_path / "a.zip", {"0": noise, "1": b"x"}, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, second + 20, len(noise), len(noise))
    struct.pack_into("<I", data, second + 42, 0)
    archive.write_bytes(bytes(data))

    refused(archive, "holds entries that overlap")


def test_encrypted_files_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"1.png": b"one"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(data))

    refused(archive, "'1.png' is encrypted")


def test_unusual_compression_and_compressed_tars_are_refused(tmp_path: Path) -> None:
    refused(zipped(tmp_path / "a.zip", GOOD, zipfile.ZIP_LZMA), "compressed in an unusual way")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("1.png"))
    refused(tmp_path / "a.tgz", "is damaged")


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"1.png": b"\0" * 50_000})
    data = bytearray(archive.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 10)
    archive.write_bytes(bytes(data))

    with pytest.raises(DataError, match=r"a\.zip: .*(damaged|not as long)"):
        unpack(archive, tmp_path / "out")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")

    refused(tmp_path / "a.zip", "is damaged")


@given(at=st.integers(0, 10_000), value=st.integers(0, 255), is_tar=st.booleans())
def test_damage_anywhere_gives_the_files_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int, is_tar: bool
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    archive = folder / "a"
    if is_tar:
        tarred(archive, "a/1.png", "a/2.png")
    else:
        zipped(archive, GOOD)
    data = bytearray(archive.read_bytes())
    data[at % len(data)] = value
    archive.write_bytes(bytes(data))

    with contextlib.suppress(DataError):
        unpack(archive, folder / "out")
    assert {p.name for p in folder.iterdir()} <= {"a", "out"}
