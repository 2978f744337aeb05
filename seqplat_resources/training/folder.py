"""The folder of a training set: not there before it is whole, and what a run before left of it.

>>> work = Unfinished(folder / "set", {"release": "a"})
>>> shard = work.write(0, lambda file: (file.write(b"one"), ShardCounts(1, 5, 0))[1])
>>> (folder / "set").exists(), Unfinished(folder / "set", {"release": "a"}).finished(0).rows
(False, 1)
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from seqplat_resources.training.manifest import FILE, Manifest, Shard, ShardCounts

_INPUTS = "inputs.json"


class Unfinished:
    """What is made for ``out``, in a folder beside it. A run that had other ``inputs`` left nothing that counts."""

    def __init__(self, out: Path, inputs: Mapping[str, Any]) -> None:
        self.out, self.folder = out, out.with_name(out.name + ".partial")
        said = json.dumps(inputs, sort_keys=True).encode()
        mark = self.folder / _INPUTS
        if not mark.is_file() or mark.read_bytes() != said:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            _put(mark, said)

    def finished(self, number: int) -> Shard | None:
        """A shard that is whole, by the digest it was written with."""
        note = self._note(number)
        if not note.is_file():
            return None
        shard = Shard(**json.loads(note.read_bytes()))
        path = self.folder / shard.file
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            content = sha256()
            while chunk := file.read(1 << 20):
                content.update(chunk)
        return shard if content.hexdigest() == shard.sha256 else None

    def write(self, number: int, fill: Callable[[BinaryIO], ShardCounts]) -> Shard:
        """Write a shard; ``fill`` writes its bytes and says what they are."""
        draft, path = self.folder / f"{_name(number)}.draft", self.folder / _name(number)
        with open(draft, "wb") as file:
            summed = _Summed(file)
            counts = fill(summed)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        shard = Shard(path.name, *counts, summed.size, summed.digest.hexdigest())
        _put(self._note(number), json.dumps(asdict(shard)).encode())
        return shard

    def finish(self, manifest: Manifest) -> None:
        """Make the training set be there, all of it at once."""
        for path in self.folder.iterdir():
            if path.name not in {shard.file for shard in manifest.shards}:
                path.unlink()
        _put(self.folder / FILE, manifest.dump())
        if self.out.exists():
            before = self.out.with_name(self.out.name + ".replaced")
            self.out.rename(before)
            self.folder.rename(self.out)
            shutil.rmtree(before)
        else:
            self.folder.rename(self.out)

    def _note(self, number: int) -> Path:
        return self.folder / f"{_name(number)}.json"


class _Summed:
    """A file that adds up what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.size = file, sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)


def _name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def _put(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    with open(draft, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
