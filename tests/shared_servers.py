"""Servers, and built data, that all workers of a test run share: the first that needs one starts it, the run ends it.

A run has a folder, named in the environment by the process that somebody started; workers inherit the name. Standard
library only, for ``scripts/kafka``.
"""

import atexit
import fcntl
import json
import os
import pickle
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import iglob
from itertools import chain
from pathlib import Path
from typing import TypeVar

_NAMED = "TESTS_RUN_FOLDER"
T = TypeVar("T")


@dataclass(frozen=True)
class Started:
    """``said`` is what clients need to find it; ``leaves`` are patterns of files it leaves outside its folder."""

    said: Mapping[str, str]
    processes: Sequence["subprocess.Popen[bytes]"]
    leaves: Sequence[str] = ()

    @property
    def note(self) -> dict[str, object]:
        return {"said": {**self.said}, "pids": [each.pid for each in self.processes], "leaves": [*self.leaves]}


class NotStarted(RuntimeError):
    """A server did not come up, for this worker or for one that tried before."""


def run_folder() -> Path:
    """Of this run, made when something is started. The process that asks first for its name ends what runs there at its
    exit, and deletes it.
    """
    if _NAMED not in os.environ:
        os.environ[_NAMED] = f"{tempfile.gettempdir()}/tests-run-{uuid.uuid4().hex}"
        atexit.register(_end, Path(os.environ[_NAMED]), os.getpid())
    return Path(os.environ[_NAMED])


def started_once(name: str, start: Callable[[Path], Started]) -> Mapping[str, str]:
    """What clients of server ``name`` need; ``start`` gets an empty folder if no worker of this run called it before.

    Raises:
        NotStarted: ``start`` raised an error, now or in another worker; it is not called again.
    """
    run_folder().mkdir(mode=0o700, exist_ok=True)
    with _only_one(name):
        note = run_folder() / f"{name}.json"
        if not note.exists():
            folder = run_folder() / name
            folder.mkdir()
            try:
                _running.append(start(folder))
                note.write_text(json.dumps(_running[-1].note))
            except RuntimeError as error:
                note.write_text(json.dumps({"error": str(error), "pids": [], "leaves": []}))
        found = json.loads(note.read_text())
    if "error" in found:
        raise NotStarted(found["error"])
    said: Mapping[str, str] = found["said"]
    return said


# A process that runs must not be collected as garbage: its object would complain.
_running: list[Started] = []


def built_once(name: str, build: Callable[[Path], T]) -> T:
    """What ``build`` returned, with an empty folder for what it makes; other workers of this run get a copy of that.

    One that raises an error is called again by the next worker.
    """
    run_folder().mkdir(mode=0o700, exist_ok=True)
    with _only_one(name):
        result, folder = run_folder() / f"{name}.pickle", run_folder() / name
        if not result.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            result.write_bytes(pickle.dumps(build(folder)))
        found: T = pickle.loads(result.read_bytes())
    return found


@contextmanager
def _only_one(name: str) -> Iterator[None]:
    with open(run_folder() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end(folder: Path, owner: int) -> None:
    if os.getpid() != owner:  # a fork of it
        return
    notes = [json.loads(note.read_text()) for note in folder.glob("*.json")]
    for pid in {pid for note in notes for pid in note["pids"]}.union(_left_behind(folder)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # an orderly end takes seconds, for data that nobody wants
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    for left in chain.from_iterable(iglob(pattern) for note in notes for pattern in note["leaves"]):
        Path(left).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _left_behind(folder: Path) -> Iterator[int]:
    """Processes that began in this run and outlive it, as those of a worker that was killed; where there is /proc."""
    begun_here = f"{_NAMED}={folder}\0".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if begun_here in environment.read_bytes():
                yield int(environment.parent.name)
