"""The folder of a training set: not there before it is whole, and what a run before left of it.

>>> with Unfinished(folder / "set", {"release": "a"}) as work:
...     shard = work.write(0, lambda file: (file.write(b"one"), ShardCounts(1, 5, 0))[1])
...
>>> with Unfinished(folder / "set", {"release": "a"}) as work:
...     (folder / "set").exists(), work.finished(0).rows
...
(False, 1)
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, BinaryIO, Self

from seqplat_resources.batch.inputs.sets import MANIFEST
from seqplat_resources.errors import Final
from seqplat_resources.training.manifest import Manifest, NoTrainingSet, Shard, ShardCounts

_INPUTS, _PART, _EVENTS = "inputs.json", "part-", "events-"


class TrainingSetBusy(Final):
    """Another run makes the same training set."""


class Unfinished:
    """What is made for ``out``, in a folder beside it, by one run at a time, which enters it. A run that had other
    ``inputs`` left nothing that counts.

    Raises:
        On entering. TrainingSetBusy: another run is in it. NoTrainingSet: the folder has files of somebody else.
    """

    def __init__(self, out: Path, inputs: Mapping[str, Any]) -> None:
        self.out, self.folder = out, out.with_name(out.name + ".partial")
        self._inputs = json.dumps(inputs, sort_keys=True).encode()
        self._lock = -1

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process
            # Whoever was in it may have finished meanwhile: then what is locked is the set.
            if not self.folder.exists() or not os.path.samestat(os.fstat(self._lock), self.folder.stat()):
                raise BlockingIOError
        except BlockingIOError:
            os.close(self._lock)
            raise TrainingSetBusy(
                f"{self.out} is being made by another run; wait until it is over, or give another folder"
            ) from None
        mark = self.folder / _INPUTS
        if not mark.is_file() or mark.read_bytes() != self._inputs:
            left = list(self.folder.iterdir())
            if any(path.is_dir() or not path.name.startswith((_INPUTS, _PART, _EVENTS)) for path in left):
                os.close(self._lock)
                raise NoTrainingSet(f"{self.folder} is there, and no run that was ended left it; move it away")
            for path in left:
                path.unlink()
            _put(mark, self._inputs)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def finished(self, number: int) -> Shard | None:
        """A shard that is whole, by the digest it was written with."""
        note = self._note(number)
        if not note.is_file():
            return None
        shard = Shard(**json.loads(note.read_bytes()))
        sums = {shard.file: shard.sha256, **({shard.events: shard.events_sha256} if shard.events else {})}
        return shard if all(_sum_of(self.folder / name) == digest for name, digest in sums.items()) else None

    def write(self, number: int, fill: Callable[[BinaryIO], ShardCounts]) -> Shard:
        """Write a shard; ``fill`` writes its bytes and says what they are."""
        with self._file(f"{_PART}{number:05d}.parquet") as file:
            counts = fill(file)  # type: ignore[arg-type]
        return self._noted(number, _shard(file, counts))

    def write_two(self, number: int, fill: Callable[[BinaryIO, BinaryIO], ShardCounts]) -> Shard:
        """Write a shard of labels, and the events that they point to."""
        with self._file(f"{_PART}{number:05d}.parquet") as file, self._file(f"{_EVENTS}{number:05d}.parquet") as events:
            counts = fill(file, events)  # type: ignore[arg-type]
        shard, digest = _shard(file, counts), events.digest.hexdigest()
        return self._noted(number, replace(shard, events=events.name, events_bytes=events.size, events_sha256=digest))

    @contextmanager
    def _file(self, name: str) -> Iterator["_Summed"]:
        """A file to write, which has its name once it is whole."""
        draft = self.folder / f"{name}.draft"
        with open(draft, "wb") as file:
            yield _Summed(name, file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.folder / name)

    def _noted(self, number: int, shard: Shard) -> Shard:
        _put(self._note(number), json.dumps(asdict(shard)).encode())
        return shard

    def finish(self, manifest: Manifest) -> None:
        """Make the training set be there, all of it at once."""
        for path in self.folder.iterdir():
            if path.name not in {name for shard in manifest.shards for name in (shard.file, shard.events)}:
                path.unlink()
        _put(self.folder / MANIFEST, manifest.dump())
        if self.out.exists():
            before = self.out.with_name(self.out.name + ".replaced")
            shutil.rmtree(before, ignore_errors=True)  # of a run that was killed just here
            self.out.rename(before)
            self.folder.rename(self.out)
            shutil.rmtree(before)
        else:
            self.folder.rename(self.out)

    def _note(self, number: int) -> Path:
        return self.folder / f"{_PART}{number:05d}.json"


class _Summed:
    """A file that adds up what is written to it."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name, self._file, self.digest, self.size = name, file, sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _shard(file: _Summed, counts: ShardCounts) -> Shard:
    """A file of labels that is written."""
    rows, values, empty, gone, bounded = counts
    return Shard(file.name, rows, values, empty, file.size, file.digest.hexdigest(), gone=gone, bounded=bounded)


def _sum_of(path: Path) -> str:
    """The SHA-256 of a file; of one that is not there, nothing."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _put(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    with open(draft, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
