"""Keys, the online store, logs and usage are of their user alone, whatever the umask, and whoever made them before."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.sources.log.file.folder import FileLogWriter
from serving.access.audit.files import RotatedFile
from serving.access.keys import changes
from serving.access.keys.store import KeyStore
from serving.access.usage import Usage


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def write(folder: Path) -> None:
    """One of everything."""
    changes.create(KeyStore(Home(str(folder / "home"), {})), "ads", by="ann", name="ranking")
    with closing(LmdbStore(folder / "home/online")):
        pass
    log = RotatedFile(folder / "access.log", 100)
    for _ in range(3):
        log.write(b"x" * 60 + b"\n")
    log.close()
    with closing(Usage(folder / "home/usage/keys")) as usage:
        usage.row("k")
    with closing(FileLogWriter(str(folder / "log"))) as writer:
        writer.create_topic("clicks", 1)
        writer.append("clicks", [(None, b"{}")], partition=0)


def modes(folder: Path) -> dict[str, int]:
    found = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    # Settings of a topic say nothing of anybody.
    told = [path for path in found if path.suffix != ".json" or "/keys" in str(path)]
    return {str(path.relative_to(folder)): found[path] for path in told}


def test_nobody_else_reads_them(tmp_path: Path, umask: int) -> None:
    write(tmp_path)
    found = modes(tmp_path)
    assert {"home/online/data.mdb", "home/online/lock.mdb", "access.log", "access.log.1"} <= found.keys()
    assert {path: oct(mode) for path, mode in found.items() if mode != 0o600} == {}
    assert (tmp_path / "home/keys").stat().st_mode & 0o777 == 0o700


def test_what_an_earlier_build_left_open_is_closed(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write(tmp_path)
        for path in tmp_path.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        write(tmp_path)
    finally:
        os.umask(before)
    assert {path: oct(mode) for path, mode in modes(tmp_path).items() if mode != 0o600} == {}
    assert (tmp_path / "home/keys").stat().st_mode & 0o777 == 0o700
