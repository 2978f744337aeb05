"""A training set's folder: any examples of it, with their events, whichever form it has.

>>> import datetime as dt
>>> from seqplat_resources.training.build import build
>>> from seqplat_resources.training.question import TrainingQuestion
>>> at = dt.datetime(2024, 5, 2, 12, tzinfo=dt.UTC)
>>> labels = pl.DataFrame({"user": ["ann", "bob"], "time": [at, at], "bought": [1, 0]})
>>> made = build(shop, TrainingQuestion("basket", mode="as_corrected"), labels, folder / "set", form="pointers")
>>> examples = TrainingFiles(made.out, ["product"]).examples([1, 0])
>>> examples.labels["bought"].to_list(), examples.lengths.tolist(), examples.events["product"].to_list()
([0, 1], [1, 2], ['jam', 'bread', 'tea'])
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from serving.client.arrays import Arrays, Fill, arrays_of, padded

Ints = npt.NDArray[np.int64]

_FORMAT = 1


class UnreadableSet(ValueError):
    """A folder that is no training set, or of which a file is missing, cut or another; or a column that it has not."""


@dataclass(frozen=True)
class Examples:
    """``labels``: a row for each; ``events`` of all of them end to end, each one's newest first; ``lengths`` of each.

    ``number`` is that of the batch in its epoch, where they are one.
    """

    labels: pl.DataFrame
    events: pl.DataFrame
    lengths: Ints
    number: int = 0

    def arrays(self, fill: Fill | None = None) -> tuple[Arrays, Ints]:
        """Values end to end, by column, and offsets: example n has those from ``offsets[n]`` up to ``offsets[n + 1]``.

        Nulls become what ``fill`` says, as with the client's answers.

        Raises:
            NullsInColumns, BadFill, UnknownColumn: as the client's.
        """
        return arrays_of(self.events, self.events.columns, fill), np.concatenate([[0], np.cumsum(self.lengths)])

    def padded(self, length: int, fill: Fill | None = None) -> tuple[Arrays, npt.NDArray[np.bool_]]:
        """By column an array of examples x ``length``, newest first, and the mask, True where an event is.

        Raises:
            As ``arrays``.
        """
        return padded(self.events, self.lengths, length, self.events.columns, fill)

    def frame(self) -> pl.DataFrame:
        """A row for each with its labels, and a list for each column; ``.to_arrow()`` of it is Arrow."""
        number = pl.Series("_example", np.repeat(np.arange(self.labels.height), self.lengths), pl.UInt32)
        lists = self.events.with_columns(number).group_by("_example", maintain_order=True).agg(pl.all())
        found = self.labels.with_row_index("_example").join(lists, on="_example", how="left", maintain_order="left")
        return found.drop("_example").with_columns(pl.col(self.events.columns).fill_null([]))


class TrainingFiles:
    """The training set in a folder; its examples are numbered in the order of its rows, from 0.

    Opens files when they are first needed, again in a process that gets it by pickle, and has the newest ``keep`` of
    them in memory: of lists with all of these, of pointers with each event once.

    Raises:
        UnreadableSet: said there.
        ValueError: ``keep`` is not 1 or more.
    """

    def __init__(self, folder: str | Path, columns: Sequence[str] | None = None, *, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; the file that is read is in memory, so it is 1 or more")
        self.folder, self._keep = Path(folder), keep
        manifest = _Manifest.read(self.folder)
        self.digest, self._shards, self._pointers = manifest.digest, manifest.shards, manifest.pointers
        self.ends = np.cumsum([shard["rows"] for shard in self._shards], dtype=np.int64)
        for shard in self._shards:
            for name, size, _ in _files_of(shard):
                self._require_size(name, size)
        self.columns, self.label_columns = self._named(columns)
        self._open: dict[int, _OpenShard] = {}
        self._checked = set[str]()

    def __len__(self) -> int:
        return int(self.ends[-1]) if self.ends.size else 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}, "_checked": set()}

    def examples(self, numbers: Sequence[int] | Ints, number: int = 0) -> Examples:
        """Those of these numbers, in this order.

        Raises:
            IndexError: there is none of a number. UnreadableSet: a file is gone, or damaged.
        """
        at = np.asarray(numbers, np.int64)
        if at.size and not (at.min() >= 0 and at.max() < len(self)):
            raise IndexError(f"examples are 0 to {len(self) - 1}; asked for {at.min()} to {at.max()}")
        shard_of = np.searchsorted(self.ends, at, "right")
        parts = [
            self.shard(int(shard_of[run[0]])).examples(at[run] - self.first(int(shard_of[run[0]])))
            for run in np.split(np.arange(at.size), np.flatnonzero(np.diff(shard_of)) + 1)
            if run.size
        ]
        if not parts:
            return self.shard(0).examples(at) if self._shards else Examples(pl.DataFrame(), pl.DataFrame(), at)
        labels, events = (pl.concat([getattr(part, of) for part in parts]) for of in ("labels", "events"))
        return Examples(labels, events, np.concatenate([part.lengths for part in parts]), number)

    def keys(self, shard: int, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of a file's labels, without opening it whole."""
        if unknown := [name for name in columns if name not in self.label_columns]:
            raise UnreadableSet(f"{self.folder} has no label column {unknown[0]!r}; it has {list(self.label_columns)}")
        path = self.folder / self._shards[shard]["file"]
        with _readable(path):
            return pl.read_parquet(path, columns=list(columns))

    def rows(self) -> list[int]:
        """How many examples each file has."""
        return [int(shard["rows"]) for shard in self._shards]

    def shard(self, number: int) -> "_OpenShard":
        found = self._open.pop(number, None)
        if found is None:
            of = self._shards[number]
            for name, _, digest in _files_of(of):
                self._require(name, digest)
            with _readable(self.folder / of["file"]):
                found = _opened(self.folder, of, self._pointers, self.columns, self.label_columns)
            while len(self._open) >= self._keep:
                self._open.pop(next(iter(self._open)))
        self._open[number] = found
        return found

    def first(self, number: int) -> int:
        """The number of a file's first example."""
        return int(self.ends[number - 1]) if number else 0

    def _require(self, name: str, digest: str) -> None:
        """The bytes that were written, once in a process: others may be read as other values."""
        path = self.folder / name
        if name in self._checked:
            return
        with _readable(path), open(path, "rb") as file:
            found = file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise UnreadableSet(f"{path} cannot be read: its bytes are not those that were written; make the set again")
        self._checked.add(name)

    def _require_size(self, name: str, size: int) -> None:
        path = self.folder / name
        if not path.is_file() or path.stat().st_size != size:
            has = f"{path.stat().st_size:,} bytes" if path.is_file() else "nothing"
            raise UnreadableSet(f"{path} should have {size:,} bytes and has {has}; make the set again")

    def _named(self, columns: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns of events that are read, and those of labels."""
        if columns is not None and not columns:
            raise UnreadableSet(f"{self.folder}: no column of events is asked for; name one, or leave `columns` out")
        if not self._shards:
            return (), ()
        first = self._shards[0]
        with _readable(self.folder / first["file"]):
            given = pl.read_parquet(self.folder / first["file"], n_rows=0).schema
            known = [name for name in given if isinstance(given[name], pl.List) and name not in self._pointers]
            if self._pointers:
                known = list(pl.read_parquet_schema(self.folder / first["events"]))
        of_labels = [name for name in given if name not in {*known, *self._pointers}]
        if unknown := [name for name in columns or () if name not in known]:
            raise UnreadableSet(f"{self.folder} has no column {unknown[0]!r} of events; it has {known}")
        return tuple(known if columns is None else columns), tuple(of_labels)


@dataclass(frozen=True)
class _OpenShard:
    """A file's labels, and its events: those of label n are the rows ``first[n]`` up to ``stop[n]``, but for the
    ``without``, counted from there; label n has those from ``ends[n - 1]`` up to ``ends[n]``.
    """

    labels: pl.DataFrame
    events: pl.DataFrame
    first: Ints
    stop: Ints
    without: Ints
    ends: Ints

    def examples(self, at: Ints) -> Examples:
        first, length = self.first[at], self.stop[at] - self.first[at]
        places, skipped = _ragged(first, length), self.ends[at + 1] - self.ends[at]
        if skipped.any():
            starts = np.cumsum(length) - length
            gone = self.without[_ragged(self.ends[at], skipped)] + np.repeat(starts, skipped)
            places = np.delete(places, gone)
        labels = self.labels[at] if at.size else self.labels.clear()
        return Examples(labels, _rows(self.events, places), length - skipped)


def _opened(
    folder: Path, shard: Mapping[str, Any], pointers: Sequence[str], columns: Sequence[str], of_labels: Sequence[str]
) -> _OpenShard:
    rows = pl.read_parquet(folder / shard["file"], columns=[*of_labels, *(pointers or columns)])
    labels = rows.select(of_labels)
    if pointers:
        first, stop, without = (rows[name] for name in pointers)
        events = pl.read_parquet(folder / shard["events"], columns=list(columns))
        skipped, flat = without.list.len(), without.explode(empty_as_null=False)
        return _OpenShard(labels, events, first.to_numpy(), stop.to_numpy(), _ints(flat), _ends(skipped))
    events = rows.select(pl.col(columns).explode(empty_as_null=False))
    ends = _ends(rows[columns[0]].list.len())
    nothing = np.empty(0, np.int64)
    return _OpenShard(labels, events, ends[:-1], ends[1:], nothing, np.zeros(rows.height + 1, np.int64))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """
    Raises:
        UnreadableSet: the block could not read it.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise UnreadableSet(f"{path} cannot be read: {str(error).splitlines()[0][:200]}") from error


@dataclass(frozen=True)
class _Manifest:
    """What a set's manifest says of its files; ``pointers`` are empty where labels have lists."""

    shards: Sequence[Mapping[str, Any]]
    pointers: Sequence[str]

    @classmethod
    def read(cls, folder: Path) -> "_Manifest":
        path = folder / "manifest.json"
        try:
            said = json.loads(path.read_bytes())
            if (version := said["format"]) == _FORMAT:
                shards = [shard for shard in said["shards"] if shard["rows"] and _files_of(shard)]
                return cls(shards, said["facts"].get("pointers") or ())
        except OSError:
            raise UnreadableSet(f"{path} is not there; a training set has one once it is whole") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableSet(f"{path} is no manifest of a training set ({error})") from error
        raise UnreadableSet(f"{path} is of format {version}, and this version reads format {_FORMAT}")

    @property
    def digest(self) -> str:
        """Of all bytes of the set."""
        return sha256("".join(sum_ for shard in self.shards for _, _, sum_ in _files_of(shard)).encode()).hexdigest()


def _files_of(shard: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Of labels, and of their events where these are apart: name, bytes and SHA-256."""
    found = [(shard["file"], shard["bytes"], shard["sha256"])]
    return [*found, (shard["events"], shard["events_bytes"], shard["events_sha256"])] if shard.get("events") else found


def _rows(events: pl.DataFrame, places: Ints) -> pl.DataFrame:
    if not places.size or (places[-1] - places[0] + 1 == places.size and (np.diff(places) == 1).all()):
        return events.slice(int(places[0]) if places.size else 0, places.size)
    return events[places]


def _ragged(start: Ints, length: Ints) -> Ints:
    """Ranges, end to end."""
    ends = np.cumsum(length)
    found: Ints = np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(start - (ends - length), length)
    return found


def _ends(lengths: pl.Series) -> Ints:
    return np.concatenate([[0], np.cumsum(_ints(lengths))])


def _ints(values: pl.Series) -> Ints:
    return np.asarray(values.cast(pl.Int64).to_numpy(), np.int64)
