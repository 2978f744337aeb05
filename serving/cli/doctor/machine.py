"""The machine: Python and packages, the home and who may write it, its clock, disks, ports."""

import datetime as dt
import os
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from stat import S_IMODE, S_IWOTH

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from seqplat_resources.home import Home
from serving.cli.doctor.findings import Deployment, Diagnosis
from serving.cli.servers.dev import DAGSTER_PORT
from serving.cli.servers.serve import HOST, PORT

PYTHON = SpecifierSet(">=3.11")
# Below the first nothing can be written for long; below the second somebody should look before the night.
LEAST_BYTES, FEW_BYTES = 200 << 20, 2 << 30
# Leases hold for 30 seconds at least; days and lateness are told by minutes.
CLOCK_OFF_S, CLOCK_WRONG_S = 2.0, 15.0


def versions(_: Deployment) -> Iterator[Diagnosis]:
    """Python, and every package that ours needs, against the versions it was made for."""
    python = ".".join(map(str, sys.version_info[:3]))
    if python not in PYTHON:
        yield Diagnosis("versions", "fail", f"Python {python}", f"install Python {PYTHON}")
    try:
        needed = [Requirement(line) for line in requires("seqplat") or []]
    except PackageNotFoundError:
        yield Diagnosis("versions", "warn", "seqplat is not installed as a package, so its pins are not known")
        return
    needed = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = list(filter(None, map(_wrong, needed)))
    if wrong:
        fix = "pip install --upgrade seqplat, or install what is named"
        yield Diagnosis("versions", "fail", "; ".join(wrong), fix)
    else:
        yield Diagnosis("versions", "ok", f"seqplat {version('seqplat')}, Python {python}, {len(needed)} packages fit")


def _wrong(needed: Requirement) -> str:
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return f"{needed.name} is not installed ({needed.specifier})"
    return (
        "" if needed.specifier.contains(found, prereleases=True) else f"{needed.name} {found} is not {needed.specifier}"
    )


def home(deployment: Deployment) -> Iterator[Diagnosis]:
    """Whether it is there, may be written, and is nobody else's to change; and how far its clock is from ours."""
    found = Home.from_environment(deployment.environment)
    if found.is_local:
        folder = Path(found.root)
        if os.path.lexists(folder) and not folder.is_dir():
            way_out = "move it away, or set SEQPLAT_HOME to a folder"
            yield Diagnosis("home", "fail", f"{folder} is no folder, but a file or a link that leads nowhere", way_out)
            return
        if not folder.is_dir():
            yield Diagnosis("home", "warn", f"{folder} is not there yet", "seqplat publish makes it")
            return
        if S_IMODE(folder.stat().st_mode) & S_IWOTH:
            yield Diagnosis("home", "warn", f"{folder} may be changed by every user", f"chmod o-w {folder}")
        keys = folder / "keys"
        if keys.is_dir() and S_IMODE(keys.stat().st_mode) & 0o077:
            yield Diagnosis("home", "fail", f"{keys} is not private: it has the key of pseudonyms", f"chmod 700 {keys}")
    yield from _written(found)


def _written(found: Home) -> Iterator[Diagnosis]:
    """A small object is put twice where nothing reads it, as leases are, and deleted."""
    import obstore
    from obstore.exceptions import AlreadyExistsError

    path = f"leases/doctor-{uuid.uuid4().hex}"
    try:
        before = dt.datetime.now(dt.UTC)
        obstore.put(found.objects, path, b"{}", mode="create")
        off = found.objects.head(path)["last_modified"] - before
        took = dt.datetime.now(dt.UTC) - before
        try:
            obstore.put(found.objects, path, b"{}", mode="create")
        except AlreadyExistsError:
            pass
        else:
            fix = "use a store with conditional puts: without them two writers are not kept apart"
            yield Diagnosis("home", "fail", f"{found.root} lets one object be created twice", fix)
    except Exception as error:
        fix = "let the user that runs this write there, or set SEQPLAT_HOME and its credentials"
        yield Diagnosis("home", "fail", f"{found.root} cannot be written: {error}", fix)
        return
    finally:
        _deleted(found, path)
    yield Diagnosis("home", "ok", f"{found.root} can be written")
    yield _clock(found, off, took)


def _deleted(found: Home, path: str) -> None:
    import obstore

    try:
        obstore.delete(found.objects, path)
    except Exception:  # it was not created
        return


def _clock(found: Home, off: dt.timedelta, took: dt.timedelta) -> Diagnosis:
    """``off`` is how far the storage is ahead; it had up to ``took`` to write."""
    return clock_told(max(abs(off) - took, dt.timedelta()).total_seconds(), found.root)


def clock_told(apart_s: float, other: str) -> Diagnosis:
    """How far the clock of something else is from that of this machine."""
    told = f"this machine and {other} are {apart_s:.1f} s apart"
    if apart_s > CLOCK_OFF_S:
        fix = "let both follow a time server: leases and days go by the clock"
        return Diagnosis("clock", "fail" if apart_s > CLOCK_WRONG_S else "warn", told, fix)
    return Diagnosis("clock", "ok", f"{told}; {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC")


def disk(deployment: Deployment) -> Iterator[Diagnosis]:
    """Room where something is written."""
    environment = deployment.environment
    found = Home.from_environment(environment)
    online = environment.get("SEQPLAT_ONLINE") or ""
    folders = [found.root if found.is_local else "", "" if "://" in online else online]
    folders += [environment.get(name) or "" for name in ("SEQPLAT_LOG_DIR", "DAGSTER_HOME")] + [tempfile.gettempdir()]
    seen = set[int]()
    for folder in filter(None, folders):
        there = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
        if (device := there.stat().st_dev) in seen:
            continue
        seen.add(device)
        room = shutil.disk_usage(there)
        told = f"{room.free / 1e9:,.1f} GB of {room.total / 1e9:,.1f} GB are free at {there}"
        if room.free >= FEW_BYTES:
            yield Diagnosis("disk", "ok", told)
        else:
            fix = "make room: seqplat expire, seqplat vacuum --delete, or a larger disk"
            yield Diagnosis("disk", "fail" if room.free < LEAST_BYTES else "warn", told, fix)


def ports(deployment: Deployment) -> Iterator[Diagnosis]:
    """Whether servers could be started here; one that runs already is asked for elsewhere (``--api``)."""
    api = int(deployment.environment.get("SEQPLAT_API_PORT") or PORT)
    for port, what in ((api, "the API"), (DAGSTER_PORT, "the Dagster UI")):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                told = f"{HOST}:{port}, where {what} listens by default, is taken ({error.strerror})"
                yield Diagnosis("ports", "warn", told, "fine if that is it (--api asks it); else choose another port")
            else:
                yield Diagnosis("ports", "ok", f"{HOST}:{port} is free for {what}")
